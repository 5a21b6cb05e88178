"""How long adverse records may be published (公示期) and stay on lists, as dated tables.

Source: 信用修复管理办法 (国家发展改革委令第36号, in force from 2026-04-01) and before it order 58 of 2023; stays of lists by
their own rules. What is not sure stands in `config/publication.toml` and `config/lists/`, not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2
from gateway.domain.dates import Day, day_of, first_day, last_day, plus_months

_SEVERITIES = {
    conduct_pb2.SEVERITY_MINOR: "minor",
    conduct_pb2.SEVERITY_GENERAL: "general",
    conduct_pb2.SEVERITY_SERIOUS: "serious",
}
_MINOR_KINDS = frozenset({conduct_pb2.PENALTY_KIND_WARNING, conduct_pb2.PENALTY_KIND_CRITICISM})


@dataclass(frozen=True, slots=True)
class PublicationRule:
    """The longest and shortest publication in months by severity, in force from `valid_from` to `valid_to` (None: open).

    No repair is possible before the shortest is over; `sensitive_min_months` holds for food and drugs, where it is stated.
    """

    valid_from: date
    valid_to: date | None
    max_months: Mapping[str, int]
    min_months: Mapping[str, int] = field(default_factory=dict)
    sensitive_min_months: int | None = None
    title_zh: str = ""

    def holds(self, on: date) -> bool:
        """Whether the rule is in force on that day."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class ListRule:
    """What is known of one list: its title, basis, joint field and stay in months (None: until removed)."""

    code: str
    title_zh: str
    lister: str
    basis: str
    stay_months: int | None
    joint_field: str | None = None


@dataclass(frozen=True, slots=True)
class PublicationTable:
    """All rules of publication and stay."""

    rules: Sequence[PublicationRule]
    lists: Mapping[str, ListRule]

    def on(self, as_of: date) -> Publication:
        """Gives what holds on that day; of the rules, the first in force."""
        rule = next((rule for rule in self.rules if rule.holds(as_of)), None)
        return Publication(day_of(as_of), rule.max_months if rule is not None else {}, self.lists)


@dataclass(frozen=True, slots=True)
class Publication:
    """The rules of publication and stay as they hold on one day; `max_months` is empty when no rule is in force."""

    today: Day
    max_months: Mapping[str, int]
    lists: Mapping[str, ListRule]

    def end_of_penalty(self, penalty: Any) -> Day | None:
        """Gives the last day a penalty may be published, None when no rule holds.

        The clock starts at the date of the decision. A penalty of warning or criticism only counts as minor when its
        severity is not stated; any other as unclassified.
        """
        decided = last_day(penalty.decided_on)
        if not decided[0]:
            return None
        months = self.max_months.get(severity_of(penalty))
        return None if months is None else plus_months(decided, months)

    def end_of_stay(self, entry: Any) -> Day | None:
        """Gives the last day that a list entry may stay, None when the list is unknown or knows none."""
        rule = self.lists.get(entry.list_code)
        if rule is None or rule.stay_months is None or not entry.listed_on.year:
            return None
        return plus_months(last_day(entry.listed_on), rule.stay_months)


def severity_of(penalty: Any) -> str:
    """Gives "minor", "general", "serious" or "unclassified" for a penalty."""
    stated = _SEVERITIES.get(penalty.severity)
    if stated is not None:
        return stated
    kinds = penalty.kinds
    return "minor" if kinds and _MINOR_KINDS.issuperset(kinds) else "unclassified"


def event_day(values: Sequence[Any]) -> Day:
    """Gives the latest of some dates at their earliest meaning; (0, 0, 0) when none is set."""
    return max((first_day(value) for value in values), default=(0, 0, 0))
