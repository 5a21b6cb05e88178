"""How far the asked categories are known (覆盖率): silence is never shown as innocence.

"None" may be said of a category only where every platform that covers it was heard in full, none of them lacks a list
year, and no record is shown. Completeness is heard pairs of (platform, category) over covered pairs; with nothing covered
it is unset, never 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

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
from gateway.domain.wire import delimited


class CategoryStanding(NamedTuple):
    """How one platform stands on an asked category: outcome, reason, whether its manifest covers it, its data time."""

    outcome: Outcome.ValueType
    reason: str
    is_covered: bool
    as_of: tuple[int, int] = (0, 0)


def category_standing(
    platform: Platform,
    category: int,
    said: view_pb2.Answer | None,
    answer: view_pb2.CategoryAnswer | None,
    is_permitted: bool,
    shown_count: int,
    refused: Mapping[int, str],
) -> CategoryStanding:
    """Gives how a platform stands on a category, `answer` being what it said on it and `shown_count` its shown records.

    `refused` says why what is not permitted is not, by category, in the codes of the view's `Withheld`.

    An answer whose records are all hidden (repaired, revoked, expired) reads as NO_RECORDS: a hidden record leaves no hint.
    """
    is_covered = platform.covers(category)
    if not is_permitted:
        return CategoryStanding(OUTCOME_NOT_CONSENTED, refused.get(category, ""), is_covered)
    if said is None:
        outcome = OUTCOME_SKIPPED if is_covered else OUTCOME_NOT_COVERED
        return CategoryStanding(outcome, "no_answer_yet" if is_covered else "", is_covered)
    if answer is not None and answer.outcome in HEARD:
        outcome = answer.outcome
        if outcome == OUTCOME_OK and not shown_count:
            outcome = OUTCOME_NO_RECORDS
        return CategoryStanding(outcome, answer.reason, True, _as_of(answer))
    if not is_covered:
        return CategoryStanding(OUTCOME_NOT_COVERED, "", False)
    if answer is not None:
        return CategoryStanding(answer.outcome, answer.reason, True, _as_of(answer))
    if said.outcome in HEARD:
        return CategoryStanding(OUTCOME_BAD_ANSWER, "category_missing", True)
    return CategoryStanding(said.outcome, said.reason, True)


def _as_of(answer: view_pb2.CategoryAnswer) -> tuple[int, int]:
    return (answer.as_of.seconds, answer.as_of.nanos) if answer.HasField("as_of") else (0, 0)


def basis_points(part: int, whole: int) -> int | None:
    """Gives part over whole in basis points, None when there is no whole."""
    return part * 10_000 // whole if whole else None


def coverage_of(
    category: int,
    standings: Mapping[str, CategoryStanding],
    platforms: Mapping[str, Platform],
    *,
    record_count: int,
    duplicates: int,
) -> bytes:
    """Gives how far one category is known over all asked platforms, as an entry of a view's `coverage` on the wire.

    `standings` are keyed by platform id, ascending.
    """
    heard, missing, not_covered = [], [], []
    missing_years: tuple[tuple[str, int], ...] = ()
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
        if held is not None and held.missing_years:
            missing_years += tuple((platform_id, year) for year in held.missing_years)
    known_empty = bool(heard) and not missing and in_full and not record_count and not missing_years
    listed = (tuple(heard), tuple(missing), tuple(not_covered))
    return _coverage_entry(category, listed, missing_years, record_count, duplicates, known_empty)


@lru_cache(maxsize=16_384)
def _coverage_entry(
    category: int,
    listed: tuple[tuple[str, ...], ...],
    missing_years: tuple[tuple[str, int], ...],
    record_count: int,
    duplicates: int,
    known_empty: bool,
) -> bytes:
    heard, missing, not_covered = listed
    return _COVERAGE(
        view_pb2.Coverage(
            category=category,  # type: ignore[arg-type]  # enums are ints at run time
            heard=heard,
            missing=missing,
            not_covered=not_covered,
            completeness_bp=basis_points(len(heard), len(heard) + len(missing)),
            is_known_empty=known_empty,
            record_count=record_count,
            possible_duplicate_count=duplicates,
            missing_years=[view_pb2.MissingYear(platform=platform, year=year) for platform, year in missing_years],
        ).SerializeToString()
    )


_COVERAGE: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["coverage"])


def platform_outcome(said: view_pb2.Answer, standings: Iterable[CategoryStanding]) -> Outcome.ValueType:
    """Gives the outcome of a whole answer as the view shows it: OK only while it shows a record."""
    if said.outcome == OUTCOME_OK and not any(s.outcome == OUTCOME_OK for s in standings):
        return OUTCOME_NO_RECORDS
    return said.outcome
