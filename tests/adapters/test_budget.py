"""The budget of extra calls over a sliding window, and the quantile that says when an answer is late."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.resilience.budget import CallBudget
from gateway.adapters.resilience.quantile import Quantile


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at


def granted(budget: CallBudget, wanted: int) -> int:
    return sum(budget.try_extra() for _ in range(wanted))


def test_extra_calls_are_a_share_of_the_calls() -> None:
    budget = CallBudget(0.1, 0, 60.0, FakeClock())
    for _ in range(70):
        budget.note_call(FakeClock().at)

    extras = granted(budget, 100)

    assert extras == 7


def test_a_platform_that_is_seldom_asked_has_the_floor() -> None:
    budget = CallBudget(0.1, 3, 60.0, FakeClock())
    budget.note_call(FakeClock().at)

    extras = granted(budget, 100)

    assert extras == 3


def test_a_share_of_what_is_allowed_can_be_left_to_others() -> None:
    budget = CallBudget(0.1, 0, 60.0, FakeClock())
    for _ in range(200):
        budget.note_call(FakeClock().at)

    sparing = sum(budget.try_extra(spared=0.1) for _ in range(100))

    assert (sparing, granted(budget, 100)) == (18, 2)


def test_a_floor_too_low_to_share_is_left_to_whoever_comes_first() -> None:
    budget = CallBudget(0.1, 3, 60.0, FakeClock())

    assert sum(budget.try_extra(spared=0.1) for _ in range(100)) == 3


def test_the_floor_is_no_addition_to_the_share() -> None:
    budget = CallBudget(0.1, 3, 60.0, FakeClock())
    for _ in range(50):
        budget.note_call(FakeClock().at)

    extras = granted(budget, 100)

    assert extras == 5


def test_extra_calls_are_granted_again_once_the_old_ones_have_left_the_window() -> None:
    clock = FakeClock()
    budget = CallBudget(0.1, 2, 60.0, clock)
    at_first = granted(budget, 5)

    clock.at += 50.0
    within = granted(budget, 5)
    clock.at += 15.0
    after = granted(budget, 5)

    assert (at_first, within, after) == (2, 0, 2)


def test_calls_that_have_left_the_window_earn_nothing() -> None:
    clock = FakeClock()
    budget = CallBudget(0.1, 0, 60.0, clock)
    for _ in range(1_000):
        budget.note_call(clock.at)

    clock.at += 3_600.0
    extras = granted(budget, 5)

    assert extras == 0


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(0.0, 90.0)), min_size=1, max_size=60),
    st.integers(0, 3),
)
def test_no_order_of_calls_wins_more_than_the_share_and_the_floor_of_each_window(
    steps: list[tuple[int, int, float]], floor: int
) -> None:
    clock = FakeClock()
    budget = CallBudget(0.1, floor, 60.0, clock)
    calls = extras = 0

    for made, wanted, pause_s in steps:
        for _ in range(made):
            budget.note_call(clock.at)
        calls += made
        extras += granted(budget, wanted)
        clock.at += pause_s

    windows = (clock.at - 1_000.0) // 60.0 + 2
    assert extras <= 0.1 * calls + floor * windows + 1e-6


def test_there_is_no_estimate_before_enough_was_seen() -> None:
    quantile = Quantile(0.95, fewest=20)

    estimates = []
    for _ in range(20):
        quantile.note(0.1)
        estimates.append(quantile.value_s)

    assert estimates[:19] == [None] * 19
    assert estimates[19] == pytest.approx(0.1, rel=0.1)


def test_the_estimate_is_near_the_true_quantile() -> None:
    chance = random.Random(3)
    quantile = Quantile(0.95, fewest=100)

    for _ in range(1_500):
        quantile.note(chance.uniform(0.0, 1.0))

    assert quantile.value_s == pytest.approx(0.95, rel=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_five_slow_answers_in_a_hundred_do_not_make_slow_the_rule(seed: int) -> None:
    chance = random.Random(seed)
    quantile = Quantile(0.95, fewest=100)
    estimates = []

    for _ in range(4_000):
        quantile.note(1.0 if chance.random() < 0.05 else chance.uniform(0.006, 0.018))
        estimates.append(quantile.value_s or 0.0)

    assert sum(estimate > 0.025 for estimate in estimates) < 0.05 * len(estimates)
    assert min(estimates[100:]) > 0.016


def test_a_platform_that_became_slower_is_known_anew_within_some_hundred_calls() -> None:
    quantile = Quantile(0.95, fewest=100)
    for _ in range(10_000):
        quantile.note(0.02)

    for _ in range(300):
        quantile.note(0.2)

    assert quantile.value_s == pytest.approx(0.2, rel=0.1)


def test_durations_beyond_every_bucket_are_taken_as_the_longest_and_the_shortest() -> None:
    long, short = Quantile(0.95, fewest=1), Quantile(0.95, fewest=1)

    long.note(100_000.0)
    short.note(0.0)

    assert long.value_s == pytest.approx(180.0, rel=0.1)
    assert short.value_s == 0.001
