"""Calls that cost quota (D16): paid before the platform is asked, repeats too, and given back where nothing was asked."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_OK,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.resilience.hedge import HedgePolicy, Hedging
from gateway.adapters.resilience.quota import QUOTA_DAY, QUOTA_SECOND, Metered, QuotaPolicy, paying
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.domain.answer import Answer
from gateway.ports import Connector
from tests.adapters.quotas import takes
from tests.adapters.simulated import LoopClock, Platforms, Watching, asking, permit, simulated, told


class Paid:
    """A metered platform and its ledger, on the loop's time."""

    def __init__(self, inner: Platforms, **policy: Any) -> None:
        self.inner = inner
        self.clock = LoopClock()
        self.watching = Watching()
        self.policy = QuotaPolicy(**{"interactive_reserve": 0.0, **policy})
        self.ledger = QuotaLedger({"a": self.policy}, self.clock)
        self.pay = paying(self.ledger, "a", self.watching)
        self.metered = self.around(inner)

    def around(self, inner: Connector) -> Metered:
        return Metered(inner, self.policy, self.ledger, self.clock, self.watching)

    async def ask(self, within_s: float = 10.0, *, is_batch: bool = False, bank: str = "one") -> Answer:
        query = asking(bank=bank, is_batch=is_batch)
        return await self.metered.fetch(query, permit(query), self.clock.monotonic() + within_s)


def test_D16_a_spent_quota_is_told_with_its_reset_and_the_platform_is_not_asked() -> None:
    async def story() -> tuple[Answer, int, list[object], list[object]]:
        paid = Paid(Platforms(), calls_per_day=2)
        answers = [await paid.ask() for _ in range(3)]
        return answers[-1], paid.inner.calls, paid.watching.named("refused"), paid.watching.named("left")

    answer, calls, refusals, left = simulated(story())

    assert (answer.outcome, answer.said.reason, calls) == (OUTCOME_QUOTA_EXHAUSTED, QUOTA_DAY, 2)
    assert answer.retry_after_s == 12 * 3_600
    assert answer.detail == "resets at 2026-11-26T00:00:00+08:00"
    assert [category.outcome for category in answer.said.categories] == [OUTCOME_QUOTA_EXHAUSTED]
    assert (refusals, left) == ([QUOTA_DAY], [1, 0, 0])


def test_D16_nothing_exceeds_a_quota_under_ten_times_the_load() -> None:
    async def story() -> tuple[list[float], int, int]:
        paid = Paid(Platforms(takes_s=0.2), calls_per_s=20, calls_per_day=500, bank_calls_per_day=200)
        drawn = random.Random(2)
        asked: list[asyncio.Task[Answer]] = []
        for number in range(10_000):
            await asyncio.sleep(drawn.expovariate(200))
            ask = paid.ask(2.0, bank=f"bank-{number % 4}", is_batch=number % 3 == 0)
            asked.append(asyncio.create_task(ask))
        answers = await asyncio.gather(*asked)
        return paid.inner.began, sum([answer.is_heard for answer in answers]), len(answers)

    began, answered, asked = simulated(story())

    assert len(began) == answered == 500
    assert asked == 10_000
    assert all(later - earlier >= 1.0 - 1e-5 for earlier, later in zip(began, began[20:], strict=False))


def test_a_call_short_by_a_little_waits_for_the_next_second_inside_its_time() -> None:
    async def story() -> tuple[Answer, Answer, Answer]:
        paid = Paid(Platforms(), calls_per_s=2)
        await asyncio.gather(paid.ask(), paid.ask())
        await asyncio.sleep(0.7)
        hurried = paid.ask(0.3)
        patient = paid.ask(10.0)
        at_once = await hurried
        waited = await patient
        await asyncio.sleep(0)
        return at_once, waited, await paid.ask()

    at_once, waited, next_second = simulated(story())

    assert (at_once.outcome, at_once.said.reason) == (OUTCOME_QUOTA_EXHAUSTED, QUOTA_SECOND)
    assert waited.outcome == next_second.outcome == OUTCOME_OK
    assert waited.latency_s == pytest.approx(0.3)


