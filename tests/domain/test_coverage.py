"""How far a view's categories are known: silence is never shown as innocence, and neither is not being known."""

from __future__ import annotations

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_ABNORMAL_OPERATION,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
)
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit
from gateway.domain.merge import Merger
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery
from tests.domain.test_merge import AUTHORITY_IDS, SETTINGS, TODAY, merged, penalty, said
from tests.domain.worlds import PLATFORMS, USCC, view_of


def test_missing_list_years_are_named_and_nothing_is_called_empty() -> None:
    view = merged(CATEGORY_LIST_ENTRY, said("jiangsu", CATEGORY_LIST_ENTRY), said("anhui", CATEGORY_LIST_ENTRY)).view

    coverage = view.coverage[0]
    assert (coverage.is_known_empty, [(m.platform, m.year) for m in coverage.missing_years]) == (
        False,
        [("jiangsu", 2019)],
    )


def test_empty_is_known_only_when_everyone_who_covers_it_was_heard() -> None:
    heard = said("anhui", CATEGORY_ABNORMAL_OPERATION)
    failed = failed_answer("jiangsu", view_pb2.OUTCOME_TIMEOUT, "deadline", [CATEGORY_ABNORMAL_OPERATION])

    assert merged(CATEGORY_ABNORMAL_OPERATION, heard).view.coverage[0].is_known_empty
    assert not merged(CATEGORY_ABNORMAL_OPERATION, heard, failed).view.coverage[0].is_known_empty
    assert (
        not merged(CATEGORY_ABNORMAL_OPERATION, heard, platforms=("anhui", "shanghai")).view.coverage[0].is_known_empty
    )


@pytest.mark.parametrize("outcome", [view_pb2.OUTCOME_TIMEOUT, view_pb2.OUTCOME_BAD_ANSWER])
def test_no_category_of_an_answer_that_was_not_heard_was_heard(outcome: view_pb2.Outcome.ValueType) -> None:
    answer = said("anhui", CATEGORY_PENALTY, penalty())
    answer.said.outcome = outcome

    view = merged(CATEGORY_PENALTY, answer).view

    assert (view.answers[0].outcome, view.answers[0].categories[0].outcome) == (outcome, outcome)
    assert (view.completeness_bp, view.coverage[0].is_known_empty, list(view.coverage[0].missing)) == (
        0,
        False,
        ["anhui"],
    )


def test_with_nothing_covered_completeness_is_unset() -> None:
    bare = Platform("bare", "bare", "bare", Tier.HUB)
    merger = Merger(
        CATALOGUE, {"bare": bare}, AUTHORITY_IDS, SETTINGS.crosswalk, SETTINGS.publication, SETTINGS.divisions
    )
    query = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, (CATEGORY_PENALTY,), ("bare",))

    view = merger.merge([], query, Permit("test", (CATEGORY_PENALTY,)), TODAY).view

    assert not view.HasField("completeness_bp")
    assert not view.coverage[0].is_known_empty


def answer(platform: str, outcome: view_pb2.Outcome.ValueType) -> Answer:
    said = view_pb2.Answer(platform=platform, outcome=outcome)
    said.categories.add(category=CATEGORY_PENALTY, outcome=outcome)
    return Answer(said=said)


def test_where_no_platform_that_covers_it_knows_the_enterprise_a_category_is_not_called_empty() -> None:
    strangers = [answer(platform, view_pb2.OUTCOME_NOT_FOUND) for platform in PLATFORMS]
    known = answer(strangers[0].platform, view_pb2.OUTCOME_NO_RECORDS)

    by_nobody = view_of(strangers).coverage[0]
    by_one = view_of([known, *strangers[1:]]).coverage[0]

    assert (by_nobody.is_known_empty, list(by_nobody.heard)) == (False, sorted(PLATFORMS))
    assert by_one.is_known_empty
