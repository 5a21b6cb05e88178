"""Hedging over many calls: the delay that is learnt, the tail that is cut, and the budget that is kept."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK
from gateway.adapters.resilience.budget import CallBudget
from gateway.adapters.resilience.hedge import HedgePolicy, Hedging
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.hedged import PERMIT, PLATFORM, POLICY, QUERY, Attempt, Scripted
from tests.adapters.simulated import LoopClock, simulated


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
