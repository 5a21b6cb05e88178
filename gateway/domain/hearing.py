"""How each asked platform answered, as it stands in a view: an entry of `CreditView.answers`, put together on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NO_RECORDS, OUTCOME_OK, OUTCOME_SKIPPED, Outcome
from gateway.domain.answer import HEARD, OUTCOME_RANK
from gateway.domain.coverage import MISSING, NOT_COVERED, Stated, basis_points, category_standing
from gateway.domain.dates import days_before
from gateway.domain.figures import PlatformFigures
from gateway.domain.platform import Platform
from gateway.domain.statement import Reading
from gateway.domain.wire import delimited, encoder

_ENTRY: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["answers"])
_FIELD: Final = {name: encoder(f) for name, f in view_pb2.PlatformAnswer.DESCRIPTOR.fields_by_name.items()}


PlatformEntry = tuple[bytes, PlatformFigures, Sequence[int], int, int]
"""A platform's entry on the wire, its figures, and what is known by it of each asked category, in their order.

Then how many of the asked categories it covers, and on how many of those it was heard.
"""


def platform_entry(
    platform: Platform,
    reading: Reading | None,
    asked: Mapping[int, str | None],
    counts: Mapping[int, int],
    agreement_bp: int | None,
    as_of: date,
) -> PlatformEntry:
    """Gives the entry of one platform; `reading` is None while it has not answered.

    `asked` are the categories, each with why it is refused, None where it is permitted; `counts` the platform's shown
    records by category.
    """
    outcome, reason, data_time, stated = OUTCOME_SKIPPED, "no_answer_yet", b"", _NOTHING
    age_days = whole = said = None
    if reading is not None:
        said = reading.answer.said
        outcome, reason = whole = said.outcome, said.reason
        stated = reading.stated
        if outcome in HEARD and (reading.as_of != _EPOCH or said.HasField("as_of")):
            data_time, age_days = _timeliness(reading.as_of, as_of)
    entries: list[bytes] = []
    known: list[int] = []
    record_count = covered = heard = 0
    shows_one = False
    coverage = platform.coverage
    for category, why_refused in asked.items():
        count = counts.get(category, 0)
        held = coverage.get(category)
        years = held.missing_years if held is not None else None
        entry, stands, knowledge = category_standing(category, years, whole, stated.get(category), why_refused, count)
        entries.append(entry)
        known.append(knowledge)
        record_count += count
        shows_one = shows_one or stands == OUTCOME_OK
        if knowledge != NOT_COVERED:
            covered += 1
            heard += knowledge != MISSING
    if outcome == OUTCOME_OK and not shows_one:  # OK only while it shows a record
        outcome = OUTCOME_NO_RECORDS
    completeness_bp, measures = _measures(heard, covered, agreement_bp)
    encoded = b"".join((_heading(platform.id, outcome, reason), *entries, data_time, measures))
    if said is not None and (drifts := said.drifts):
        encoded += _FIELD["drifts"](drifts)
    # Every view has one for each platform; the class's own call costs three times as much.
    figures = tuple.__new__(PlatformFigures, (outcome, record_count, completeness_bp, agreement_bp, age_days))
    return _ENTRY(encoded), figures, known, covered, heard


_NOTHING: Final[Mapping[int, Stated]] = MappingProxyType({})
_EPOCH: Final = (0, 0)


@lru_cache(maxsize=4096)
def _heading(platform_id: str, outcome: Outcome.ValueType, reason: str) -> bytes:
    """Gives the first three fields of an entry."""
    return view_pb2.PlatformAnswer(platform=platform_id, outcome=outcome, reason=reason).SerializeToString()


@lru_cache(maxsize=4096)
def _timeliness(moment: tuple[int, int], as_of: date) -> tuple[bytes, int]:
    """Gives the data time and its age in whole days, or that it lies in the future; then the age alone."""
    seconds, nanos = moment
    days = days_before(seconds, as_of)
    entry = view_pb2.PlatformAnswer(age_days=max(days, 0), is_as_of_in_future=days < 0)
    entry.as_of.seconds, entry.as_of.nanos = seconds, nanos
    return entry.SerializeToString(), entry.age_days


@lru_cache(maxsize=16_384)
def _measures(heard: int, covered: int, agreement_bp: int | None) -> tuple[int | None, bytes]:
    """Gives the completeness, and it and the agreement as fields of an entry."""
    completeness_bp = basis_points(heard, covered)
    completeness = _FIELD["completeness_bp"](completeness_bp) if completeness_bp is not None else b""
    return completeness_bp, completeness + (_FIELD["agreement_bp"](agreement_bp) if agreement_bp is not None else b"")


def joined(readings: Iterable[Reading]) -> dict[str, Reading]:
    """Joins several answers of one platform by the fixed order of outcomes, then newest as-of, then digest."""
    best: dict[str, Reading] = {}
    for reading in readings:
        platform = reading.answer.said.platform
        held = best.get(platform)
        best[platform] = reading if held is None else _better(held, reading)
    return best


def _better(held: Reading, other: Reading) -> Reading:
    if other.answer.said is held.answer.said:
        return held
    order, others = _order(held), _order(other)
    if order != others:
        return held if order < others else other
    return min(held, other, key=lambda reading: reading.answer.said.SerializeToString(deterministic=True))


def _order(reading: Reading) -> tuple[int, int, int]:
    seconds, nanos = reading.as_of
    return (OUTCOME_RANK[reading.answer.said.outcome], -seconds, -nanos)
