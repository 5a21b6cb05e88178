"""Retries: only what they can cure, as asked, within budget and quota, and never past the query's point in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_MAINTENANCE,
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    PURPOSE_PRE_LOAN,
    Outcome,
)
from gateway.adapters.resilience.budget import CallBudget, Pay, pay_nothing
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, SimulatedLoop, simulated

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
POLICY = RetryPolicy(attempts=3, backoff_s=0.1, longest_backoff_s=0.2, least_attempt_s=0.05)

Told = tuple[Outcome.ValueType, str, float | None]
UNREACHABLE: Told = (OUTCOME_UNREACHABLE, "http_503", None)
OK: Told = (OUTCOME_OK, "", None)


class Sequence:
    """Gives one answer after the other, and the last one for ever."""

    def __init__(self, *told: Told, takes_s: float = 0.0, is_idempotent: bool = True) -> None:
        self.platform = Platform("a", "平台", "platform", Tier.PROVINCE, is_idempotent=is_idempotent)
        self._told: Iterator[Told] = iter(told)
        self._last = told[-1]
        self._takes_s = takes_s
        self.asked_at: list[float] = []

    @property
    def asked(self) -> int:
        return len(self.asked_at)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._takes_s)
        outcome, reason, retry_after_s = next(self._told, self._last)
        return failed_answer("a", outcome, reason, (5,), attempts=1, retry_after_s=retry_after_s)


class Watcher:
    """Counts repeats; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.repeats: list[str] = []

    def call_repeated(self, platform: str) -> None:
        self.repeats.append(platform)

    def call_hedged(self, platform: str, *, won: bool) -> None: ...

    def breaker_turned(self, platform: str, *, is_open: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def limit_moved(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


def fetch(
    inner: Sequence,
    time_s: float = 5.0,
    policy: RetryPolicy = POLICY,
    *,
    pay: Pay = pay_nothing,
    watcher: Watcher | None = None,
) -> Answer:
    async def story() -> Answer:
        retrying = Retrying(inner, policy, LoopClock(), pay=pay, observer=watcher)
        return await retrying.fetch(QUERY, PERMIT, time_s)

    return simulated(story())


def test_a_passing_failure_is_asked_again() -> None:
    inner = Sequence(UNREACHABLE, OK)
    watcher = Watcher()

    answer = fetch(inner, watcher=watcher)

    assert (answer.outcome, answer.attempts, inner.asked, watcher.repeats) == (OUTCOME_OK, 2, 2, ["a"])


def test_attempts_are_bounded_and_the_last_answer_is_told() -> None:
    inner = Sequence(
        (OUTCOME_UNREACHABLE, "closed", None), (OUTCOME_UNREACHABLE, "reset", None), (OUTCOME_TIMEOUT, "read", None)
    )

    answer = fetch(inner)

    assert (answer.outcome, answer.said.reason, answer.attempts, inner.asked) == (OUTCOME_TIMEOUT, "read", 3, 3)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (OUTCOME_OK, ""),
        (OUTCOME_AUTH_FAILED, "signature"),
        (OUTCOME_BAD_ANSWER, "json"),
        (OUTCOME_BAD_ANSWER, "wrong_subject"),
        (OUTCOME_TOO_LARGE, "body"),
        (OUTCOME_MAINTENANCE, "code"),
        (OUTCOME_TIMEOUT, "pending"),
    ],
)
def test_what_a_retry_cannot_cure_is_asked_once(outcome: Outcome.ValueType, reason: str) -> None:
    inner = Sequence((outcome, reason, None))

    fetch(inner)

    assert inner.asked == 1


def test_a_repeat_that_fails_beyond_cure_is_the_last() -> None:
    inner = Sequence(UNREACHABLE, (OUTCOME_AUTH_FAILED, "signature", None), OK)

    answer = fetch(inner)

    assert (answer.outcome, answer.attempts, inner.asked) == (OUTCOME_AUTH_FAILED, 2, 2)


def test_a_platform_that_must_not_be_asked_twice_is_not() -> None:
    inner = Sequence(UNREACHABLE, OK, is_idempotent=False)

    answer = fetch(inner)

    assert (answer.outcome, inner.asked) == (OUTCOME_UNREACHABLE, 1)


def test_one_attempt_means_never_again() -> None:
    inner = Sequence(UNREACHABLE)

    answer = fetch(inner, policy=RetryPolicy(attempts=1))

    assert (answer.outcome, inner.asked) == (OUTCOME_UNREACHABLE, 1)


def test_latency_counts_attempts_and_the_wait_between_them() -> None:
    inner = Sequence(UNREACHABLE, OK, takes_s=0.3)

    answer = fetch(inner)

    assert answer.latency_s == pytest.approx(inner.asked_at[1] + 0.3)


def test_back_off_is_a_random_share_of_a_growing_wait() -> None:
    waits = []
    for _ in range(200):
        inner = Sequence(UNREACHABLE)
        fetch(inner)
        first, second, third = inner.asked_at
        waits.append((second - first, third - second))

    firsts, seconds = zip(*waits, strict=True)

    assert max(firsts) <= 0.1 < max(seconds) <= 0.2
    assert min(*firsts, *seconds) < 0.02


def test_U23_retry_after_is_obeyed_when_it_fits() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 3.0), OK)

    answer = fetch(inner, time_s=5.0)

    assert (answer.outcome, answer.attempts) == (OUTCOME_OK, 2)
    assert 3.0 <= inner.asked_at[1] <= 3.1