def test_a_wait_longer_than_allowed_is_not_begun() -> None:
    async def story() -> tuple[float, Answer]:
        paid = Paid(Platforms(), calls_per_s=1, longest_wait_s=0.5)
        await paid.ask()
        answer = await paid.ask()
        return paid.clock.monotonic(), answer

    ended_at, answer = simulated(story())

    assert (ended_at, answer.outcome, answer.retry_after_s) == (0.0, OUTCOME_QUOTA_EXHAUSTED, 1.0)


@pytest.mark.parametrize("outcome", [OUTCOME_BREAKER_OPEN, OUTCOME_SKIPPED])
def test_what_was_not_asked_after_all_costs_nothing(outcome: Outcome.ValueType) -> None:
    async def story() -> int | None:
        paid = Paid(Platforms(lambda number: told(outcome)), calls_per_day=5, calls_per_s=1)
        for _ in range(10):
            await paid.ask()
        return paid.ledger.left("a")

    assert simulated(story()) == 5


@pytest.mark.parametrize(
    ("outcome", "reason", "left"),
    [
        (OUTCOME_OK, "", 9),
        (OUTCOME_TIMEOUT, "deadline", 9),
        (OUTCOME_UNREACHABLE, "reset", 9),
        (OUTCOME_UNREACHABLE, "connect", 10),
        (OUTCOME_RATE_LIMITED, "http_429", 10),
        (OUTCOME_AUTH_FAILED, "signature", 10),
    ],
)
def test_what_can_be_on_the_bill_stays_paid(outcome: Outcome.ValueType, reason: str, left: int) -> None:
    async def story() -> tuple[int | None, str]:
        paid = Paid(Platforms(lambda number: told(outcome, reason)), paid_calls_per_day=10)
        await paid.ask()
        return paid.ledger.left("a"), reason

    assert simulated(story()) == (left, reason)


def test_repeats_pay_and_end_with_the_quota() -> None:
    async def story() -> tuple[Answer, Answer, int, int | None]:
        paid = Paid(Platforms(lambda number: told(OUTCOME_UNREACHABLE, "reset")), calls_per_day=4)
        retrying = Retrying(paid.inner, RetryPolicy(attempts=3, backoff_s=0.01), paid.clock, pay=paid.pay)
        paid.metered = paid.around(retrying)
        first, second = await paid.ask(), await paid.ask()
        return first, second, paid.inner.calls, paid.ledger.left("a")

    first, second, calls, left = simulated(story())

    assert (first.attempts, second.attempts, calls, left) == (3, 1, 4, 0)
    assert second.outcome == OUTCOME_UNREACHABLE  # what the platform said, not that its repeat could not be paid for


def test_D15_a_second_attempt_pays_whichever_wins_and_is_not_made_without_quota() -> None:
    async def story() -> tuple[list[int], int, int | None]:
        paid = Paid(Platforms(), calls_per_day=4)
        policy = HedgePolicy(fewest_samples=1, least_delay_s=0.1, longest_delay_s=0.1)
        paid.metered = paid.around(Hedging(paid.inner, policy, paid.clock, pay=paid.pay))
        answers = [await paid.ask()]
        paid.inner.takes_s = 0.3
        answers += [await paid.ask(), await paid.ask()]
        return [answer.attempts for answer in answers], paid.inner.calls, paid.ledger.left("a")

    attempts, calls, left = simulated(story())

    assert (attempts, calls, left) == ([1, 2, 1], 4, 0)


def test_whoever_is_cancelled_while_waiting_has_paid_nothing() -> None:
    async def story() -> int:
        paid = Paid(Platforms(), calls_per_s=2)
        await asyncio.gather(paid.ask(), paid.ask())
        await asyncio.sleep(0.6)
        waiting = asyncio.create_task(paid.ask())
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.sleep(0.3)
        return takes(paid.ledger, 5)

    assert simulated(story()) == 2


@pytest.mark.parametrize(
    "numbers",
    [{"calls_per_s": 0}, {"bank_calls_per_s": -1}, {"calls_per_day": -1}, {"interactive_reserve": 2}],
)
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        QuotaPolicy(**numbers)
