"""How each asked platform answered, as it stands in a view: an entry of `CreditView.answers`, put together on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_SKIPPED, Outcome
from gateway.domain.answer import HEARD, OUTCOME_RANK, category_entry
from gateway.domain.choose import Agreement
from gateway.domain.coverage import CategoryStanding, basis_points, platform_outcome
from gateway.domain.dates import days_before
from gateway.domain.platform import Platform
from gateway.domain.wire import delimited, encoder

_ENTRY: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["answers"])
_FIELD: Final = {name: encoder(f) for name, f in view_pb2.PlatformAnswer.DESCRIPTOR.fields_by_name.items()}
_OUTCOMES: Final = {outcome: _FIELD["outcome"](outcome) for outcome in Outcome.values()}
_COMPLETENESS: Final = _FIELD["completeness_bp"]
_AGREEMENT: Final = _FIELD["agreement_bp"]


class PlatformEntry(NamedTuple):
    """A platform's entry on the wire, how many of the asked categories it covers, and on how many of those it was heard."""

    encoded: bytes
    covered: int
    heard: int


def platform_entry(
    platform: Platform,
    said: view_pb2.Answer | None,
    standings: Mapping[int, CategoryStanding],
    counts: Mapping[int, int],
    agreement: Agreement | None,
    as_of: date,
) -> PlatformEntry:
    """Gives the entry of one platform; `said` is None while it has not answered, `counts` its shown records by category."""
    parts = [_platform(platform.id)]
    if said is None:
        parts += (_OUTCOMES[OUTCOME_SKIPPED], _FIELD["reason"]("no_answer_yet"))
    else:
        parts.append(_OUTCOMES[platform_outcome(said, standings.values())])
        if said.reason:
            parts.append(_FIELD["reason"](said.reason))
        if said.drifts:
            parts.append(_FIELD["drifts"](said.drifts))
        if said.outcome in HEARD and said.HasField("as_of"):
            parts.append(_timeliness(said.as_of.seconds, said.as_of.nanos, as_of))
    covered = heard = 0
    for category, (outcome, reason, is_covered, data_time) in standings.items():
        held = platform.coverage.get(category)
        years = held.missing_years if held is not None else ()
        parts.append(category_entry(category, outcome, reason, counts.get(category, 0), data_time, years))
        if is_covered:
            covered += 1
            heard += outcome in HEARD
    completeness = basis_points(heard, covered)
    if completeness is not None:
        parts.append(_COMPLETENESS(completeness))
    if agreement is not None and agreement.comparable:
        parts.append(_AGREEMENT(agreement.equal * 10_000 // agreement.comparable))
    return PlatformEntry(_ENTRY(b"".join(parts)), covered, heard)


@lru_cache(maxsize=1024)
def _platform(platform_id: str) -> bytes:
    return _FIELD["platform"](platform_id)


@lru_cache(maxsize=4096)
def _timeliness(seconds: int, nanos: int, as_of: date) -> bytes:
    """Gives the data time and its age in whole days, or that it lies in the future."""
    days = days_before(seconds, as_of)
    entry = view_pb2.PlatformAnswer(age_days=max(days, 0), is_as_of_in_future=days < 0)
    entry.as_of.seconds, entry.as_of.nanos = seconds, nanos
    return entry.SerializeToString()


def joined(answers: Iterable[view_pb2.Answer]) -> dict[str, view_pb2.Answer]:
    """Joins several answers of one platform by the fixed order of outcomes, then newest as-of, then digest."""
    best: dict[str, view_pb2.Answer] = {}
    for answer in answers:
        platform = answer.platform
        held = best.get(platform)
        best[platform] = answer if held is None else _better(held, answer)
    return best


def _better(held: view_pb2.Answer, other: view_pb2.Answer) -> view_pb2.Answer:
    if other is held:
        return held
    order, others = _order(held), _order(other)
    if order != others:
        return held if order < others else other
    return min(held, other, key=lambda answer: answer.SerializeToString(deterministic=True))


def _order(answer: view_pb2.Answer) -> tuple[Any, ...]:
    return (OUTCOME_RANK[answer.outcome], -answer.as_of.seconds, -answer.as_of.nanos)
