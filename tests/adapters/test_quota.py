"""Quotas and their ledger (D16): nothing is exceeded, what is spent names its time, and a part is kept from batch."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, date, datetime, time, timedelta
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
from gateway.adapters.resilience.quota import (
    INTERACTIVE_RESERVE,
    MAINTENANCE,
    QUOTA_BANK,
    QUOTA_BANK_SECOND,
    QUOTA_DAY,
    QUOTA_PAID,
    QUOTA_SECOND,
    MaintenanceWindow,
    Metered,
    QuotaPolicy,
    Refusal,
    maintenance_spans,
    paying,
)
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.domain.answer import Answer
from gateway.domain.dates import CHINA
from gateway.ports import Connector
from tests.adapters.simulated import (
    LoopClock,
    MovedClock,
    Platforms,
    Watching,
    asking,
    permit,
    simulated,
    told,
)

DAY_S = 86_400.0
MIDNIGHT = datetime(2026, 11, 26, tzinfo=CHINA)


def ledger(clock: MovedClock | LoopClock, **policy: Any) -> QuotaLedger:
    return QuotaLedger({"a": QuotaPolicy(**{"interactive_reserve": 0.0, **policy})}, clock)


def takes(held: QuotaLedger, times: int, bank: str = "one", *, is_batch: bool = False) -> int:
    """Gives how many of so many calls were paid for."""
    return sum([held.take("a", bank, is_batch=is_batch) is None for _ in range(times)])


def refused(held: QuotaLedger, bank: str = "one", *, is_batch: bool = False) -> Refusal:
    refusal = held.take("a", bank, is_batch=is_batch)
    assert refusal is not None
    return refusal


# The ledger


def test_a_day_has_its_calls_and_ends_at_midnight_in_china() -> None:
    clock = MovedClock()
    held = ledger(clock, calls_per_day=3)

    first = takes(held, 5)
    refusal = refused(held)
    clock.at_s = 12 * 3_600 - 0.5
    late = takes(held, 1)
    clock.at_s = 12 * 3_600
    next_day = takes(held, 5)

    assert (first, late, next_day) == (3, 0, 3)
    assert refusal == Refusal(QUOTA_DAY, 12 * 3_600, MIDNIGHT)


def test_D16_a_quota_spent_at_three_in_the_afternoon_names_midnight() -> None:
    clock = MovedClock(datetime(2026, 11, 25, 15, tzinfo=CHINA).astimezone(UTC))
    held = ledger(clock, calls_per_day=1)

    takes(held, 1)

    assert refused(held) == Refusal(QUOTA_DAY, 9 * 3_600, MIDNIGHT)


def test_no_stretch_of_a_second_has_more_calls_than_allowed() -> None:
    clock = MovedClock()
    held = ledger(clock, calls_per_s=10)
    drawn = random.Random(1)
    granted: list[float] = []

    for _ in range(2_000):
        clock.at_s += drawn.expovariate(100)  # ten times what is allowed
        if takes(held, 1):
            granted.append(clock.at_s)

    assert all(later - earlier >= 1.0 - 1e-5 for earlier, later in zip(granted, granted[10:], strict=False))
    assert len(granted) >= 9.5 * clock.at_s  # and hardly a call is lost


def test_less_than_one_call_a_second_is_one_in_so_many_seconds() -> None:
    clock = MovedClock()
    held = ledger(clock, calls_per_s=0.2)

    granted = []
    for _ in range(200):
        clock.at_s += 0.5
        granted.append(takes(held, 1))

    assert sum(granted) == 20
    assert refused(held).reason == QUOTA_SECOND


def test_a_bank_has_its_own_quota_beside_the_others() -> None:
    held = ledger(MovedClock(), calls_per_day=100, bank_calls_per_day=5, bank_calls_per_s=3)

    assert (takes(held, 10, "one"), takes(held, 10, "two")) == (3, 3)
    assert refused(held, "one").reason == QUOTA_BANK_SECOND
    assert held.left("a") == 94


def test_of_several_refusals_the_one_that_lasts_longest_is_told() -> None:
    held = ledger(MovedClock(), calls_per_s=2, bank_calls_per_day=2)

    takes(held, 2)

    assert refused(held).reason == QUOTA_BANK
    assert refused(held, "two").reason == QUOTA_SECOND


def test_a_call_that_one_limit_refuses_is_charged_to_none() -> None:
    held = ledger(MovedClock(), calls_per_day=100, bank_calls_per_day=1)

    takes(held, 50, "one")

    assert held.left("a") == 99


def test_D16_batch_leaves_the_interactive_reserve_of_the_day_alone() -> None:
    held = ledger(MovedClock(), calls_per_day=10, interactive_reserve=0.3)

    batch = takes(held, 20, is_batch=True)
    refusal = refused(held, is_batch=True)
    interactive = takes(held, 20)

    assert (batch, interactive) == (7, 3)
    assert refusal == Refusal(INTERACTIVE_RESERVE, 12 * 3_600, MIDNIGHT)
    assert refused(held).reason == QUOTA_DAY


def test_one_call_of_a_second_is_always_for_batch_to_take() -> None:
    held = ledger(MovedClock(), calls_per_s=1, interactive_reserve=1.0)

    assert takes(held, 2, is_batch=True) == 1


def test_a_call_that_was_not_made_is_given_back_to_its_own_day_and_second_only() -> None:
    clock = MovedClock()
    held = ledger(clock, calls_per_day=2, calls_per_s=2)
    takes(held, 2)

    held.give_back("a", "one", 0.0)
    same_day = takes(held, 2)
    clock.at_s = DAY_S
    takes(held, 1)
    held.give_back("a", "one", 0.0)  # yesterday's

    assert same_day == 1
    assert held.left("a") == 1


def test_only_what_bills_count_is_given_back_of_a_call_that_was_made() -> None:
    held = ledger(MovedClock(), calls_per_day=10, paid_calls_per_day=1)
    takes(held, 1)
    spent = refused(held).reason

    held.give_back("a", "one", 0.0, only_paid=True)

    assert (spent, takes(held, 1)) == (QUOTA_PAID, 1)
    assert refused(held).reason == QUOTA_PAID


def test_a_clock_set_back_over_midnight_finds_what_it_had_spent() -> None:
    clock = MovedClock()
    held = ledger(clock, calls_per_day=2)
    takes(held, 2)

    clock.began += timedelta(days=1)
    takes(held, 1)
    clock.began -= timedelta(days=1)

    assert takes(held, 1) == 0


def test_invented_banks_share_one_quota_and_cost_no_memory() -> None:
    held = ledger(MovedClock(), bank_calls_per_day=1)

    granted = sum([takes(held, 1, f"bank-{number}") for number in range(11_000)])

    assert granted == 10_001


def test_a_platform_without_limits_has_no_quota() -> None:
    held = QuotaLedger({"b": QuotaPolicy()}, MovedClock())

    assert takes(held, 100) == 100
    assert (held.left("a"), held.left("b"), held.reset_at("b")) == (None, None, None)


def test_parts_of_a_quota_keep_the_whole() -> None:
    parts = QuotaPolicy(calls_per_s=10, calls_per_day=1_001, bank_calls_per_day=7).shared_by(4)

    assert (parts.calls_per_s, parts.calls_per_day, parts.bank_calls_per_day) == (2.5, 250, 1)
    assert takes(QuotaLedger({"a": parts}, MovedClock()), 10) * 4 <= 10


# Maintenance


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("00:00-02:00", MaintenanceWindow(time(0), time(2))),
        ("22:00-24:00", MaintenanceWindow(time(22), time(0))),
        ("Sat,sun 22:30-06:00", MaintenanceWindow(time(22, 30), time(6), frozenset({5, 6}))),
    ],
)
def test_maintenance_windows_are_read(text: str, window: MaintenanceWindow) -> None:
    assert MaintenanceWindow.parse(text) == window


@pytest.mark.parametrize("text", ["", "02:00", "02:00-02:00", "25:00-26:00", "Someday 01:00-02:00", "1-2"])
def test_what_is_no_maintenance_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"maintenance window|not enough"):
        MaintenanceWindow.parse(text)


def test_windows_that_touch_or_overlap_are_one_span() -> None:
    windows = [MaintenanceWindow.parse(text) for text in ("23:00-01:00", "01:00-02:00", "01:30-03:00")]

    spans = maintenance_spans(windows, date(2026, 11, 25))

    assert (datetime(2026, 11, 24, 23, tzinfo=CHINA), datetime(2026, 11, 25, 3, tzinfo=CHINA)) in spans
    assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(spans))


def test_during_maintenance_nothing_is_asked_and_its_end_is_named() -> None:
    clock = MovedClock(datetime(2026, 11, 25, 21, 59, tzinfo=CHINA).astimezone(UTC))
    held = ledger(clock, maintenance=(MaintenanceWindow.parse("22:00-06:00"),))

    before = takes(held, 1)
    clock.at_s = 60
    refusal = refused(held)
    clock.at_s += 7 * 3_600
    after_midnight = refused(held)
    clock.at_s += 3_600
    after = takes(held, 1)

    end = datetime(2026, 11, 26, 6, tzinfo=CHINA)
    assert (before, after) == (1, 1)
    assert refusal == Refusal(MAINTENANCE, 8 * 3_600, end)
    assert (after_midnight.retry_after_s, after_midnight.resets_at) == (3_600, end)


def test_a_quota_that_resets_during_maintenance_names_its_end() -> None:
    held = ledger(MovedClock(), calls_per_day=1, maintenance=(MaintenanceWindow.parse("00:00-02:00"),))

    takes(held, 1)

    assert refused(held).resets_at == MIDNIGHT + timedelta(hours=2)


# The wrapper


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
