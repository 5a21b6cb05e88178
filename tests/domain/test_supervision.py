"""Samples for inspection: exact totals, reproducible by anybody, whatever the order of the population."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import ConfigError, InvalidRequestError
from gateway.domain.supervision import SupervisionClass, allotted, classed, draw, supervision_schemes_of

GOOD, WARNED, BAD, WORST = SupervisionClass
SHIPPED = Path(__file__).parents[2] / "config" / "supervision.toml"
SCHEME = supervision_schemes_of(tomllib.loads(SHIPPED.read_text("utf-8")))["QUALITY_YRD"]
SIZES = {"守信": 31_000, "警示": 9_200, "失信": 2_600, "严重失信": 431}
GRADES = [grade for grade, size in SIZES.items() for _ in range(size)]
POPULATION = [(f"{index:018}", grade) for index, grade in enumerate(GRADES)]


def test_10147_enterprises_are_drawn_exactly_and_again_the_same_in_any_order() -> None:
    shuffled = list(POPULATION)
    random.Random(7).shuffle(shuffled)

    first = draw(classed(SCHEME, POPULATION), SCHEME.basis_points, "2026-巢湖", 10_147)
    again = draw(classed(SCHEME, shuffled), SCHEME.basis_points, "2026-巢湖", 10_147)
    other = draw(classed(SCHEME, POPULATION), SCHEME.basis_points, "2027-巢湖", 10_147)

    assert sum(len(one.usccs) for one in first) == 10_147
    assert [one.population_count for one in first] == list(SIZES.values())
    assert first == again
    assert first[0].usccs != other[0].usccs
    assert set(first[3].usccs) == {uscc for uscc, grade in POPULATION if grade == "严重失信"}


def test_without_a_total_the_shares_are_rounded_once_for_all() -> None:
    sizes = {GOOD: 33, WARNED: 33, BAD: 33, WORST: 1}
    shares = {GOOD: 500, WARNED: 500, BAD: 500, WORST: 5_000}  # 1.65 of each three, and a half: 5.45

    counts = allotted(sizes, shares, 0)

    assert sum(counts.values()) == 5
    assert counts == {GOOD: 1, WARNED: 2, BAD: 2, WORST: 0}


@given(
    st.fixed_dictionaries({each: st.integers(0, 500) for each in SupervisionClass}),
    st.fixed_dictionaries({each: st.integers(0, 10_000) for each in SupervisionClass}),
    st.integers(0, 2_000),
)
def test_the_allotment_is_exact_and_overfills_no_class(
    sizes: Mapping[SupervisionClass, int], shares: Mapping[SupervisionClass, int], total: int
) -> None:
    most = sum(size for each, size in sizes.items() if shares[each])
    if total > most:
        with pytest.raises(InvalidRequestError):
            allotted(sizes, shares, total)
        return

    counts = allotted(sizes, shares, total)

    exact = sum(sizes[each] * shares[each] for each in SupervisionClass)
    assert sum(counts.values()) == (total or (exact + 5_000) // 10_000)
    assert all(0 <= counts[each] <= sizes[each] for each in SupervisionClass)
    assert all(counts[each] == 0 for each in SupervisionClass if not shares[each])


def test_a_larger_share_only_adds_to_a_sample() -> None:
    population = classed(SCHEME, POPULATION[:5_000])
    less = draw(population, {**SCHEME.basis_points, GOOD: 300}, "s")
    more = draw(population, {**SCHEME.basis_points, GOOD: 900}, "s")

    assert set(less[0].usccs) < set(more[0].usccs)


def test_an_unknown_grade_or_a_code_given_twice_is_refused_by_its_place() -> None:
    for population, field in (([("a", "守信"), ("b", "优秀")], "[1].grade_raw"), ([("a", "守信")] * 2, "[1].uscc")):
        with pytest.raises(InvalidRequestError) as raised:
            classed(SCHEME, population)
        assert raised.value.field == f"population{field}"


def test_every_fault_of_a_scheme_is_told() -> None:
    with pytest.raises(ConfigError) as raised:
        supervision_schemes_of(
            {"scheme": {"X": {"classes": {"好": "FINE"}, "basis_points": {"TRUSTWORTHY": 20_000, "WARNED": 1}}}}
        )

    assert [fault.split(": ")[1] for fault in raised.value.faults] == [
        "scheme.X.title_zh",
        "scheme.X.classes.好",
        "scheme.X.basis_points.DISHONEST",
        "scheme.X.basis_points.SEVERELY_DISHONEST",
        "scheme.X.basis_points.TRUSTWORTHY",
    ]
