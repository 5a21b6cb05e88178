"""How far the asked categories are known (覆盖率): silence is never shown as innocence.

"None" may be said of a category only where every platform that covers it was heard in full, none of them lacks a list
year, and no record is shown. Completeness is heard pairs of (platform, category) over covered pairs; with nothing covered
it is unset, never 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_SKIPPED,
    Outcome,
)
from gateway.domain.answer import HEARD
from gateway.domain.platform import Platform


class CategoryStanding(NamedTuple):
    """How one platform stands on one asked category: its outcome, the reason, and whether its manifest covers it."""

    outcome: Outcome.ValueType
    reason: str
    is_covered: bool
    said: view_pb2.CategoryAnswer | None


def category_standing(
    platform: Platform,
    category: int,
    said: view_pb2.Answer | None,
    answer: view_pb2.CategoryAnswer | None,
    is_permitted: bool,
    shown_count: int,
) -> CategoryStanding:
    """Gives how a platform stands on a category, `answer` being what it said on it and `shown_count` its shown records.

    An answer whose records are all hidden (repaired, revoked, expired) reads as NO_RECORDS: a hidden record leaves no hint.
    """
    is_covered = platform.covers(category)
    if not is_permitted:
        return CategoryStanding(OUTCOME_NOT_CONSENTED, "", is_covered, None)
    if said is None:
        outcome = OUTCOME_SKIPPED if is_covered else OUTCOME_NOT_COVERED
        return CategoryStanding(outcome, "no_answer_yet" if is_covered else "", is_covered, None)
    if answer is not None and answer.outcome in HEARD:
        outcome = answer.outcome
        if outcome == OUTCOME_OK and not shown_count:
            outcome = OUTCOME_NO_RECORDS
        return CategoryStanding(outcome, answer.reason, True, answer)
    if not is_covered:
        return CategoryStanding(OUTCOME_NOT_COVERED, "", False, None)
    if answer is not None:
        return CategoryStanding(answer.outcome, answer.reason, True, answer)
    if said.outcome in HEARD:
        return CategoryStanding(OUTCOME_BAD_ANSWER, "category_missing", True, None)
    return CategoryStanding(said.outcome, said.reason, True, None)


def basis_points(part: int, whole: int) -> int | None:
    """Gives part over whole in basis points, None when there is no whole."""
    return part * 10_000 // whole if whole else None


def fill_coverage(
    coverage: view_pb2.Coverage,
    standings: Mapping[str, CategoryStanding],
    platforms: Mapping[str, Platform],
    *,
    record_count: int,
) -> None:
    """Says how far one category is known over all asked platforms, `standings` being keyed by platform id, ascending."""
    category = coverage.category
    heard, missing, not_covered = [], [], []
    in_full = True
    for platform_id, standing in standings.items():
        in_full = in_full and standing.outcome != OUTCOME_PARTIAL
        if not standing.is_covered:
            not_covered.append(platform_id)
        elif standing.outcome in HEARD:
            heard.append(platform_id)
        else:
            missing.append(platform_id)
        held = platforms[platform_id].coverage.get(category)
        if held is not None:
            for year in held.missing_years:
                coverage.missing_years.add(platform=platform_id, year=year)
    for listed, names in ((coverage.heard, heard), (coverage.missing, missing), (coverage.not_covered, not_covered)):
        if names:
            listed.extend(names)
    coverage.record_count = record_count
    if heard and not missing and in_full and not record_count and not coverage.missing_years:
        coverage.is_known_empty = True
    completeness = basis_points(len(heard), len(heard) + len(missing))
    if completeness is not None:
        coverage.completeness_bp = completeness


def platform_outcome(said: view_pb2.Answer, standings: Iterable[CategoryStanding]) -> Outcome.ValueType:
    """Gives the outcome of a whole answer as the view shows it: OK only while it shows a record."""
    if said.outcome == OUTCOME_OK and not any(s.outcome == OUTCOME_OK for s in standings):
        return OUTCOME_NO_RECORDS
    return said.outcome
