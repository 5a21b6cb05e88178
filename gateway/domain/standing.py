"""Where a record stands on a given day: in force, disputed, repaired, revoked or expired (信用修复, 公示期).

The status is a last-event register per key, over statements of the recogniser (认定单位) or 信用中国: the latest event wins,
then REPAIRED > REVOKED > VALID. Where neither was heard, all statements are the register. A record that is repaired,
revoked or expired leaves the view without a hint; copies elsewhere that still show it are named to the operator.

A repair that is remembered (`record_repair`) speaks beside them: it is the recogniser's word, though that is silent now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import ListEntry, Penalty
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import (
    RECORD_STATUS_DISPUTED,
    RECORD_STATUS_EXPIRED,
    RECORD_STATUS_REPAIRED,
    RECORD_STATUS_REVOKED,
    RECORD_STATUS_UNSPECIFIED,
    RECORD_STATUS_VALID,
    RecordStatus,
)
from gateway.domain.catalogue import RecordPlan
from gateway.domain.dates import Day, first_day, last_day
from gateway.domain.platform import Tier
from gateway.domain.publication import Publication, event_day
from gateway.domain.record_repair import Remembered
from gateway.domain.statement import AuthorityIds, Statement

HIDDEN: Final = frozenset({RECORD_STATUS_REPAIRED, RECORD_STATUS_REVOKED, RECORD_STATUS_EXPIRED})
WITHDRAWN: Final = frozenset({RECORD_STATUS_REPAIRED, RECORD_STATUS_REVOKED})
_WITHDRAWN: Final[Mapping[int, int]] = {RECORD_STATUS_REPAIRED: 2, RECORD_STATUS_REVOKED: 1}
_NEVER: Final = ((0, 0, 0), 0)
REMOVAL: Final = "removed_on"
_VALIDITY: Final = "valid_to"
_REPAIR: Final = "修复"


def stated_status(
    plan: RecordPlan, ranked: Sequence[Statement], first_count: int
) -> tuple[RecordStatus.ValueType, tuple[str, ...], Statement]:
    """Gives the status the register holds, the platforms whose copies are stale, and the statement whose status it is.

    `ranked` are the statements of one record in the total order, at least two; the first `first_count` speak for the
    recogniser.
    """
    if not any(s.status for s in ranked):
        return RECORD_STATUS_VALID, (), ranked[0]  # most records: nobody speaks of a status
    voices = _recognisers(ranked, first_count) or list(ranked)
    last = max(voices, key=lambda s: _event(plan, s))
    status = last.status or RECORD_STATUS_VALID
    if status in _WITHDRAWN:
        stale = {s.platform.id for s in ranked if s.status not in HIDDEN}
        return status, tuple(sorted(stale)), last
    if status not in (RECORD_STATUS_EXPIRED, RECORD_STATUS_DISPUTED):
        last = next((s for s in ranked if s.status == RECORD_STATUS_DISPUTED), last)
    return last.status or RECORD_STATUS_VALID, (), last


class LastWord(NamedTuple):
    """How the recogniser withdrew a record: by which statement, on which day, and whether REPAIRED or REVOKED."""

    statement: Statement
    day: Day
    status: RecordStatus.ValueType


def last_word(plan: RecordPlan, ranked: Sequence[Statement], first_count: int, today: Day) -> LastWord | None:
    """Gives how the recogniser withdrew a record, by its status or by a day of removal that is past.

    None where it did not, or was silent.
    """
    last: tuple[tuple[Day, int], Statement, LastWord | None] | None = None
    for statement in _recognisers(ranked, first_count):
        word = _withdrawal(plan, statement, today)
        event = (word.day, _WITHDRAWN[word.status]) if word is not None else _event(plan, statement)
        if last is None or event > last[0]:
            last = (event, statement, word)
    return None if last is None else last[2]


def is_removed(plan: RecordPlan, record: Any, today: Day) -> bool:
    """Whether a record states a day of removal (移出日期) that is past."""
    return _has_removal(plan) and record.HasField(REMOVAL) and _is_over(plan, record, REMOVAL, today)


def still_listing(ranked: Sequence[Statement], first_count: int) -> Statement | None:
    """Gives the recogniser's statement where it was heard and states no removal; copies that do count for nothing then.

    `ranked` are those of a list's entry, as in `stated_status`.
    """
    voices = _recognisers(ranked, first_count)
    return None if not voices or any(s.record.HasField(REMOVAL) for s in voices) else voices[0]


def _has_removal(plan: RecordPlan) -> bool:
    return any(field.name == REMOVAL for field in plan.expiry)


def _withdrawal(plan: RecordPlan, statement: Statement, today: Day) -> LastWord | None:
    if statement.status in WITHDRAWN:
        return LastWord(statement, _event(plan, statement)[0], statement.status)
    record = statement.record
    if not is_removed(plan, record, today):
        return None
    is_repair = _REPAIR in record.removal_reason
    return LastWord(
        statement, first_day(record.removed_on), RECORD_STATUS_REPAIRED if is_repair else RECORD_STATUS_REVOKED
    )


def is_remembered_gone(
    plan: RecordPlan,
    ranked: Sequence[Statement],
    first_count: int,
    repairs: Sequence[Remembered],
    authority_ids: AuthorityIds,
) -> bool:
    """Whether a remembered repair of the record hides it: no later event of its recogniser undoes it.

    What was heard of a platform that speaks of the record now is not asked; what an operator stated counts for records of
    the authority it was stated for only.
    """
    speaking = {s.platform.id for s in ranked}
    stated = {authority_of(plan, s.record, authority_ids) for s in ranked} - {""}
    newest = max(
        (
            (repair.day, _WITHDRAWN.get(repair.status, 0))
            for repair in repairs
            if (repair.platform not in speaking if repair.platform else not stated or repair.authority in stated)
        ),
        default=None,
    )
    if newest is None:
        return False
    return newest >= max((_event(plan, s) for s in _recognisers(ranked, first_count)), default=_NEVER)


def authority_of(plan: RecordPlan, record: Any, authority_ids: AuthorityIds) -> str:
    """Gives the canonical id of who recognised a record, "" where it does not tell."""
    field = next((field for field in plan.fields if field.is_authority), None)
    return authority_ids(getattr(record, field.name)) if field is not None else ""


def _recognisers(ranked: Sequence[Statement], first_count: int) -> list[Statement]:
    return [s for i, s in enumerate(ranked) if i < first_count or s.platform.tier == Tier.CREDIT_CHINA]


def _event(plan: RecordPlan, statement: Statement) -> tuple[Day, int]:
    record = statement.record
    envelope = record.envelope
    day = first_day(envelope.status_on) if envelope.status_on.year else _began(plan, record)
    return day, _WITHDRAWN.get(statement.status, 0)


def _began(plan: RecordPlan, record: Any) -> Day:
    return event_day([getattr(record, field.name) for field in plan.event])


def has_run_out(plan: RecordPlan, record: Any, publication: Publication, may_state_end: bool = True) -> bool:
    """Whether the merged record's validity, stay or publication is over on the publication's day.

    The last day itself still counts: a record ends at midnight after it, China time. `may_state_end` is False where it is
    known that the record's envelope states no end of publication.
    """
    today = publication.today
    for field in plan.expiry:
        if record.HasField(field.name) and _is_over(plan, record, field.name, today):
            return True
    if not plan.is_adverse:
        return False
    end = publication_end(plan, record, publication, may_state_end)
    return end is not None and end < today


def _is_over(plan: RecordPlan, record: Any, name: str, today: Day) -> bool:
    """Whether one date ends the record before today.

    An end before the record's own day ends nothing: databases write 1900-01-01 for none, and a burden must not be hidden by
    it. Of a validity it is believed, since what is in force speaks for the enterprise.
    """
    end = last_day(getattr(record, name))
    return end < today and (name == _VALIDITY or end >= _began(plan, record))


def publication_end(plan: RecordPlan, record: Any, publication: Publication, may_state_end: bool = True) -> Day | None:
    """Gives the last day of publication: the stated one, or the longest the rules allow, whichever comes first."""
    stated = None
    if may_state_end and record.envelope.HasField("publish_end"):
        stated = last_day(record.envelope.publish_end)
        if stated < _began(plan, record):  # as above
            stated = None
    if isinstance(record, Penalty):
        longest = publication.end_of_penalty(record)
    elif isinstance(record, ListEntry) and last_day(record.due_off) < _began(plan, record):  # none, or none to believe
        longest = publication.end_of_stay(record)
    else:
        longest = None
    if stated is None or longest is None:
        return longest if stated is None else stated
    return min(stated, longest)


def shown_status(status: RecordStatus.ValueType) -> RecordStatus.ValueType:
    """Gives the status a shown record carries."""
    if status in (RECORD_STATUS_UNSPECIFIED, RECORD_STATUS_EXPIRED):
        return RECORD_STATUS_VALID
    return status
