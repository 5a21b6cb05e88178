"""The whole chain around a connector, in simulated time: what its order means, and what it holds to under faults."""

from __future__ import annotations

import asyncio
import random
import statistics
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BREAKER_OPEN,
    OUTCOME_MAINTENANCE,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
)
from gateway.adapters.resilience.bulkhead import BULKHEAD_FULL, BulkheadPolicy
from gateway.adapters.resilience.chain import Chain, ChainPolicy, Chains, resilient
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.resilience.hedge import HedgePolicy
from gateway.adapters.resilience.in_force import in_force
from gateway.adapters.resilience.quota import MaintenanceWindow, QuotaPolicy
from gateway.adapters.resilience.retry import RetryPolicy
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.application.fan_out import fan_out
from gateway.domain.answer import HEARD, Answer
from gateway.domain.consent import Permit
from gateway.domain.dates import CHINA
from gateway.domain.keeping import KeepingPolicy
from gateway.domain.platform import PlatformLimits
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from tests.adapters.simulated import (
    OTHER,
    LoopClock,
    Platforms,
    Watching,
    asking,
    heard,
    permit,
    platform,
    simulated,
    told,
)

FRESH: dict[str, Any] = {"oldest_acceptable_age_s": 0.0}
"""Has the platform asked for this very query."""
DOWN = told(OUTCOME_UNREACHABLE, "http_503")


class House:
    """Chains around platforms, as the composition root builds them, on the loop's time."""

    def __init__(self, *inner: Platforms, policy: ChainPolicy | None = None, clock: LoopClock | None = None) -> None:
        self.clock = clock or LoopClock()
        self.watching = Watching()
        self.inner = inner[0]
        policy = policy or ChainPolicy()
        self.ledger = QuotaLedger({each.platform.id: policy.quota for each in inner}, self.clock)
        cache = LocalAnswerCache(self.clock, most_answers=10_000, most_bytes=2**24)
        flights = Flights()
        self.chains = Chains(
            {
                each.platform.id: resilient(each, policy, self.ledger, cache, flights, self.clock, self.watching)
                for each in inner
            },
            self.ledger,
            cache,
            flights,
        )

    @property
    def chain(self) -> Chain:
        return self.chains.by_platform["a"]

    async def ask(self, within_s: float = 10.0, **more: Any) -> Answer:
        """Asks platform "a" as the fan-out does: it is cancelled when its time is up."""
        return (await self.ask_all(asking(**more), within_s))["a"]

    async def ask_all(self, query: CreditQuery, within_s: float = 10.0) -> dict[str, Answer]:
        landed: dict[str, Answer] = {}
        began = self.clock.monotonic()

        def land(answer: Answer) -> None:
            landed[answer.platform] = answer

        await fan_out(self.chains.doors, query, permit(query), began + within_s, land, self.chains)
        assert self.clock.monotonic() <= began + max(within_s, 0.0) + 0.05
        return landed


async def no_tasks_left() -> bool:
    for _ in range(3):
        await asyncio.sleep(0)
    return asyncio.all_tasks() == {asyncio.current_task()}


# What the order means


def test_what_is_kept_is_given_though_quota_is_spent_and_the_platform_is_down() -> None:
    async def story() -> tuple[list[int], int]:
        house = House(
            Platforms(lambda number: heard() if number == 1 else DOWN),
            policy=ChainPolicy(quota=QuotaPolicy(calls_per_day=1)),
        )
        answers = [await house.ask(), await house.ask(**FRESH), await house.ask()]
        return [answer.outcome for answer in answers], house.inner.calls

    assert simulated(story()) == ([OUTCOME_OK, OUTCOME_QUOTA_EXHAUSTED, OUTCOME_OK], 1)


def test_a_call_an_open_breaker_refuses_costs_no_quota() -> None:
    async def story() -> tuple[int, int | None, int | None]:
        policy = ChainPolicy(quota=QuotaPolicy(calls_per_day=1_000), retry=RetryPolicy(attempts=1))
        house = House(Platforms(lambda number: DOWN), policy=policy)
        while (await house.ask(**FRESH)).outcome != OUTCOME_BREAKER_OPEN:
            await asyncio.sleep(0.01)
        before = house.ledger.left("a")
        for _ in range(100):
            await house.ask(**FRESH)
        return house.inner.calls, before, house.ledger.left("a")

    calls, before, after = simulated(story())

    assert before == after == 1_000 - calls


