"""The bulkhead (D13): a slow platform fills its own pool only, and no place is lost or given twice."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    Outcome,
)
from gateway.adapters.resilience.bulkhead import Bulkhead, BulkheadPolicy
from gateway.application.fan_out import fan_out
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, SimulatedLoop, simulated
from tests.adapters.slow_platform import CATEGORY, PERMIT, QUERY, Slow, begin

BATCH_QUERY = replace(QUERY, is_batch=True)
FULL = failed_answer("a", OUTCOME_SKIPPED, "bulkhead_full", (CATEGORY,))


def fixed(places: int, queue: int) -> BulkheadPolicy:
    """Gives a policy whose limit stays where it is."""
    return BulkheadPolicy(fewest=places, first=places, most=places, longest_queue=queue)


def marked(name: str, *, is_batch: bool = False) -> CreditQuery:
    return replace(QUERY, request_id=name, is_batch=is_batch)


def test_no_more_calls_are_under_way_than_there_are_places() -> None:
    inner = Slow()

    async def story() -> list[Answer]:
        bulkhead = Bulkhead(inner, fixed(3, 100), LoopClock())
        return await asyncio.gather(*(begin(bulkhead) for _ in range(9)))

    answers = simulated(story())

    assert (inner.most_under_way, len(inner.asked)) == (3, 9)
    assert [answer.latency_s for answer in answers] == [1.0] * 3 + [2.0] * 3 + [3.0] * 3


def test_with_pool_and_queue_full_the_platform_is_not_asked_and_the_answer_is_at_once() -> None:
    inner = Slow()

    async def story() -> Answer:
        bulkhead = Bulkhead(inner, fixed(2, 1), LoopClock())
        others = [begin(bulkhead) for _ in range(3)]
        await asyncio.sleep(0)
        answer = await bulkhead.fetch(QUERY, PERMIT, 10.0)
        await asyncio.wait(others)
        return answer

    answer = simulated(story())

    assert answer == FULL
    assert len(inner.asked) == 3


def test_who_waits_longest_goes_first_and_interactive_queries_before_batch_ones() -> None:
    inner = Slow()
    names = [("first", False), ("b1", True), ("i1", False), ("b2", True), ("i2", False)]

    async def story() -> None:
        bulkhead = Bulkhead(inner, fixed(1, 10), LoopClock())
        await asyncio.gather(*(begin(bulkhead, marked(name, is_batch=is_batch)) for name, is_batch in names))

    simulated(story())

    assert [query.request_id for query in inner.asked] == ["first", "i1", "i2", "b1", "b2"]


def test_in_a_full_queue_an_interactive_query_takes_the_room_of_the_youngest_batch_query() -> None:
    inner = Slow()
    names = [("first", False), ("b1", True), ("b2", True), ("b3", True), ("i1", False)]

    async def story() -> list[Answer]:
        bulkhead = Bulkhead(inner, fixed(1, 2), LoopClock())
        return await asyncio.gather(*(begin(bulkhead, marked(name, is_batch=is_batch)) for name, is_batch in names))

    answers = simulated(story())

    assert [query.request_id for query in inner.asked] == ["first", "i1", "b1"]
    assert (answers[2], answers[3]) == (FULL, FULL)


def test_a_wait_ends_when_the_time_left_is_too_short_to_ask() -> None:
    inner = Slow(5.0)

    async def story() -> tuple[Answer, float, int]:
        bulkhead = Bulkhead(inner, fixed(1, 10), LoopClock())
        first = begin(bulkhead)
        await asyncio.sleep(0)
        answer = await bulkhead.fetch(QUERY, PERMIT, 2.0)
        ended, waiting = LoopClock().monotonic(), bulkhead.waiting
        await first
        return answer, ended, waiting

    answer, ended, waiting = simulated(story())

    assert answer == FULL._replace(latency_s=1.95)
    assert (ended, waiting, len(inner.asked)) == (1.95, 0, 1)


def test_without_the_time_to_ask_nobody_waits() -> None:
    async def story() -> Answer:
        bulkhead = Bulkhead(Slow(), fixed(1, 10), LoopClock())
        first = begin(bulkhead)
        await asyncio.sleep(0)
        answer = await bulkhead.fetch(QUERY, PERMIT, 0.04)
        await first
        return answer

    answer = simulated(story())

    assert answer == FULL


def test_a_place_handed_over_too_late_to_ask_goes_to_the_next() -> None:
    class Blocking(Slow):
        """Holds the loop up for a while once it has its answer."""

        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            answer = await super().fetch(query, permit, fetch_by)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SimulatedLoop)
            loop.jump(1.5)
            return answer

    inner = Blocking(1.0)

    async def story() -> tuple[Outcome.ValueType, Outcome.ValueType, int]:
        bulkhead = Bulkhead(inner, fixed(1, 10), LoopClock())
        first = begin(bulkhead)
        await asyncio.sleep(0)
        hurried, patient = begin(bulkhead, time_s=2.0), begin(bulkhead)
        await asyncio.wait([first, hurried, patient])
        return hurried.result().outcome, patient.result().outcome, bulkhead.under_way

    came_out = simulated(story())

    assert came_out == (OUTCOME_SKIPPED, OUTCOME_OK, 0)
    assert len(inner.asked) == 2


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    inner = Slow()

    async def story() -> tuple[bool, int, int, int]:
        bulkhead = Bulkhead(inner, fixed(1, 1), LoopClock())
        first, waiter = begin(bulkhead), begin(bulkhead)
        await asyncio.sleep(0.5)
        waiter.cancel()
        await asyncio.wait([waiter])
        waiting_then = bulkhead.waiting
        await asyncio.wait([first, begin(bulkhead)])
        return waiter.cancelled(), waiting_then, bulkhead.waiting, bulkhead.under_way

    trace = simulated(story())

    assert trace == (True, 0, 0, 0)
    assert len(inner.asked) == 2


def test_a_place_handed_to_a_waiter_in_the_moment_of_its_cancellation_is_not_lost() -> None:
    inner = Slow()

    async def story() -> tuple[bool, Outcome.ValueType, int]:
        bulkhead = Bulkhead(inner, fixed(1, 10), LoopClock())
        first, handed, next_one = begin(bulkhead), begin(bulkhead), begin(bulkhead)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)  # the place is handed over, and who has it has not woken yet
        handed.cancel()
        await asyncio.wait([handed, next_one])
        return handed.cancelled(), next_one.result().outcome, bulkhead.under_way

    came_out = simulated(story())

    assert came_out == (True, OUTCOME_OK, 0)


def test_a_place_given_back_passes_over_a_waiter_cancelled_in_the_same_moment() -> None:
    async def story() -> tuple[bool, Outcome.ValueType, int]:
        bulkhead = Bulkhead(Slow(), fixed(1, 10), LoopClock())
        first, cancelled, next_one = begin(bulkhead), begin(bulkhead), begin(bulkhead)
        await asyncio.sleep(0)
        first.cancel()
        cancelled.cancel()
        await asyncio.wait([cancelled, next_one])
        return cancelled.cancelled(), next_one.result().outcome, bulkhead.under_way

    came_out = simulated(story())

    assert came_out == (True, OUTCOME_OK, 0)


def test_a_connector_that_breaks_gives_its_place_back() -> None:
    class Broken(Slow):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            raise ValueError("broke its word")

    async def story() -> int:
        bulkhead = Bulkhead(Broken(), fixed(1, 0), LoopClock())
        for _ in range(3):
            with pytest.raises(ValueError, match="broke its word"):
                await bulkhead.fetch(QUERY, PERMIT, 10.0)
        return bulkhead.under_way

    under_way = simulated(story())

    assert under_way == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_callers_do_no_place_is_lost_or_given_twice(seed: int) -> None:
    chance = random.Random(seed)
    inner = Slow(lambda: chance.choice((0.0, 0.1, 0.1, 0.1, 0.5)))
    policy = BulkheadPolicy(fewest=2, first=3, most=6, longest_queue=4, least_attempt_s=0.05, tolerance=1.5)

    async def story() -> tuple[int, int, int]:
        bulkhead = Bulkhead(inner, policy, LoopClock())
        calls: list[asyncio.Task[Answer]] = []
        for _ in range(400):
            query = BATCH_QUERY if chance.random() < 0.4 else QUERY
            calls.append(begin(bulkhead, query, chance.choice((0.01, 0.1, 0.3, 2.0))))
            if chance.random() < 0.4:
                chance.choice(calls).cancel()
            if chance.random() < 0.1:
                inner.outcome = chance.choice((OUTCOME_OK, OUTCOME_OK, OUTCOME_OK, OUTCOME_RATE_LIMITED))
            for _ in range(chance.choice((0, 0, 1, 2))):
                await asyncio.sleep(0)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.choice((0.0, 0.05, 0.1)))
            assert 0 <= inner.under_way <= bulkhead.under_way <= policy.most
            assert bulkhead.waiting <= policy.longest_queue
            # Whoever waits does so for want of a place, once those that were cancelled just now are gone.
            await asyncio.sleep(0)
            assert bulkhead.waiting == 0 or bulkhead.under_way >= bulkhead.limit
        await asyncio.wait(calls)
        return bulkhead.under_way, bulkhead.waiting, inner.under_way

    left = simulated(story())

    assert left == (0, 0, 0)
    assert len(inner.asked) > 50


def test_D13_a_slow_platform_fills_its_own_pool_only() -> None:
    slow, well = Slow(30.0, id="a"), Slow(0.01, id="b")
    policy = BulkheadPolicy(first=16, longest_queue=8)
    query = replace(QUERY, platforms=("a", "b"))
    of_the_well: list[Answer] = []
    of_the_slow: list[Answer] = []

    async def story() -> int:
        clock = LoopClock()
        pools = {"a": Bulkhead(slow, policy, clock), "b": Bulkhead(well, policy, clock)}

        def landed(answer: Answer) -> None:
            (of_the_slow if answer.platform == "a" else of_the_well).append(answer)

        loop = asyncio.get_running_loop()
        queries = []
        for _ in range(500):
            queries.append(asyncio.create_task(fan_out(pools, query, PERMIT, loop.time() + 5.0, landed)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*queries)
        return pools["a"].under_way + pools["b"].under_way + pools["a"].waiting

    left = simulated(story())

    assert {(answer.outcome, round(answer.latency_s, 6)) for answer in of_the_well} == {(OUTCOME_OK, 0.01)}
    assert {answer.outcome for answer in of_the_slow} == {OUTCOME_TIMEOUT, OUTCOME_SKIPPED}
    assert (len(of_the_well), len(of_the_slow), slow.most_under_way, left) == (500, 500, 16, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"fewest": 0},
        {"fewest": 65},
        {"most": 63},
        {"longest_queue": -1},
        {"tolerance": 1.0},
        {"memory_s": 0.0},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|between"):
        BulkheadPolicy(**settings)  # type: ignore[arg-type]
