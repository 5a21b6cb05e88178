"""Hedging (D15): one result, the same whichever attempt wins, and none beside it where none may be made."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
)
from gateway.adapters.resilience.hedge import Hedging, may_hedge
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.domain.answer import Answer
from gateway.domain.platform import Platform, PlatformLimits
from gateway.domain.query import CreditQuery
from tests.adapters.hedged import PERMIT, PLATFORM, POLICY, QUERY, THREE, Attempt, Scripted, Watcher, fetch, said
from tests.adapters.simulated import LoopClock, SimulatedLoop, simulated


def test_an_answer_before_the_delay_is_given_as_it_is() -> None:
    first, second = Attempt(0.09), Attempt(0.01)
    watcher = Watcher()

    answer, took_s = fetch(first, second, watcher=watcher)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=1), 0.09)
    assert (second.began_at, watcher.hedges) == (-1.0, [])


def test_D15_the_second_wins_and_the_first_is_gone_before_the_answer() -> None:
    first, second = Attempt(5.0), Attempt(0.03)
    watcher = Watcher()

    answer, took_s = fetch(first, second, watcher=watcher)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=2), 0.13)
    assert (first.is_cancelled, first.ended_at) == (True, second.ended_at)
    assert watcher.hedges == [True]


def test_D15_the_first_answers_late_and_the_second_is_gone_before_the_answer() -> None:
    first, second = Attempt(0.2), Attempt(5.0, tidies_s=0.01)
    watcher = Watcher()

    answer, took_s = fetch(first, second, watcher=watcher)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=2), 0.21)
    assert (second.is_cancelled, second.ended_at) == (True, round(first.ended_at + 0.01, 3))
    assert watcher.hedges == [False]


def test_D15_both_answer_at_once_and_one_result_is_given() -> None:
    first, second = Attempt(0.25), Attempt(0.15)

    answer, took_s = fetch(first, second)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=2), 0.25)


@pytest.mark.parametrize(
    "second", [Attempt(0.01, OUTCOME_UNREACHABLE, "reset"), Attempt(0.01, error=RuntimeError("broken"))]
)
def test_D15_a_second_that_fails_never_takes_the_place_of_a_first_still_running(second: Attempt) -> None:
    first = Attempt(5.0)

    answer, took_s = fetch(first, second)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=2), 5.0)


def test_a_first_that_fails_waits_for_the_second_and_takes_it_if_heard() -> None:
    first, second = Attempt(0.2, OUTCOME_UNREACHABLE, "reset"), Attempt(0.5)
    watcher = Watcher()

    answer, took_s = fetch(first, second, watcher=watcher)

    assert (answer, took_s, watcher.hedges) == (said(OUTCOME_OK, attempts=2), 0.6, [True])


def test_a_first_that_fails_does_not_wait_beyond_its_time_for_the_second() -> None:
    first, second = Attempt(0.2, OUTCOME_UNREACHABLE, "reset"), Attempt(60.0)

    answer, took_s = fetch(first, second, time_s=1.0)

    assert (answer, took_s) == (said(OUTCOME_UNREACHABLE, "reset", attempts=2), 0.99)
    assert second.is_cancelled


@pytest.mark.parametrize("is_swapped", [False, True])
def test_of_two_failures_the_better_known_is_told_whichever_attempt_it_met(is_swapped: bool) -> None:
    told = [(OUTCOME_UNREACHABLE, "reset"), (OUTCOME_BAD_ANSWER, "json")]
    (one, why_one), (other, why_other) = reversed(told) if is_swapped else told

    answer, _ = fetch(Attempt(0.2, one, why_one), Attempt(0.2, other, why_other))

    assert answer == said(OUTCOME_BAD_ANSWER, "json", attempts=2)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_part_does_not_end_the_race_that_the_whole_can_still_win(is_swapped: bool) -> None:
    part, whole = Attempt(0.15, OUTCOME_PARTIAL, "timeout"), Attempt(0.4)
    first, second = (whole, part) if is_swapped else (part, whole)

    answer, _ = fetch(first, second)

    assert answer == said(OUTCOME_OK, attempts=2)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_part_is_given_in_time_when_the_other_never_comes(is_swapped: bool) -> None:
    part, never = Attempt(0.15, OUTCOME_PARTIAL, "timeout"), Attempt(60.0)
    first, second = (never, part) if is_swapped else (part, never)

    answer, took_s = fetch(first, second, time_s=1.0)

    assert (answer, took_s) == (said(OUTCOME_PARTIAL, "timeout", attempts=2), 0.99)


def test_a_second_attempt_is_paid_for_once_and_not_when_it_is_not_made() -> None:
    paid: list[CreditQuery] = []

    def pay(query: CreditQuery) -> bool:
        paid.append(query)
        return True

    fetch(Attempt(0.05), pay=pay)
    paid_when_quick = list(paid)
    fetch(Attempt(5.0), Attempt(0.01), pay=pay)

    assert (paid_when_quick, paid) == ([], [QUERY])


def test_without_quota_for_it_no_second_attempt_is_made() -> None:
    first, second = Attempt(1.0), Attempt(0.01)
    watcher = Watcher()

    answer, took_s = fetch(first, second, pay=lambda query: False, watcher=watcher)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=1), 1.0)
    assert (second.began_at, watcher.hedges) == (-1.0, [])


@pytest.mark.parametrize(
    "platform",
    [
        replace(PLATFORM, is_idempotent=False),
        replace(PLATFORM, is_direct=False),
        replace(PLATFORM, limits=PlatformLimits(is_metered=True)),
    ],
    ids=["not idempotent", "submit and poll", "metered"],
)
def test_a_platform_that_must_not_be_asked_twice_at_once_is_not(platform: Platform) -> None:
    second = Attempt(0.01)

    answer, took_s = fetch(Attempt(1.0), second, platform=platform)

    assert (may_hedge(platform), second.began_at) == (False, -1.0)
    assert (answer, took_s) == (said(OUTCOME_OK, attempts=1), 1.0)


def test_hedging_that_is_switched_off_makes_no_second_attempt() -> None:
    second = Attempt(0.01)

    _, took_s = fetch(Attempt(1.0), second, policy=replace(POLICY, enabled=False))

    assert (second.began_at, took_s) == (-1.0, 1.0)


def test_a_second_attempt_that_cannot_finish_is_not_begun() -> None:
    second = Attempt(0.01)

    _, took_s = fetch(Attempt(0.14), second, time_s=0.149)

    assert (second.began_at, took_s) == (-1.0, 0.14)


def test_a_second_attempt_for_which_the_loop_comes_too_late_is_not_begun() -> None:
    second = Attempt(0.01)

    async def story() -> Answer:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        hedging = Hedging(Scripted(Attempt(9.99), second), POLICY, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        loop.call_later(0.05, loop.jump, 9.9)
        return await hedging.fetch(QUERY, PERMIT, loop.time() + 9.99)

    answer = simulated(story())

    assert (answer, second.began_at) == (said(OUTCOME_OK, attempts=1), -1.0)


def test_a_second_that_is_slow_too_gets_a_third_beside_it_where_three_are_allowed() -> None:
    first, second, third = Attempt(5.0), Attempt(4.0), Attempt(0.03)
    watcher = Watcher()

    answer, took_s = fetch(first, second, third, policy=THREE, watcher=watcher)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=3), 0.23)
    assert (first.is_cancelled, second.is_cancelled) == (True, True)
    assert watcher.hedges == [False, True]


def test_a_second_that_answers_in_time_gets_no_third_beside_it() -> None:
    third = Attempt(0.01)

    answer, took_s = fetch(Attempt(5.0), Attempt(0.09), third, policy=THREE)

    assert (answer, took_s, third.began_at) == (said(OUTCOME_OK, attempts=2), 0.19, -1.0)


def test_a_second_and_a_third_that_answer_at_once_end_the_race_once() -> None:
    answer, took_s = fetch(Attempt(5.0), Attempt(0.15), Attempt(0.05), policy=THREE)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=3), 0.25)


def test_a_first_that_fails_waits_for_whichever_of_two_is_heard_first() -> None:
    first, second, third = Attempt(0.25, OUTCOME_UNREACHABLE, "reset"), Attempt(0.2, OUTCOME_TIMEOUT), Attempt(0.2)

    answer, took_s = fetch(first, second, third, policy=THREE)

    assert (answer, took_s) == (said(OUTCOME_OK, attempts=3), 0.4)


def test_a_retry_counts_the_second_attempts_inside_it() -> None:
    scripted = Scripted(
        Attempt(0.2, OUTCOME_UNREACHABLE, "reset"), Attempt(0.2, OUTCOME_UNREACHABLE, "reset"), Attempt(0.01)
    )

    async def story() -> Answer:
        clock = LoopClock()
        retrying = Retrying(Hedging(scripted, POLICY, clock), RetryPolicy(), clock)
        await retrying.fetch(QUERY, PERMIT, 10.0)
        return await retrying.fetch(QUERY, PERMIT, 10.0)

    answer = simulated(story())

    assert (answer.outcome, answer.attempts) == (OUTCOME_OK, 3)
