"""Kept views: the merge's own result, for the same question about the same answers on the same day, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_POST_LOAN
from gateway.adapters.state.kept_views import LocalKeptViews
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.figures import figures_of
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery
from gateway.domain.told import told_of_all
from gateway.ports import KeptView
from tests.adapters.simulated import COVERED, DEMO, OTHER, MovedClock, asking, heard, permit

DAY = date(2026, 11, 25)
MIB = 1024 * 1024


def merged(size: int = 10) -> Merged:
    return Merged.of(view_pb2.CreditView(view_id="v" * size))


def views(clock: MovedClock | None = None, most_bytes: int = MIB) -> LocalKeptViews:
    return LocalKeptViews(clock or MovedClock(), most_bytes=most_bytes)


def find(
    kept: LocalKeptViews, query: CreditQuery, answers: list[Answer], *, day: date = DAY, by: Permit | None = None
) -> KeptView | None:
    return kept.find(query, by or permit(query), day, answers)


def test_the_same_question_about_the_same_answers_has_the_same_view() -> None:
    kept, query, answers, made = views(), asking(), [heard(), heard(platform_id="b")], merged()

    given = kept.keep(query, permit(query), DAY, answers, made)

    aged = [answer._replace(cache_age_s=5.0, latency_s=1.0) for answer in answers]
    assert given == KeptView(made, figures_of(made.view), made.view.SerializeToString(), told_of_all(answers))
    assert find(kept, query, aged) is given
    assert find(kept, replace(query, bank="two", request_id="r-2"), answers) is given


@pytest.mark.parametrize(
    "other",
    [
        {"purpose": PURPOSE_POST_LOAN},
        {"categories": COVERED},
        {"platforms": ("a", "b", "c")},
    ],
)
def test_another_question_is_merged_anew(other: dict[str, Any]) -> None:
    kept, query, answers = views(), asking(), [heard()]
    kept.keep(query, permit(query), DAY, answers, merged())

    assert find(kept, replace(query, **other), answers) is None


def test_another_permit_day_enterprise_or_answer_is_merged_anew() -> None:
    kept, query, answers = views(), asking(categories=COVERED), [heard()]
    kept.keep(query, permit(query), DAY, answers, merged())

    assert find(kept, query, answers, by=Permit("test", COVERED[:1])) is None
    assert find(kept, query, answers, by=Permit("other", COVERED)) is None
    assert find(kept, query, answers, day=date(2026, 11, 26)) is None
    assert find(kept, asking(OTHER, COVERED), answers) is None
    assert find(kept, query, [heard(size=1)]) is None
    assert find(kept, query, answers) is not None


def test_an_answer_fetched_anew_that_says_the_same_has_the_same_view() -> None:
    kept, query = views(), asking()
    kept.keep(query, permit(query), DAY, [heard()], merged())

    assert find(kept, query, [heard()]) is not None


def test_views_of_an_enterprise_are_forgotten_together_and_after_a_time() -> None:
    clock = MovedClock()
    kept, answers = views(clock), [heard()]
    for query in (asking(DEMO), asking(DEMO, COVERED), asking(OTHER)):
        kept.keep(query, permit(query), DAY, answers, merged())

    kept.forget(DEMO)
    forgotten = [find(kept, query, answers) for query in (asking(DEMO), asking(DEMO, COVERED))]
    before = find(kept, asking(OTHER), answers)
    clock.at_s = 3_601.0

    assert forgotten == [None, None]
    assert before is not None
    assert find(kept, asking(OTHER), answers) is None


def test_room_is_bounded_in_bytes_and_in_the_views_of_one_enterprise() -> None:
    kept, answers = views(), [heard()]
    many = [asking(code(number)) for number in range(3)]
    for query in many:
        kept.keep(query, permit(query), DAY, answers, merged(60_000))
    large = asking(DEMO)
    kept.keep(large, permit(large), DAY, answers, merged(MIB))
    for number in range(20):
        query = replace(asking(OTHER), purpose=number)
        kept.keep(query, permit(query), DAY, answers, merged())

    assert [find(kept, query, answers) is not None for query in many] == [False, True, True]
    assert find(kept, large, answers) is None
    found = [find(kept, replace(asking(OTHER), purpose=number), answers) is not None for number in range(20)]
    assert found == [False] * 12 + [True] * 8


def code(number: int) -> str:
    """Gives one of three enterprises' codes."""
    return ("91310112MA00007876", "91320211MA0001RNX1", "91330106MA00026J6Q")[number]
