"""What the whole chain holds to under faults over time: outages, a platform on and off, a slow one, a bank's flood."""

from __future__ import annotations

import asyncio
import random
import statistics
from dataclasses import replace
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BREAKER_OPEN,
    OUTCOME_PARTIAL,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
)
from gateway.adapters.resilience.bulkhead import BulkheadPolicy
from gateway.adapters.resilience.chain import ChainPolicy
from gateway.adapters.resilience.hedge import HedgePolicy
from gateway.adapters.resilience.quota import QuotaPolicy
from gateway.domain.answer import HEARD, Answer
from gateway.domain.consent import Permit
from gateway.domain.keeping import KeepingPolicy
from gateway.domain.query import CreditQuery
from tests.adapters.chained import DOWN, FRESH, House, no_tasks_left
from tests.adapters.simulated import Platforms, asking, heard, platform, simulated, told


@pytest.mark.parametrize("seed", range(8))
def test_whatever_platforms_do_every_answer_is_in_time_true_and_leaves_nothing_behind(seed: int) -> None:
    """A thousand queries of drawn deadlines at a platform that is quick, slow, down or overloaded by turns."""
    drawn = random.Random(seed)
    failures = [DOWN, told(OUTCOME_RATE_LIMITED, "http_429", 0.5), told(OUTCOME_PARTIAL), told(OUTCOME_TIMEOUT, "read")]

    class Moody(Platforms):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            self.takes_s = drawn.choice([0.01, 0.05, 0.3, 3.0])
            return await super().fetch(query, permit, fetch_by)

    async def story() -> tuple[list[Answer], House]:
        policy = ChainPolicy(
            cache=KeepingPolicy(longest_s=1.0),
            quota=QuotaPolicy(calls_per_s=50),
            bulkhead=BulkheadPolicy(fewest=2, first=4, most=16, longest_queue=8),
            hedge=HedgePolicy(fewest_samples=10),
        )
        house = House(Moody(lambda number: drawn.choice([heard(), heard(), *failures])), policy=policy)
        asked: list[asyncio.Task[Answer]] = []
        for number in range(1_000):
            await asyncio.sleep(drawn.expovariate(100))
            query: dict[str, Any] = {
                "bank": f"bank-{number % 3}",
                "is_batch": drawn.random() < 0.3,
                "is_stale_acceptable": drawn.random() < 0.3,
                "oldest_acceptable_age_s": drawn.choice([None, 0.0, 0.2]),
            }
            ask = house.ask(drawn.choice([0.03, 0.2, 1.0, 5.0]), **query)
            asked.append(asyncio.create_task(ask))
            if drawn.random() < 0.1:
                asyncio.get_running_loop().call_later(drawn.random(), asked[-1].cancel)
        ended = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(1.0)
        assert await no_tasks_left()
        return [each for each in ended if isinstance(each, Answer)], house

    answers, house = simulated(story())

    assert len(answers) > 800
    assert house.chain.bulkhead.under_way == house.chain.bulkhead.waiting == house.chains.under_way("a") == 0
    for answer in answers:
        assert (answer.outcome in HEARD) or not answer.said.HasField("records")
        assert answer.stale_because is None or answer.cache_age_s is not None


def test_U26_an_outage_costs_at_most_a_fifth_more_calls_and_is_answered_at_once_when_known() -> None:
    async def story() -> tuple[int, int, list[float]]:
        house = House(Platforms(lambda number: DOWN if number > 400 else heard(), takes_s=0.02))
        for _ in range(400):
            await house.ask(**FRESH)
        before = house.inner.calls
        answers = []
        for _ in range(3_000):
            answers.append(await house.ask(**FRESH))
            await asyncio.sleep(0.1)
        refused = [answer.latency_s for answer in answers if answer.outcome == OUTCOME_BREAKER_OPEN]
        return house.inner.calls - before, len(answers) - len(refused), refused

    calls, asked, refused = simulated(story())

    assert asked < 100
    assert calls <= 1.2 * 3_000
    assert len(refused) > 2_900
    assert max(refused) < 0.005


