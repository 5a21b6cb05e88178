"""Counts of list entries with coverage (名单统计): what a province did not provide is not covered, never zero; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.domain.joint_lists import Provision
from gateway.domain.list_file import PROVINCES

YearKey = tuple[str, str, int]
"""List code, province, list year."""


class ListCoverage(StrEnum):
    """How well a province's year of a list is known."""

    COVERED = "COVERED"
    PARTIAL = "PARTIAL"
    NOT_COVERED = "NOT_COVERED"


class ListCell(NamedTuple):
    """One province's year of a list; `entry_count` is None where nothing was provided."""

    list_code: str
    list_year: int
    province: str
    coverage: ListCoverage
    entry_count: int | None


class ListYear(NamedTuple):
    """One list's year over all provinces: what stands, and whose part of it is unknown."""

    list_code: str
    list_year: int
    entry_count: int
    covered: tuple[str, ...]
    not_covered: tuple[str, ...]


_NOT_KNOWN: Final = ListCoverage.NOT_COVERED


def statistics(
    counts: Mapping[YearKey, int],
    provisions: Sequence[Provision],
    list_codes: Collection[str],
    *,
    from_year: int = 0,
    to_year: int = 0,
) -> tuple[tuple[ListCell, ...], tuple[ListYear, ...]]:
    """Gives every cell of the lists that anything is known of, and the sums by year.

    Without years, those from the first to the last that anything is known of, over all of the lists: a year that another list
    has and this one has not is shown as not covered.
    """
    provided = {(one.list_code, one.province, one.list_year) for one in provisions if one.list_code in list_codes}
    counted = {key: number for key, number in counts.items() if key[0] in list_codes and key[2] and number}
    known = provided | counted.keys()
    if not known:
        return (), ()
    years = {year for _, _, year in known}
    first, last = from_year or min(years), to_year or max(years)
    provinces = sorted({*PROVINCES, *(province for _, province, _ in known)})
    cells: list[ListCell] = []
    sums: list[ListYear] = []
    for code in sorted({code for code, _, _ in known}):
        for year in range(first, last + 1):
            row = [_cell(code, year, province, provided, counted) for province in provinces]
            cells += row
            sums.append(
                ListYear(
                    code,
                    year,
                    sum(cell.entry_count or 0 for cell in row),
                    tuple(cell.province for cell in row if cell.coverage is ListCoverage.COVERED),
                    tuple(cell.province for cell in row if cell.coverage is not ListCoverage.COVERED),
                )
            )
    return tuple(cells), tuple(sums)


def _cell(
    code: str, year: int, province: str, provided: Collection[YearKey], counted: Mapping[YearKey, int]
) -> ListCell:
    key = (code, province, year)
    count = counted.get(key, 0)
    if key in provided:
        return ListCell(code, year, province, ListCoverage.COVERED, count)
    if count:
        return ListCell(code, year, province, ListCoverage.PARTIAL, count)
    return ListCell(code, year, province, _NOT_KNOWN, None)