def test_a_full_bulkhead_does_not_open_the_breaker() -> None:
    async def story() -> tuple[int, bool, int]:
        policy = ChainPolicy(bulkhead=BulkheadPolicy(fewest=2, first=2, most=2, longest_queue=0))
        house = House(Platforms(takes_s=1.0), policy=policy)
        answers = await asyncio.gather(*[house.ask(**FRESH) for _ in range(50)])
        full = [answer for answer in answers if answer.said.reason == BULKHEAD_FULL]
        assert all(answer.outcome == OUTCOME_SKIPPED for answer in full)
        return len(full), house.chain.breaker.is_open, house.inner.calls

    assert simulated(story()) == (48, False, 2)


def test_a_repeat_keeps_its_place_and_a_breaker_sees_one_failure_of_it_all() -> None:
    async def story() -> tuple[int, int, bool]:
        policy = ChainPolicy(
            bulkhead=BulkheadPolicy(fewest=1, first=1, most=1), retry=RetryPolicy(attempts=3, budget_floor=100)
        )
        house = House(Platforms(lambda number: DOWN), policy=policy)
        answers = [await house.ask(**FRESH) for _ in range(4)]
        return sum([answer.attempts for answer in answers]), house.inner.calls, house.chain.breaker.is_open

    assert simulated(story()) == (12, 12, False)


def test_D16_repeats_and_second_attempts_never_exceed_the_day_and_the_reset_is_named() -> None:
    async def story() -> tuple[int, Answer]:
        drawn = random.Random(3)

        def act(number: int) -> Answer:
            return DOWN if drawn.random() < 0.3 else heard()

        policy = ChainPolicy(
            quota=QuotaPolicy(calls_per_day=100),
            hedge=HedgePolicy(fewest_samples=1, least_delay_s=0.01, longest_delay_s=0.01, budget_share=1.0),
            retry=RetryPolicy(budget_share=1.0),
        )
        house = House(Platforms(act, takes_s=0.1), policy=policy)
        answers = [await house.ask(**FRESH) for _ in range(300)]
        return house.inner.calls, answers[-1]

    calls, last = simulated(story())

    assert calls == 100
    assert (last.outcome, last.said.reason) == (OUTCOME_QUOTA_EXHAUSTED, "quota_day")
    assert last.detail == "resets at 2026-11-26T00:00:00+08:00"


def test_D15_the_answer_of_whichever_attempt_wins_is_kept_once_and_paid_for_by_all() -> None:
    class SlowFirst(Platforms):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            self.takes_s = 5.0 if self.calls == 1 else 0.02
            return await super().fetch(query, permit, fetch_by)

    async def story() -> tuple[Answer, int, int | None, Answer, list[float]]:
        policy = ChainPolicy(
            quota=QuotaPolicy(calls_per_day=10),
            hedge=HedgePolicy(fewest_samples=1, least_delay_s=0.1, longest_delay_s=0.1),
        )
        house = House(SlowFirst(), policy=policy)
        await house.ask(**FRESH)
        answer = await house.ask(**FRESH)
        again = await house.ask()
        assert await no_tasks_left()
        assert house.watching.named("hedged") == [True]
        return answer, house.inner.calls, house.ledger.left("a"), again, house.inner.cancelled_at

    answer, calls, left, again, cancelled_at = simulated(story())

    assert (answer.outcome, answer.attempts, calls, left, len(cancelled_at)) == (OUTCOME_OK, 2, 3, 7, 1)
    assert answer.latency_s == pytest.approx(0.12)
    assert again.said is answer.said


