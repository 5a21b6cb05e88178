"""What may be kept of a platform's answer, for whom, and how long."""

from __future__ import annotations

from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_HOLDER,
    CATEGORY_LICENCE,
    CATEGORY_PENALTY,
    CATEGORY_TAX_PAYMENT,
)
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_TIMEOUT,
    Outcome,
)
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.keeping import AnswerKey, Keeping, KeepingPolicy, KeptAnswer, RepairTombstone, is_void
from gateway.domain.platform import PlatformLimits
from tests.adapters.simulated import DEMO, OTHER, asking, heard, permit, platform

HOUR = 3_600.0
RULES = Keeping(platform(), KeepingPolicy())


def key_of(rules: Keeping = RULES, **query: Any) -> AnswerKey:
    asked = asking(**query)
    return rules.key(asked, permit(asked))


def kept(rules: Keeping, outcome: Outcome.ValueType, *categories: int) -> KeptAnswer | None:
    return rules.kept(heard(outcome), categories, 100.0)


def test_a_public_answer_is_shared_among_banks() -> None:
    assert key_of(bank="one", consent_ids=("c-1",)) == key_of(bank="two")


@pytest.mark.parametrize(
    "other",
    [{"bank": "two"}, {"consent_ids": ("c-2",)}, {"consent_ids": ("c-1@2",)}, {"uscc": OTHER}],
    ids=["another bank", "another consent", "another version of it", "another enterprise"],
)
def test_what_needs_authorisation_is_kept_for_one_bank_under_one_consent(other: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"categories": (CATEGORY_TAX_PAYMENT,), "bank": "one", "consent_ids": ("c-1",)}

    assert key_of(**asked) != key_of(**{**asked, **other})
    assert key_of(**asked) == key_of(**asked)


def test_a_category_the_platform_does_not_cover_makes_nothing_a_banks_own() -> None:
    asked = (CATEGORY_HOLDER, CATEGORY_PENALTY)

    assert key_of(categories=asked, bank="one") == key_of(categories=asked, bank="two")


def test_an_answer_billed_per_bank_is_that_banks_own() -> None:
    rules = Keeping(platform(limits=PlatformLimits(is_billed_per_bank=True)), KeepingPolicy())

    assert key_of(rules, bank="one") != key_of(rules, bank="two")


def test_other_categories_are_another_answer() -> None:
    assert key_of(categories=(CATEGORY_PENALTY,)) != key_of(categories=(CATEGORY_LICENCE, CATEGORY_PENALTY))


def test_an_answer_lives_as_long_as_its_shortest_lived_category_that_is_covered() -> None:
    lifetimes = {category: plan.options.lifetime_s for category, plan in CATALOGUE.by_category.items()}

    long = kept(RULES, OUTCOME_OK, CATEGORY_LICENCE, CATEGORY_TAX_PAYMENT)
    short = kept(RULES, OUTCOME_OK, CATEGORY_LICENCE, CATEGORY_PENALTY)

    assert (long and long.fresh_s) == lifetimes[CATEGORY_LICENCE] == 24 * HOUR
    assert (short and short.fresh_s) == lifetimes[CATEGORY_PENALTY] == 6 * HOUR


def test_a_deployment_can_shorten_a_lifetime_and_forbid_keeping() -> None:
    shorter = kept(Keeping(platform(), KeepingPolicy(longest_s=60)), OUTCOME_OK, CATEGORY_PENALTY)

    assert (shorter and shorter.fresh_s) == 60
    assert kept(Keeping(platform(), KeepingPolicy(longest_s=0)), OUTCOME_OK, CATEGORY_PENALTY) is None
    assert kept(Keeping(platform(), KeepingPolicy(enabled=False)), OUTCOME_OK, CATEGORY_PENALTY) is None


@pytest.mark.parametrize("outcome", [OUTCOME_PARTIAL, OUTCOME_TIMEOUT, OUTCOME_BAD_ANSWER])
def test_only_what_was_heard_whole_is_kept(outcome: Outcome.ValueType) -> None:
    assert kept(RULES, outcome, CATEGORY_PENALTY) is None


def test_what_speaks_for_another_platform_is_not_kept() -> None:
    assert RULES.kept(heard(platform_id="b"), (CATEGORY_PENALTY,), 0.0) is None


@pytest.mark.parametrize("outcome", [OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND])
def test_no_records_live_shorter_and_never_stand_in_for_a_platform(outcome: Outcome.ValueType) -> None:
    negative = kept(RULES, outcome, CATEGORY_PENALTY)

    assert negative is not None
    assert (negative.fresh_s, negative.kept_s) == (600, 600)


def test_the_querys_age_decides_and_without_one_the_lifetime() -> None:
    held = kept(RULES, OUTCOME_OK, CATEGORY_PENALTY)
    assert held is not None

    ages = [(accepted, age) for accepted in (None, 0.0, HOUR, 9 * HOUR) for age in (0.0, HOUR / 2, 5 * HOUR, 8 * HOUR)]

    assert [age for accepted, age in ages if held.is_young_enough(accepted, 100.0 + age)] == [
        *(0.0, HOUR / 2, 5 * HOUR),  # six hours, by the catalogue
        *(0.0, HOUR / 2),
        *(0.0, HOUR / 2, 5 * HOUR, 8 * HOUR),
    ]


def test_a_repair_voids_the_answers_that_hold_its_category() -> None:
    stones = [RepairTombstone(DEMO, CATEGORY_PENALTY)]

    assert is_void(key_of(categories=(CATEGORY_LICENCE, CATEGORY_PENALTY)), stones)
    assert not is_void(key_of(categories=(CATEGORY_LICENCE,)), stones)
    assert not is_void(key_of(uscc=OTHER), stones)
