"""The ledger of quotas (D16): nothing is exceeded, what is spent names its time, and a part is kept from batch."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, time, timedelta

import pytest

from gateway.adapters.resilience.quota import (
    INTERACTIVE_RESERVE,
    MAINTENANCE,
    QUOTA_BANK,
    QUOTA_BANK_SECOND,
    QUOTA_DAY,
    QUOTA_PAID,
    QUOTA_SECOND,
    MaintenanceWindow,
    QuotaPolicy,
    Refusal,
    maintenance_spans,
)
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.domain.dates import CHINA
from tests.adapters.quotas import ledger, refused, takes
from tests.adapters.simulated import MovedClock

DAY_S = 86_400.0
MIDNIGHT = datetime(2026, 11, 26, tzinfo=CHINA)


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


def test_a_second_that_ends_while_a_call_is_refused_still_says_when_there_is_room() -> None:
    class Ticking(MovedClock):
        """Goes on with each look, as time does."""

        tick_s = 0.0

        def monotonic(self) -> float:
            self.at_s += self.tick_s
            return super().monotonic()

    refusals = []
    for begins in range(0, 1_000, 10):  # whenever the second ends between the looks of one refusal
        clock = Ticking()
        held = ledger(clock, calls_per_s=1)
        takes(held, 1)
        clock.at_s, clock.tick_s = 0.99 + begins / 100_000, 0.001
        refusals.append(held.take("a", "one", is_batch=False))

    told = [refusal for refusal in refusals if refusal is not None]
    assert len(told) < len(refusals)
    assert {refusal.reason for refusal in told} == {QUOTA_SECOND}
    assert all(0.0 <= refusal.retry_after_s <= 1.0 for refusal in told)


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
