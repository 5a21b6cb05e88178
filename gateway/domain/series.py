"""Sums over regions of a series (纳税, 社保, 水电气): formed only where they mean something, else the reason is given.

Regions must be at one level and pairwise disjoint, the period type one, every region must state the field, amounts must have
one currency, and the sum must fit.
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
    groups = [(group[0].period, _kind(others, group[0]), group) for group in _of_several_regions(plan, series)]
    found = []
    for period, kind, group in sorted(groups, key=itemgetter(0, 1)):
        reason = _obstacle(group, divisions, as_of)
        for field in plan.additive:
            if any(field.is_set(record) for record in group):
                found.append(_total(plan, field, period, kind, group, reason))
    return sorted(found, key=lambda t: (t.category, t.field, t.period, t.kind))


def _of_several_regions(plan: RecordPlan, series: Sequence[tuple[Key, Any]]) -> list[list[Any]]:
    """Gives the records that may be summed with each other, told by their keys alone: most stand alone, and are not read."""
    parts = itemgetter(*(place + 1 for place, field in enumerate(plan.key_always) if field.name not in _OF_ONE_SUM))
    groups: dict[Any, list[Any]] = {}
    for key, record in series:
        groups.setdefault(parts(key), []).append(record)
    return [group for group in groups.values() if len(group) > 1]


def _kind(others: Sequence[FieldPlan], record: Any) -> str:
    parts = []
    for field in others:
        value = getattr(record, field.name)
        parts.append(field.enum_names.get(value, str(value)) if field.enum_names else str(value))
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
    if len(set(regions)) < len(regions):
        return "regions.repeated"
    # A functional zone lies within counties of its prefecture, whose figures may hold its own.
    zones = [region for region in regions if divisions.is_internal(region)]
    if any(region[:4] == zone[:4] and region != zone for zone in zones for region in regions):
        return "regions.overlap"
    return ""


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
    currencies: set[str] = set()
    if field.is_message:
        currencies = {money.currency for money in values}
        values = [money.minor_units for money in values]
    whole = sum(values)
    if not reason and len(currencies) > 1:
        reason = "currency.mixed"
    if not reason and not _LEAST <= whole <= _MOST:
        reason = "value.range"
    if reason:
        total.not_summed_reason = reason
    elif currencies:
        total.money.CopyFrom(value_pb2.Money(minor_units=whole, currency=currencies.pop()))
    else:
        total.number = whole
    return total


_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""What fits an amount or number of a total: a platform may write the largest number for one it does not know."""