def test_U23_a_retry_after_beyond_the_deadline_is_told_and_not_waited_for() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 30.0), OK)

    answer = fetch(inner, time_s=10.0)

    assert (answer.outcome, answer.retry_after_s, answer.latency_s, inner.asked) == (OUTCOME_RATE_LIMITED, 30.0, 0.0, 1)


def test_U23_a_retry_after_that_leaves_no_time_for_the_attempt_is_not_waited_for() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 9.96), OK)

    answer = fetch(inner, time_s=10.0)

    assert (answer.outcome, answer.latency_s, inner.asked) == (OUTCOME_RATE_LIMITED, 0.0, 1)


def test_U26_a_long_outage_costs_at_most_a_fifth_more_calls() -> None:
    inner = Sequence(UNREACHABLE)

    async def story() -> None:
        retrying = Retrying(inner, POLICY, LoopClock())
        loop = asyncio.get_running_loop()
        asked = []
        for _ in range(1_000):
            asked.append(asyncio.create_task(retrying.fetch(QUERY, PERMIT, loop.time() + 5.0)))
            await asyncio.sleep(1.0)
        await asyncio.gather(*asked)

    simulated(story())

    assert 1_080 <= inner.asked <= 1_200


def test_U26_repeats_come_back_once_the_outage_is_over() -> None:
    inner = Sequence(*[UNREACHABLE] * 40, OK, UNREACHABLE, OK)

    async def story() -> list[int]:
        retrying = Retrying(inner, POLICY, LoopClock())
        loop = asyncio.get_running_loop()
        while inner.asked < 41:
            await retrying.fetch(QUERY, PERMIT, loop.time() + 5.0)
        await asyncio.sleep(60.0)
        return [(await retrying.fetch(QUERY, PERMIT, loop.time() + 5.0)).attempts]

    attempts = simulated(story())

    assert attempts == [2]


def test_a_repeat_the_budget_refuses_is_not_waited_for() -> None:
    inner = Sequence(UNREACHABLE, OK)
    paid: list[CreditQuery] = []

    def pay(query: CreditQuery) -> bool:
        paid.append(query)
        return True

    async def story() -> Answer:
        clock = LoopClock()
        budget = CallBudget(0.1, 0, 60.0, clock)
        return await Retrying(inner, POLICY, clock, budget=budget, pay=pay).fetch(QUERY, PERMIT, 5.0)

    answer = simulated(story())

    assert (answer.outcome, answer.attempts, answer.latency_s) == (OUTCOME_UNREACHABLE, 1, 0.0)
    assert (inner.asked, paid) == (1, [])


def test_each_repeat_is_paid_for_and_the_first_attempt_is_not() -> None:
    inner = Sequence(UNREACHABLE)
    paid: list[CreditQuery] = []

    def pay(query: CreditQuery) -> bool:
        paid.append(query)
        return True

    fetch(inner, pay=pay)

    assert (inner.asked, paid) == (3, [QUERY, QUERY])


def test_a_quota_that_is_spent_ends_the_repeats_with_the_answer_in_hand() -> None:
    inner = Sequence(UNREACHABLE, OK)
    watcher = Watcher()
    refused: list[CreditQuery] = []

    def pay(query: CreditQuery) -> bool:
        refused.append(query)
        return False

    answer = fetch(inner, pay=pay, watcher=watcher)

    assert (answer.outcome, answer.attempts, inner.asked) == (OUTCOME_UNREACHABLE, 1, 1)
    assert (refused, watcher.repeats) == ([QUERY], [])


def test_C2_without_the_time_for_one_attempt_the_platform_is_not_asked() -> None:
    inner = Sequence(OK)

    answer = fetch(inner, time_s=0.04)

    assert answer == failed_answer("a", OUTCOME_SKIPPED, "deadline_too_short", (5,))
    assert inner.asked == 0


def test_a_repeat_that_cannot_finish_is_not_begun() -> None:
    inner = Sequence(UNREACHABLE, OK, takes_s=1.0)

    answer = fetch(inner, time_s=1.04)

    assert (answer.outcome, answer.latency_s, inner.asked) == (OUTCOME_UNREACHABLE, 1.0, 1)


def test_a_wait_that_took_longer_than_planned_leaves_no_repeat_behind() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 1.0), OK)

    async def story() -> Answer:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        loop.call_later(0.5, loop.jump, 4.6)
        return await Retrying(inner, POLICY, LoopClock()).fetch(QUERY, PERMIT, 5.0)

    answer = simulated(story())

    assert (answer.outcome, answer.attempts, inner.asked) == (OUTCOME_RATE_LIMITED, 1, 1)


@pytest.mark.parametrize(("cancelled_at_s", "asked"), [(0.5, 1), (1.5, 1), (2.5, 2)])
def test_cancelling_ends_an_attempt_a_wait_and_a_repeat_alike(cancelled_at_s: float, asked: int) -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 1.0), OK, takes_s=1.0)

    async def story() -> bool:
        fetching = asyncio.create_task(Retrying(inner, POLICY, LoopClock()).fetch(QUERY, PERMIT, 60.0))
        await asyncio.sleep(cancelled_at_s)
        fetching.cancel()
        await asyncio.wait([fetching])
        return fetching.cancelled() and asyncio.all_tasks() == {asyncio.current_task()}

    is_over = simulated(story())

    assert (is_over, inner.asked) == (True, asked)
