"""What is remembered of a platform: calls of five minutes, each change once, the cache's answers not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_NOT_COVERED,
    OUTCOME_OK,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.telemetry.health import VERDICT_KEPT_S, WINDOW_S, HealthSummary, PlatformHealth
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.health import Health

START = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class MovedClock:
    """Moves when told to."""

    at_s: float = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.at_s)

    def monotonic(self) -> float:
        return self.at_s


def answer(outcome: Outcome.ValueType = OUTCOME_OK, latency_s: float = 0.1) -> Answer:
    return failed_answer("a", outcome, "", (5,), attempts=1)._replace(latency_s=latency_s)


def test_a_platform_never_asked_is_unsure_and_says_nothing_else() -> None:
    health = PlatformHealth(["a"], MovedClock())

    assert health.summary("a") == HealthSummary(Health.UNSURE, 0, None, None, None, None)


def test_the_summary_rests_on_the_calls_of_the_window() -> None:
    clock = MovedClock()
    health = PlatformHealth(["a", "b"], clock)
    for _ in range(5):
        health.note(answer(OUTCOME_TIMEOUT))
    clock.at_s = WINDOW_S + 1
    for latency_s in (0.1, 0.3, 0.2):
        health.note(answer(latency_s=latency_s))
    clock.at_s += 4

    summary = health.summary("a")

    assert summary == HealthSummary(Health.GOOD, 3, 10_000, 0.2, START + timedelta(seconds=WINDOW_S + 1), OUTCOME_OK)
    assert health.summary("b").health is Health.UNSURE


def test_down_and_up_are_each_said_once() -> None:
    health = PlatformHealth(["a"], MovedClock())

    outcomes = (OUTCOME_OK, OUTCOME_UNREACHABLE, OUTCOME_TIMEOUT, OUTCOME_OK, OUTCOME_OK)
    told = [health.note(answer(outcome)) for outcome in outcomes]

    assert told == [None, False, None, True, None]


@pytest.mark.parametrize("outcome", [OUTCOME_CANCELLED, OUTCOME_NOT_COVERED, OUTCOME_QUOTA_EXHAUSTED])
def test_what_was_no_call_says_nothing_of_the_platform(outcome: Outcome.ValueType) -> None:
    health = PlatformHealth(["a"], MovedClock())

    health.note(answer(outcome))

    assert health.summary("a").call_count == 0


def test_an_answer_from_the_cache_counts_only_by_the_failure_it_stands_for() -> None:
    health = PlatformHealth(["a"], MovedClock())
    kept = answer()._replace(cache_age_s=60.0)

    turned = [health.note(kept), health.note(kept._replace(stale_because=OUTCOME_UNREACHABLE))]

    assert turned == [None, False]
    summary = health.summary("a")
    assert (summary.call_count, summary.success_bp, summary.last_outcome) == (1, 0, OUTCOME_UNREACHABLE)


def test_a_verdict_is_made_anew_after_a_second_and_not_before() -> None:
    clock = MovedClock()
    health = PlatformHealth(["a"], clock)
    first = health.verdict("a")
    for _ in range(3):
        health.note(answer())

    within = health.verdict("a")
    clock.at_s = VERDICT_KEPT_S
    after = health.verdict("a")

    assert (first, within, after) == (Health.UNSURE, Health.UNSURE, Health.GOOD)
