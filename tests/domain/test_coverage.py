"""How far a category is known: silence is not innocence, and neither is not being known."""

from __future__ import annotations

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY
from gateway.domain.answer import Answer
from tests.domain.worlds import PLATFORMS, view_of


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