@pytest.mark.parametrize(("half_s", "most_openings", "least_share"), [(10, 30, 0.05), (60, 15, 0.2)])
def test_U26_the_breaker_does_not_flap_over_half_an_hour_of_on_and_off(
    half_s: int, most_openings: int, least_share: float
) -> None:
    """A platform that is down for so many seconds, then well for as many, and so on."""

    async def story() -> tuple[list[object], float]:
        house = House(Platforms(takes_s=0.02))

        def is_well() -> bool:
            return int(house.clock.monotonic() / half_s) % 2 == 1

        house.inner.act = lambda number: heard() if is_well() else DOWN
        well = answered = 0
        while house.clock.monotonic() < 1_800:
            well += is_well()
            answered += (await house.ask(2.0, **FRESH)).is_heard
            await asyncio.sleep(0.2)
        return house.watching.named("breaker"), answered / well

    random.seed(1)  # of the pauses' jitter
    turns, share = simulated(story())

    assert turns.count(True) <= most_openings
    assert turns == [number % 2 == 0 for number in range(len(turns))]
    assert share >= least_share  # and it is not shut for good


def test_D13_one_slow_platform_fills_its_own_pool_and_the_others_stay_quick() -> None:
    async def story(slow_s: float) -> tuple[list[float], int, int]:
        slow = Platforms(lambda n: heard(platform_id="slow"), takes_s=slow_s, facts=platform("slow"))
        quick = [Platforms(lambda n, p=p: heard(platform_id=p), takes_s=0.02, facts=platform(p)) for p in "bcd"]  # type: ignore[misc]
        house = House(slow, *quick, policy=ChainPolicy(bulkhead=BulkheadPolicy(first=20, most=20, longest_queue=10)))
        drawn = random.Random(5)
        latencies: list[float] = []
        peak = 0

        async def ask(number: int) -> None:
            nonlocal peak
            names = ("b", "c", "d", "slow") if number % 2 else ("b", "c", "d")
            query = replace(asking(**FRESH), platforms=names)
            began = house.clock.monotonic()
            answers = await house.ask_all(query, 5.0)
            peak = max(peak, house.chains.by_platform["slow"].bulkhead.under_way)
            assert all(answers[name].is_heard for name in "bcd")
            if "slow" not in names:
                latencies.append(house.clock.monotonic() - began)

        running = []
        for number in range(2_000):
            await asyncio.sleep(drawn.expovariate(200))
            running.append(asyncio.create_task(ask(number)))
        await asyncio.gather(*running)
        return latencies, peak, slow.calls

    well, _, _ = simulated(story(0.02))
    under_load, peak, calls = simulated(story(30.0))

    p99 = [statistics.quantiles(latencies, n=100)[98] for latencies in (well, under_load)]
    assert p99[1] <= 1.1 * p99[0]
    assert peak <= 20
    assert calls < 200  # of a thousand: the others were told at once


def test_C19_a_banks_flood_of_one_platform_costs_that_bank_its_answers_and_hardly_delays_another() -> None:
    async def story(flood_per_s: float) -> tuple[list[float], int, int]:
        policy = ChainPolicy(bulkhead=BulkheadPolicy(fewest=50, first=50, most=50, longest_queue=64))
        drawn = random.Random(7)

        class Varying(Platforms):
            async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
                self.takes_s = drawn.uniform(0.025, 0.075)
                return await super().fetch(query, permit, fetch_by)

        house = House(Varying(), policy=policy)
        latencies: list[float] = []
        refused = {"quiet": 0, "loud": 0}

        async def ask(bank: str) -> None:
            began = house.clock.monotonic()
            answer = await house.ask(2.0, bank=bank, **FRESH)
            if not answer.is_heard:
                refused[bank] += 1
            elif bank == "quiet":
                latencies.append(house.clock.monotonic() - began)

        async def arrive(bank: str, per_s: float) -> None:
            asked = []
            while house.clock.monotonic() < 5.0:
                await asyncio.sleep(drawn.expovariate(per_s))
                asked.append(asyncio.create_task(ask(bank)))
            await asyncio.gather(*asked)

        banks = [("quiet", 100.0), ("loud", flood_per_s)] if flood_per_s else [("quiet", 100.0)]
        await asyncio.gather(*[arrive(*bank) for bank in banks])
        return latencies, refused["quiet"], refused["loud"]

    alone, _, _ = simulated(story(0.0))
    beside, quiet_refused, loud_refused = simulated(story(2_000.0))

    p99 = [statistics.quantiles(latencies, n=100)[98] for latencies in (alone, beside)]
    assert p99[1] < 1.1 * p99[0]
    assert quiet_refused == 0
    assert loud_refused > 3_000  # of some ten thousand, at a platform that bears a thousand a second