@pytest.mark.parametrize(
    "facts",
    [{"limits": PlatformLimits(is_metered=True)}, {"is_direct": False}, {"is_idempotent": False}],
    ids=["metered", "polled", "not idempotent"],
)
def test_a_platform_that_must_not_be_asked_twice_at_once_is_not(facts: dict[str, Any]) -> None:
    async def story() -> int:
        policy = ChainPolicy(hedge=HedgePolicy(fewest_samples=1, least_delay_s=0.1, longest_delay_s=0.1))
        house = House(Platforms(facts=platform(**facts)), policy=policy)
        await house.ask(**FRESH)
        house.inner.takes_s = 1.0
        await house.ask(**FRESH)
        return house.inner.calls

    assert simulated(story()) == 2


def test_during_maintenance_the_platform_is_left_alone_and_kept_answers_are_given() -> None:
    async def story() -> tuple[list[tuple[int, str]], int, str]:
        window = MaintenanceWindow.parse("13:00-14:00")
        house = House(Platforms(), policy=ChainPolicy(quota=QuotaPolicy(maintenance=(window,))))
        await house.ask()
        await asyncio.sleep(3_600)
        answers = [await house.ask(), await house.ask(**FRESH)]
        return [(answer.outcome, answer.said.reason) for answer in answers], house.inner.calls, answers[-1].detail

    answers, calls, detail = simulated(story())

    assert answers == [(OUTCOME_OK, ""), (OUTCOME_MAINTENANCE, "window")]
    assert (calls, detail) == (1, "ends at 2026-11-25T14:00:00+08:00")


# The deadline


def test_C2_without_the_time_for_one_attempt_nobody_is_asked_and_nothing_is_paid() -> None:
    async def story() -> tuple[Answer, Answer, int, int | None, float]:
        house = House(Platforms(), policy=ChainPolicy(quota=QuotaPolicy(calls_per_day=10)))
        early, past = await house.ask(0.04), await house.ask(-1.0)
        return early, past, house.inner.calls, house.ledger.left("a"), house.clock.monotonic()

    early, past, calls, left, at_s = simulated(story())

    assert [(a.outcome, a.said.reason) for a in (early, past)] == [(OUTCOME_SKIPPED, DEADLINE_TOO_SHORT)] * 2
    assert (calls, left, at_s) == (0, 10, 0.0)


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


# Faults over time


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


def test_what_is_in_force_is_told_with_the_wrappers_that_have_nothing_to_do() -> None:
    async def story() -> list[tuple[str, str]]:
        house = House(Platforms(facts=platform(limits=PlatformLimits(is_metered=True))))
        return [(each.name, each.inactive_because) for each in in_force(house.chains, "a")]

    assert simulated(story()) == [
        ("cache", ""),
        ("quota", "nothing limits the platform"),
        ("breaker", ""),
        ("bulkhead", ""),
        ("retry", ""),
        ("hedge", "its calls are billed"),
    ]


def test_a_quotas_state_is_told_with_its_reset() -> None:
    async def story() -> dict[str, str]:
        window = MaintenanceWindow.parse("sat,Sun 22:00-06:00")
        house = House(Platforms(), policy=ChainPolicy(quota=QuotaPolicy(calls_per_day=5, maintenance=(window,))))
        await house.ask()
        quota = in_force(house.chains, "a")[1]
        return {**quota.state, "maintenance": quota.settings["maintenance"]}

    midnight = datetime(2026, 11, 26, tzinfo=CHINA).isoformat()
    assert simulated(story()) == {"left_today": "4", "resets_at": midnight, "maintenance": "Sat,Sun 22:00-06:00"}


def test_an_enterprises_answers_are_forgotten_at_all_platforms_or_at_one() -> None:
    async def story() -> list[int]:
        names = ("a", "b")
        house = House(*[Platforms(lambda n, p=p: heard(platform_id=p), facts=platform(p)) for p in names])  # type: ignore[misc]
        query = replace(asking(), platforms=names)
        await house.ask_all(query)
        one = await house.chains.forget(query.uscc.value, "b")
        rest = await house.chains.forget(query.uscc.value)
        await house.ask_all(query)
        other = await house.chains.forget(OTHER)
        return [one, rest, other, house.inner.calls]

    assert simulated(story()) == [1, 1, 0, 2]
