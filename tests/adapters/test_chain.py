"""The whole chain around a connector, in simulated time: what its order means, and what is told of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BREAKER_OPEN,
    OUTCOME_MAINTENANCE,
    OUTCOME_OK,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_SKIPPED,
)
from gateway.adapters.resilience.bulkhead import BULKHEAD_FULL, BulkheadPolicy
from gateway.adapters.resilience.chain import ChainPolicy
from gateway.adapters.resilience.hedge import HedgePolicy
from gateway.adapters.resilience.in_force import in_force
from gateway.adapters.resilience.quota import MaintenanceWindow, QuotaPolicy
from gateway.adapters.resilience.retry import RetryPolicy
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.dates import CHINA
from gateway.domain.platform import PlatformLimits
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from tests.adapters.chained import DOWN, FRESH, House, no_tasks_left
from tests.adapters.simulated import OTHER, Platforms, asking, heard, platform, simulated


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


def test_C2_without_the_time_for_one_attempt_nobody_is_asked_and_nothing_is_paid() -> None:
    async def story() -> tuple[Answer, Answer, int, int | None, float]:
        house = House(Platforms(), policy=ChainPolicy(quota=QuotaPolicy(calls_per_day=10)))
        early, past = await house.ask(0.04), await house.ask(-1.0)
        return early, past, house.inner.calls, house.ledger.left("a"), house.clock.monotonic()

    early, past, calls, left, at_s = simulated(story())

    assert [(a.outcome, a.said.reason) for a in (early, past)] == [(OUTCOME_SKIPPED, DEADLINE_TOO_SHORT)] * 2
    assert (calls, left, at_s) == (0, 10, 0.0)


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
