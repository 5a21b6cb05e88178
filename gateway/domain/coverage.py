"""How far the asked categories are known (覆盖率): silence is never shown as innocence.

"None" may be said of a category only where every platform that covers it was heard in full, one of them at least knows the
enterprise, none of them lacks a list year, and no record is shown. Completeness is heard pairs of (platform, category) over
covered pairs; with nothing covered it is unset, never 100 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_SKIPPED,
    Outcome,
)
from gateway.domain.answer import HEARD, category_entry
from gateway.domain.platform import Platform
from gateway.domain.wire import delimited

IN_FULL: Final = 0
IN_PART: Final = 1
MISSING: Final = 2
NOT_COVERED: Final = 3
STRANGER: Final = 4
"""What is known of a category by one platform: it was heard, in full or in part, or was not, or does not hold it.

STRANGER was heard too, and does not know the enterprise (NOT_FOUND).
"""

_NEVER: Final = (0, 0)

Stated = tuple[Outcome.ValueType, str, tuple[int, int] | None]
"""What an answer says on one category: outcome, reason, and data time if it states one of its own."""


class CategoryStanding(NamedTuple):
    """How one platform stands on an asked category: its entry of a view's answer on the wire, and what is known by it.

    `known` is one of IN_FULL, IN_PART, MISSING, NOT_COVERED and STRANGER.
    """

    encoded: bytes
    outcome: Outcome.ValueType
    known: int


def stated_of(said: view_pb2.Answer) -> dict[int, Stated]:
    """Gives what an answer says, by category."""
    stated: dict[int, Stated] = {}
    for entry in said.categories:
        as_of = None
        if entry.HasField("as_of"):
            moment = entry.as_of
            as_of = (moment.seconds, moment.nanos)
        stated[entry.category] = (entry.outcome, entry.reason, as_of)
    return stated


@lru_cache(maxsize=16_384)
def category_standing(
    category: int,
    missing_years: tuple[int, ...] | None,
    said: tuple[Outcome.ValueType, str] | None,
    stated: Stated | None,
    why_refused: str | None,
    shown_count: int,
) -> CategoryStanding:
    """Gives how a platform stands on a category; there are few different standings, so they are kept.

    `missing_years` are the list years that its manifest says it lacks, None where it does not hold the category; `said` are
    outcome and reason of its whole answer, None while it has not answered, and `stated` what that says on the category.
    `why_refused` says why the category is not permitted, in the codes of the view's `Withheld`; None where it is.
    """
    outcome, reason, is_covered, as_of = _stands(missing_years is not None, said, stated, why_refused, shown_count)
    if not is_covered:
        known = NOT_COVERED
    elif outcome == OUTCOME_PARTIAL:
        known = IN_PART
    elif outcome == OUTCOME_NOT_FOUND:
        known = STRANGER
    else:
        known = IN_FULL if outcome in HEARD else MISSING
    encoded = category_entry(category, outcome, reason, shown_count, as_of, missing_years or ())
    return CategoryStanding(encoded, outcome, known)


def _stands(
    is_covered: bool,
    said: tuple[Outcome.ValueType, str] | None,
    stated: Stated | None,
    why_refused: str | None,
    shown_count: int,
) -> tuple[Outcome.ValueType, str, bool, tuple[int, int]]:
    """Gives outcome, reason, whether the category counts as covered, and the data time.

    An answer whose records are all hidden (repaired, revoked, expired) reads as NO_RECORDS: a hidden record leaves no hint.
    Of an answer that was not heard nothing enters the merge, so no category of it was heard either, whatever it says.
    """
    if why_refused is not None:
        return OUTCOME_NOT_CONSENTED, why_refused, is_covered, _NEVER
    if said is None:
        outcome = OUTCOME_SKIPPED if is_covered else OUTCOME_NOT_COVERED
        return outcome, "no_answer_yet" if is_covered else "", is_covered, _NEVER
    if stated is not None and stated[0] in HEARD and said[0] not in HEARD:
        stated = None
    if stated is not None and stated[0] in HEARD:
        outcome, reason, as_of = stated
        is_empty = outcome == OUTCOME_OK and not shown_count
        return OUTCOME_NO_RECORDS if is_empty else outcome, reason, True, as_of or _NEVER
    if not is_covered:
        return OUTCOME_NOT_COVERED, "", False, _NEVER
    if stated is not None:
        outcome, reason, as_of = stated
        return outcome, reason, True, as_of or _NEVER
    outcome, reason = said
    if outcome in HEARD:
        return OUTCOME_BAD_ANSWER, "category_missing", True, _NEVER
    return outcome, reason, True, _NEVER


def basis_points(part: int, whole: int) -> int | None:
    """Gives part over whole in basis points, None when there is no whole."""
    return part * 10_000 // whole if whole else None


class CoverageEntries:
    """Entries of a view's `coverage` on the wire: there are few different ones, so they are kept."""

    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms
        self.entry: Callable[[int, tuple[str, ...], tuple[int, ...], int, int], bytes] = lru_cache(16_384)(self._entry)
        """Gives how far one category is known over all asked platforms.

        Takes the category, the platforms' ids, ascending, what is known by each, how many records are shown, and how many
        of those may be duplicates.
        """

    def _entry(
        self, category: int, asked: tuple[str, ...], known: tuple[int, ...], record_count: int, duplicates: int
    ) -> bytes:
        heard, missing, not_covered = [], [], []
        missing_years: list[view_pb2.MissingYear] = []
        for platform_id, of_platform in zip(asked, known, strict=True):
            if of_platform == NOT_COVERED:
                not_covered.append(platform_id)
            elif of_platform == MISSING:
                missing.append(platform_id)
            else:
                heard.append(platform_id)
            held = self._platforms[platform_id].coverage.get(category)
            if held is not None:
                missing_years += [view_pb2.MissingYear(platform=platform_id, year=year) for year in held.missing_years]
        in_full = IN_FULL in known and not missing and IN_PART not in known
        return _COVERAGE(
            view_pb2.Coverage(
                category=category,  # type: ignore[arg-type]  # enums are ints at run time
                heard=heard,
                missing=missing,
                not_covered=not_covered,
                completeness_bp=basis_points(len(heard), len(heard) + len(missing)),
                is_known_empty=in_full and not record_count and not missing_years,
                record_count=record_count,
                possible_duplicate_count=duplicates,
                missing_years=missing_years,
            ).SerializeToString()
        )


_COVERAGE: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["coverage"])
