"""When a list entry's stay ends, and from when it may be repaired (信用修复).

The list's own early exit decides where it states one. Where it does not, the shortest publication does that the order in
force on the day of the repair demands of what is serious: NDRC order 58 until 2026-03-31, order 36 from 2026-04-01; days are
China's. A list of honours has nothing to repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JOINT_FIELD_FOOD_AND_DRUG
from gateway.domain.dates import day_of, plus_months
from gateway.domain.errors import EntryStateError
from gateway.domain.joint_lists import JointEntry, JointList
from gateway.domain.publication import PublicationRule

_SERIOUS = "serious"


def stay_ends(about: JointList, listed_on: date) -> date | None:
    """Gives the first day on which an entry is no more listed by itself; None where its list knows no stay."""
    return None if about.stay_months is None else _after(listed_on, about.stay_months)


def require_repairable(about: JointList, entry: JointEntry, on: date, rules: Sequence[PublicationRule]) -> None:
    """Raises EntryStateError, saying from when and by which rule, where a repair on that day comes too early."""
    if about.is_reward:
        raise EntryStateError(f"{about.code} is a list of honours: an entry is withdrawn, never repaired")
    months, source = _shortest(about, on, rules)
    earliest = _after(entry.listed_on, months)
    if on < earliest:
        raise EntryStateError(f"an entry listed on {entry.listed_on} may be repaired from {earliest} on, by {source}")


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


def _after(day: date, months: int) -> date:
    return date(*plus_months(day_of(day), months))
