"""Sums over regions of a series (纳税, 社保, 水电气): formed only where they mean something, else the reason is given.

Regions must be at one level and pairwise disjoint, the period type one, every region must state the field, and amounts
must have one currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import value_pb2, view_pb2
from gateway.domain.catalogue import FieldPlan, RecordPlan
from gateway.domain.divisions import DivisionTable
from gateway.domain.statement import Key

_OF_ONE_SUM = frozenset({"period_type", "region"})
_SERIES_KEYS = _OF_ONE_SUM | {"period"}


def totals(
    plan: RecordPlan, series: Sequence[tuple[Key, Any]], divisions: DivisionTable, as_of: date
) -> list[view_pb2.SeriesTotal]:
    """Gives a total, or the reason why there is none, per additive field and period with at least two regions.

    `series` are a type's records with their keys.
    """
    others = [field for field in plan.key_always if field.name not in _SERIES_KEYS]
    rows: dict[tuple[str, str], list[Any]] = {}
    for record in _of_several_regions(plan, series):
        rows.setdefault((record.period, _kind(others, record)), []).append(record)
    found = []
    for (period, kind), group in sorted(rows.items(), key=lambda item: item[0]):
        if len(group) < 2:
            continue
        reason = _obstacle(group, divisions, as_of)
        for field in plan.additive:
            if any(field.is_set(record) for record in group):
                found.append(_total(plan, field, period, kind, group, reason))
    return sorted(found, key=lambda t: (t.category, t.field, t.period, t.kind))


def _of_several_regions(plan: RecordPlan, series: Sequence[tuple[Key, Any]]) -> list[Any]:
    """Gives the records that may be summed with another, told by their keys alone: most stand alone, and are not read."""
    alone = [place + 1 for place, field in enumerate(plan.key_always) if field.name not in _OF_ONE_SUM]
    if not alone or not all(plan.key_always[place - 1].is_plain for place in alone):
        return [record for _, record in series]
    parts = itemgetter(*alone)
    named = [(parts(key), record) for key, record in series]
    seen: dict[Any, int] = {}
    for name, _ in named:
        seen[name] = seen.get(name, 0) + 1
    return [record for name, record in named if seen[name] > 1]


def _kind(others: Sequence[FieldPlan], record: Any) -> str:
    parts = []
    for field in others:
        value = getattr(record, field.name)
        parts.append(field.enum_names[value] if field.enum_names else str(value))
    return ",".join(parts)


def _obstacle(group: Sequence[Any], divisions: DivisionTable, as_of: date) -> str:
    # Codes of one area before and after a re-cut name one region.
    regions = [divisions.canonical(record.region, as_of) for record in group]
    levels = {divisions.level_of(region) for region in regions}
    if None in levels:
        return "region.unknown"
    if len({record.period_type for record in group}) > 1:
        return "period_type.mixed"
    if len(levels) > 1:
        return "regions.levels_mixed"
    return "regions.repeated" if len(set(regions)) < len(regions) else ""


def _total(
    plan: RecordPlan, field: FieldPlan, period: str, kind: str, group: Sequence[Any], reason: str
) -> view_pb2.SeriesTotal:
    total = view_pb2.SeriesTotal(
        category=plan.options.category,
        field=field.name,
        period=period,
        kind=kind,
        regions=sorted(record.region for record in group),
    )
    if not reason and not all(field.is_set(record) for record in group):
        reason = "value.missing"
    values = [getattr(record, field.name) for record in group]
    if not reason and field.is_message:
        currencies = {money.currency for money in values}
        amount = sum(money.minor_units for money in values)
        if len(currencies) > 1:
            reason = "currency.mixed"
        elif not _fits(amount):
            reason = _TOO_LARGE
        else:
            total.money.CopyFrom(value_pb2.Money(minor_units=amount, currency=currencies.pop()))
    elif not reason:
        number = sum(values)
        if _fits(number):
            total.number = number
        else:
            reason = _TOO_LARGE
    total.not_summed_reason = reason
    return total


def _fits(number: int) -> bool:
    """Whether a sum has a place in the message: each of its parts has, and a platform may send any of those."""
    return -(2**63) <= number < 2**63


_TOO_LARGE: Final = "value.too_large"
