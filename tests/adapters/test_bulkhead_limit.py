"""The bulkhead's limit (D13): it follows what a platform can bear, falls when that falls, and comes back."""

from __future__ import annotations

import asyncio
import random

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.resilience.bulkhead import AdaptiveLimit, Bulkhead, BulkheadPolicy
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, simulated
from tests.adapters.slow_platform import PERMIT, QUERY, Slow, begin


class Queueing(Slow):
    """A platform that works on so many calls at once and lets the others queue, as an overloaded one does."""

    def __init__(self, works_on: int, takes_s: float) -> None:
        super().__init__(takes_s)
        self.works_on = asyncio.Semaphore(works_on)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        async with self.works_on:
            return await super().fetch(query, permit, fetch_by)


class Watcher:
    """Notes the limit's moves; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    def limit_moved(self, platform: str, calls: int) -> None:
        assert platform == "a"
        self.limits.append(calls)

    def call_repeated(self, platform: str) -> None: ...

    def call_hedged(self, platform: str, *, won: bool) -> None: ...

    def breaker_turned(self, platform: str, *, is_open: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


async def keep_busy(
    bulkhead: Bulkhead, seconds: float, callers: int, time_s: float = 10.0, rest_s: float = 0.01
) -> list[Outcome.ValueType]:
    """Lets so many callers ask over and over; gives how each call came out."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    heard: list[Outcome.ValueType] = []

    async def caller() -> None:
        while loop.time() < end:
            fetch_by = loop.time() + time_s
            try:
                async with asyncio.timeout_at(fetch_by):
                    heard.append((await bulkhead.fetch(QUERY, PERMIT, fetch_by)).outcome)
            except TimeoutError:
                heard.append(OUTCOME_TIMEOUT)
            await asyncio.sleep(rest_s)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return heard


def test_the_limit_grows_while_callers_wait_and_the_platform_does_not_slow_down() -> None:
    watcher = Watcher()
    inner = Slow(0.1)

    async def story() -> list[Outcome.ValueType]:
        bulkhead = Bulkhead(inner, BulkheadPolicy(first=10, most=80, longest_queue=200), LoopClock(), watcher)
        return await keep_busy(bulkhead, 5.0, callers=150)

    simulated(story())

    assert watcher.limits == [20, 40, 80]
    assert inner.most_under_way == 80


def test_the_limit_stays_while_nobody_waits() -> None:
    watcher = Watcher()

    async def story() -> None:
        bulkhead = Bulkhead(Slow(0.1), BulkheadPolicy(first=10), LoopClock(), watcher)
        await keep_busy(bulkhead, 5.0, callers=10)

    simulated(story())

    assert watcher.limits == []


def test_on_a_platform_that_queues_the_limit_settles_near_what_it_can_work_on() -> None:
    watcher = Watcher()

    async def story() -> None:
        policy = BulkheadPolicy(fewest=2, first=10, longest_queue=500)
        bulkhead = Bulkhead(Queueing(20, 0.1), policy, LoopClock(), watcher)
        await keep_busy(bulkhead, 60.0, callers=200)

    simulated(story())

    settled = watcher.limits[len(watcher.limits) // 2 :]
    assert 20 <= min(settled) <= max(settled) <= 60


def test_D13_a_platform_that_answers_nobody_in_time_falls_to_the_floor_and_recovers() -> None:
    inner = Slow(0.1)
    policy = BulkheadPolicy(fewest=8, first=64, longest_queue=10)

    async def story() -> tuple[int, int]:
        bulkhead = Bulkhead(inner, policy, LoopClock())
        await keep_busy(bulkhead, 5.0, callers=64)
        inner.takes_s = 30.0
        await keep_busy(bulkhead, 200.0, callers=100, time_s=3.0, rest_s=0.5)
        fallen = bulkhead.limit
        inner.takes_s = 0.1
        await keep_busy(bulkhead, 20.0, callers=64)
        return fallen, bulkhead.limit

    fallen, recovered = simulated(story())

    assert fallen == 8
    assert recovered >= 50


def test_calls_that_never_ended_do_not_become_what_is_usual() -> None:
    limit = AdaptiveLimit(BulkheadPolicy(fewest=8, first=10), 0.0)
    for _ in range(10):
        limit.note(OUTCOME_OK, 0.0, 0.1)
    for second in range(3, 600, 3):
        limit.note(OUTCOME_TIMEOUT, second - 3.0, float(second))
    fallen = limit.calls

    limit.is_short = True
    for _ in range(10):
        limit.note(OUTCOME_OK, 600.0, 601.0)

    assert (fallen, limit.calls) == (8, 8)


def test_one_slow_answer_in_five_moves_nothing() -> None:
    watcher = Watcher()
    chance = random.Random(1)

    async def story() -> None:
        inner = Slow(lambda: 1.0 if chance.random() < 0.2 else chance.uniform(0.08, 0.12))
        bulkhead = Bulkhead(inner, BulkheadPolicy(first=20), LoopClock(), watcher)
        await keep_busy(bulkhead, 60.0, callers=20)

    simulated(story())

    assert watcher.limits == []


def test_a_platform_slower_for_good_is_in_the_end_asked_as_much_again() -> None:
    inner = Slow(0.1)
    limits: list[int] = []

    async def story() -> None:
        bulkhead = Bulkhead(inner, BulkheadPolicy(fewest=8, first=40, longest_queue=100, memory_s=60.0), LoopClock())
        await keep_busy(bulkhead, 5.0, callers=40)
        inner.takes_s = 0.4
        for _ in range(20):
            await keep_busy(bulkhead, 12.0, callers=40)
            limits.append(bulkhead.limit)

    simulated(story())

    assert min(limits) == 8
    assert limits[-1] >= 40


def test_being_told_to_slow_down_lowers_the_limit_once_for_the_calls_under_way() -> None:
    watcher = Watcher()
    inner = Slow(1.0)
    inner.outcome = OUTCOME_RATE_LIMITED

    async def story() -> None:
        bulkhead = Bulkhead(inner, BulkheadPolicy(fewest=10, first=50), LoopClock(), watcher)
        await asyncio.gather(*(begin(bulkhead) for _ in range(50)))
        await asyncio.gather(*(begin(bulkhead) for _ in range(5)))

    simulated(story())

    assert watcher.limits == [40, 32]


def test_quick_failures_say_nothing_about_latency() -> None:
    watcher = Watcher()
    inner = Slow(0.1)

    async def story() -> None:
        bulkhead = Bulkhead(inner, BulkheadPolicy(first=20), LoopClock(), watcher)
        await keep_busy(bulkhead, 5.0, callers=20)
        inner.takes_s, inner.outcome = 0.001, OUTCOME_UNREACHABLE
        await keep_busy(bulkhead, 5.0, callers=20)
        inner.takes_s, inner.outcome = 0.1, OUTCOME_OK
        await keep_busy(bulkhead, 5.0, callers=20)

    simulated(story())

    assert watcher.limits == []
