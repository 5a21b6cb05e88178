"""Hedging (D15): one result, the same whichever wins, the loser gone, budget and quota kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    PURPOSE_PRE_LOAN,
    Outcome,
)
from gateway.adapters.resilience.budget import CallBudget, Pay, pay_nothing
from gateway.adapters.resilience.hedge import HedgePolicy, Hedging, may_hedge
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, PlatformLimits, Tier
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, SimulatedLoop, simulated

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
PLATFORM = Platform("a", "平台", "platform", Tier.PROVINCE)
POLICY = HedgePolicy(fewest_samples=1, least_delay_s=0.1, longest_delay_s=0.1)
"""Hedges after 0.1 s, once one answer was seen."""


class Attempt:
    """One attempt as the platform will answer it: after how long, and what; an error stands for a broken connector."""

    def __init__(
        self,
        takes_s: float,
        outcome: Outcome.ValueType = OUTCOME_OK,
        reason: str = "",
        *,
        error: Exception | None = None,
        tidies_s: float = 0.0,
    ) -> None:
        self.takes_s = takes_s
        self.outcome = outcome
        self.reason = reason
        self.error = error
        self.tidies_s = tidies_s
        self.began_at = -1.0
        self.ended_at = -1.0
        self.is_cancelled = False

    async def run(self) -> Answer:
        loop = asyncio.get_running_loop()
        self.began_at = loop.time()
        try:
            await asyncio.sleep(self.takes_s)
            if self.error is not None:
                raise self.error
            return failed_answer("a", self.outcome, self.reason, (5,), attempts=1)
        except asyncio.CancelledError:
            self.is_cancelled = True
            await asyncio.sleep(self.tidies_s)
            raise
        finally:
            self.ended_at = round(loop.time(), 3)


class Scripted:
    """Answers one quick call, from which the delay is learnt, then the given attempts in their order."""

    def __init__(self, *attempts: Attempt, platform: Platform = PLATFORM) -> None:
        self.platform = platform
        self._attempts = iter((Attempt(0.02), *attempts))

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        return await next(self._attempts).run()


class Watcher:
    """Notes hedges; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.hedges: list[bool] = []

    def call_hedged(self, platform: str, *, won: bool) -> None:
        self.hedges.append(won)

    def call_repeated(self, platform: str) -> None: ...

    def breaker_turned(self, platform: str, *, is_open: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def limit_moved(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


async def no_tasks_left() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def fetch(
    *attempts: Attempt,
    time_s: float = 10.0,
    policy: HedgePolicy = POLICY,
    platform: Platform = PLATFORM,
    pay: Pay = pay_nothing,
    watcher: Watcher | None = None,
) -> tuple[Answer, float]:
    """Gives the answer and how long it took; no task may be left, nor a request to cancel."""

    async def story() -> tuple[Answer, float]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(*attempts, platform=platform), policy, LoopClock(), pay=pay, observer=watcher)
        await hedging.fetch(QUERY, PERMIT, 10.0)
        began = loop.time()
        answer = await hedging.fetch(QUERY, PERMIT, began + time_s)
        took_s = round(loop.time() - began, 3)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await no_tasks_left()
        return answer, took_s

    return simulated(story())


def said(outcome: Outcome.ValueType, reason: str = "", *, attempts: int) -> Answer:
    return failed_answer("a", outcome, reason, (5,), attempts=attempts)


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


def cancelled(*attempts: Attempt, meanwhile: Callable[[asyncio.Task[Answer]], Awaitable[None]]) -> tuple[bool, bool]:
    """Gives whether the fetch ended cancelled and whether no task is left."""

    async def story() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(*attempts), POLICY, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        fetching = asyncio.ensure_future(hedging.fetch(QUERY, PERMIT, loop.time() + 10.0))
        await meanwhile(fetching)
        await asyncio.wait([fetching])
        return fetching.cancelled(), await no_tasks_left()

    return simulated(story())


@pytest.mark.parametrize("after_s", [0.05, 0.15], ids=["before the second", "beside the second"])
def test_a_caller_that_leaves_cancels_both(after_s: float) -> None:
    first, second = Attempt(5.0), Attempt(5.0, tidies_s=0.01)

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        await asyncio.sleep(after_s)
        fetching.cancel()

    ended = cancelled(first, second, meanwhile=leave)

    assert (ended, first.is_cancelled) == ((True, True), True)
    assert second.is_cancelled == (second.began_at >= 0)


def test_a_caller_that_leaves_while_the_second_is_waited_for_cancels_it() -> None:
    second = Attempt(5.0)

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        await asyncio.sleep(1.0)
        fetching.cancel()

    ended = cancelled(Attempt(0.2, OUTCOME_TIMEOUT, "read"), second, meanwhile=leave)

    assert (ended, second.is_cancelled) == ((True, True), True)


@pytest.mark.parametrize("is_before", [True, False], ids=["just before", "just after"])
def test_a_caller_that_leaves_just_as_the_second_wins_is_obeyed(is_before: bool) -> None:
    second = Attempt(0.05)
    known: set[Any] = set()

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        known.update({asyncio.current_task(), fetching})
        await asyncio.sleep(0.12)
        (beside,) = asyncio.all_tasks() - known
        if is_before:
            asyncio.get_running_loop().call_at(second.began_at + 0.05, fetching.cancel)
        else:
            beside.add_done_callback(lambda _: fetching.cancel())

    ended = cancelled(Attempt(5.0), second, meanwhile=leave)

    assert ended == (True, True)


def test_a_broken_first_is_reported_and_leaves_no_second_behind() -> None:
    second = Attempt(5.0)

    with pytest.raises(RuntimeError, match="broken"):
        fetch(Attempt(0.2, error=RuntimeError("broken")), second)

    assert second.is_cancelled


def test_a_second_that_is_slow_to_tidy_up_does_not_hold_the_answer_for_long() -> None:
    async def story() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(Attempt(0.2), Attempt(5.0, tidies_s=1.0)), POLICY, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        began = loop.time()
        await hedging.fetch(QUERY, PERMIT, 10.0)
        took_s = round(loop.time() - began, 3)
        await asyncio.sleep(1.0)
        return took_s, await no_tasks_left()

    took_s, is_over = simulated(story())

    assert (took_s, is_over) == (0.23, True)


class Mixed:
    """Answers most calls quickly and a share of them late, alike for first and second attempts."""

    platform = PLATFORM

    def __init__(self, slow_share: float, slow_s: float = 1.0, late_s: float = 0.0) -> None:
        """Takes by how much any answer is late on average, beside the share of slow ones."""
        self._chance = random.Random(7)
        self.slow_share = slow_share
        self._slow_s = slow_s
        self._late_s = late_s
        self.asked = 0

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked += 1
        is_slow = self._chance.random() < self.slow_share
        takes_s = self._slow_s if is_slow else self._chance.uniform(0.006, 0.018)
        await asyncio.sleep(takes_s + (self._chance.expovariate(1 / self._late_s) if self._late_s else 0.0))
        return failed_answer("a", OUTCOME_OK, "", (5,), attempts=1)


async def latencies(hedging: Hedging, calls: int) -> list[float]:
    """Gives each call's latency, ascending, at 100 calls a second."""
    loop = asyncio.get_running_loop()

    async def one() -> float:
        began = loop.time()
        await hedging.fetch(QUERY, PERMIT, began + 10.0)
        return loop.time() - began

    asked = []
    for _ in range(calls):
        asked.append(asyncio.create_task(one()))
        await asyncio.sleep(0.01)
    return sorted(await asyncio.gather(*asked))


def test_few_slow_answers_are_cut_after_the_platforms_own_p95() -> None:
    inner = Mixed(slow_share=0.03)

    async def story() -> tuple[list[float], float | None]:
        hedging = Hedging(inner, HedgePolicy(), LoopClock())
        await latencies(hedging, 200)
        return await latencies(hedging, 2_000), hedging.delay_s

    ascending, delay_s = simulated(story())

    assert delay_s == pytest.approx(0.018, rel=0.15)
    assert ascending[int(0.99 * 2_000)] < 0.05


def test_slow_attempts_that_were_cut_short_are_not_forgotten() -> None:
    inner = Mixed(slow_share=0.0)
    policy = HedgePolicy(budget_share=1.0)

    async def story() -> float | None:
        hedging = Hedging(inner, policy, LoopClock())
        await latencies(hedging, 300)
        inner.slow_share = 0.15
        await latencies(hedging, 1_000)
        return hedging.delay_s

    delay_s = simulated(story())

    assert delay_s is not None
    assert delay_s > 0.025


THREE = replace(POLICY, attempts=3)


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


def test_a_caller_that_leaves_cancels_all_three() -> None:
    attempts = [Attempt(5.0), Attempt(5.0), Attempt(5.0)]

    async def story() -> bool:
        hedging = Hedging(Scripted(*attempts), THREE, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        call = asyncio.ensure_future(hedging.fetch(QUERY, PERMIT, 10.0))
        await asyncio.sleep(0.5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await no_tasks_left()

    assert simulated(story())
    assert [attempt.is_cancelled for attempt in attempts] == [True, True, True]


def test_with_three_attempts_and_six_extra_calls_in_a_hundred_five_slow_ones_in_a_hundred_leave_no_tail() -> None:
    inner = Mixed(slow_share=0.05)
    policy = HedgePolicy(attempts=3, budget_share=0.06)

    async def story() -> tuple[list[float], int]:
        hedging = Hedging(inner, policy, LoopClock())
        await latencies(hedging, 1_000)
        before = inner.asked
        return await latencies(hedging, 4_000), inner.asked - before

    ascending, asked = simulated(story())

    assert ascending[int(0.9975 * 4_000)] < 0.06  # of one platform; the p99 of a view of four
    assert asked <= 1.06 * 4_000


def test_answers_that_are_late_by_a_moment_leave_the_budget_to_slow_ones() -> None:
    inner = Mixed(slow_share=0.05, late_s=0.003)
    policy = HedgePolicy(attempts=3, budget_share=0.06)

    async def story() -> tuple[list[float], int]:
        hedging = Hedging(inner, policy, LoopClock())
        await latencies(hedging, 2_000)
        before = inner.asked
        return await latencies(hedging, 4_000), inner.asked - before

    ascending, asked = simulated(story())

    assert ascending[int(0.9975 * 4_000)] < 0.1
    assert asked <= 1.06 * 4_000


def test_a_late_attempt_may_have_the_last_of_the_budget_half_a_delay_later() -> None:
    second = Attempt(0.03)

    async def story() -> float:
        loop = asyncio.get_running_loop()
        budget = CallBudget(0.1, 0, 60.0, LoopClock())
        for _ in range(98):
            budget.note_call(loop.time())
        assert [budget.try_extra() for _ in range(9)] == [True] * 9
        hedging = Hedging(Scripted(Attempt(5.0), second), POLICY, LoopClock(), budget=budget)
        await hedging.fetch(QUERY, PERMIT, 10.0)
        began = loop.time()
        await hedging.fetch(QUERY, PERMIT, 10.0)
        return round(second.began_at - began, 3)

    assert simulated(story()) == 0.15


def test_a_platform_that_is_slow_for_everybody_gets_five_second_attempts_in_a_hundred_at_most() -> None:
    inner = Mixed(slow_share=0.5)
    policy = replace(POLICY, budget_share=0.05)

    async def story() -> None:
        await latencies(Hedging(inner, policy, LoopClock()), 2_000)

    simulated(story())

    assert 2_090 <= inner.asked <= 2_100


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
