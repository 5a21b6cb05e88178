"""When a list entry's stay ends, and from when an entry, a penalty or another adverse record may be repaired (信用修复).

The list's own early exit decides where it states one. Where it does not, the shortest publication does that the order in
force on the day of the repair demands of what is serious: NDRC order 58 until 2026-03-31, order 36 from 2026-04-01; days are
China's. Of a penalty it is that of its severity, from the day of its decision. A list of honours has nothing to repair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import (
    JOINT_FIELD_FOOD_AND_DRUG,
    PENALTY_DOMAIN_FOOD_AND_DRUG,
    PENALTY_DOMAIN_SAFETY,
    ListEntry,
    Penalty,
)
from gateway.domain.catalogue import RecordPlan
from gateway.domain.dates import Day, day_of, last_day, plus_months
from gateway.domain.errors import EntryStateError, InvalidRequestError, RepairStateError
from gateway.domain.joint_lists import JointEntry, JointList
from gateway.domain.publication import PublicationRule, severity_of

_SERIOUS: Final = "serious"
_SENSITIVE: Final = frozenset({PENALTY_DOMAIN_FOOD_AND_DRUG, PENALTY_DOMAIN_SAFETY})


def stay_ends(about: JointList, listed_on: date) -> date | None:
    """Gives the first day on which an entry is no more listed by itself; None where its list knows no stay."""
    return None if about.stay_months is None else _after(day_of(listed_on), about.stay_months)


def require_repairable(about: JointList, entry: JointEntry, on: date, rules: Sequence[PublicationRule]) -> None:
    """Raises EntryStateError, saying from when and by which rule, where a repair on that day comes too early."""
    if about.is_reward:
        raise EntryStateError(f"{about.code} is a list of honours: an entry is withdrawn, never repaired")
    months, source = _shortest(about, on, rules)
    earliest = _after(day_of(entry.listed_on), months)
    if on < earliest:
        raise EntryStateError(f"an entry listed on {entry.listed_on} may be repaired from {earliest} on, by {source}")


def require_record_repairable(
    plan: RecordPlan,
    record: Any,
    on: date,
    today: date,
    rules: Sequence[PublicationRule],
    lists: Mapping[str, JointList],
) -> None:
    """Raises InvalidRequestError for a day that cannot be, RepairStateError where it is too early, saying from when."""
    began = max((last_day(getattr(record, field.name)) for field in plan.event), default=(0, 0, 0))
    if not began[0]:
        names = ", ".join(field.name for field in plan.event)
        raise InvalidRequestError("record", f"state its day ({names}): the time until a repair counts from it")
    try:
        began_on = date(*began)
    except ValueError as error:
        raise InvalidRequestError("record", "states a day that is none") from error
    if on > today:
        raise InvalidRequestError("repaired_on", "must not be after today")
    months, source = 0, "the day of the record itself"
    if isinstance(record, Penalty):
        months, source = _shortest_of_penalty(record, on, rules)
    elif isinstance(record, ListEntry):
        about = lists.get(record.list_code)
        if about is None:
            raise InvalidRequestError("record", f"no list {record.list_code!r}; see JointListService.ListJointLists")
        if about.is_reward:
            raise RepairStateError(f"{about.code} is a list of honours: an entry is withdrawn, never repaired")
        months, source = _shortest(about, on, rules)
    earliest = _after(began, months)
    if on < earliest:
        raise RepairStateError(f"a record of {began_on} may be repaired from {earliest} on, by {source}")


def _shortest_of_penalty(penalty: Penalty, on: date, rules: Sequence[PublicationRule]) -> tuple[int, str]:
    rule = next((rule for rule in rules if rule.holds(on)), None)
    if rule is None:
        return 0, ""
    months = rule.min_months.get(severity_of(penalty), 0)
    if months and penalty.domain in _SENSITIVE and rule.sensitive_min_months is not None:
        months = max(months, rule.sensitive_min_months)
    return months, rule.title_zh


def _shortest(about: JointList, on: date, rules: Sequence[PublicationRule]) -> tuple[int, str]:
    if about.early_exit_months is not None:
        return about.early_exit_months, about.source or about.code
    rule = next((rule for rule in rules if rule.holds(on)), None)
    if rule is None:
        return 0, ""
    months = rule.min_months.get(_SERIOUS, 0)
    if about.field == JOINT_FIELD_FOOD_AND_DRUG and rule.sensitive_min_months is not None:
        months = max(months, rule.sensitive_min_months)
    return months, rule.title_zh


def _after(day: Day, months: int) -> date:
    return date(*plus_months(day, months))
