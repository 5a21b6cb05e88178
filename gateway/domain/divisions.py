"""Divisions (行政区划, GB/T 2260) of the delta as a dated table: what a six-digit code names, and what became of it.

A code is a hint and the table is never closed: registries use codes of their own for functional zones (320594), and an
identifier keeps the code of its first registration for life. So nothing here refuses a code; what is not known is None or
the code itself. The rows, their source and their date stand in `config/divisions.toml`; the caller reads that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from gateway.domain.errors import ConfigError

_FILE: Final = "divisions.toml"
_UNDATED: Final = ("province", "prefecture", "county", "zone")
_KEYS: Final = frozenset({"source", "as_of", "dated", *_UNDATED})
_ROW_KEYS: Final = frozenset({"code", "name", "from", "to", "into"})


class Level(StrEnum):
    """The level a code speaks of, by its trailing zeros."""

    PROVINCE = "province"
    PREFECTURE = "prefecture"
    COUNTY = "county"


@dataclass(frozen=True, slots=True)
class Division:
    """What a code names from `valid_from` to `valid_to`, both inclusive, None when open.

    `into` are the codes its area went to after `valid_to`, the largest part first. `is_internal` marks a functional zone
    whose code a registry made up and GB/T 2260 does not know.
    """

    code: str
    name: str
    valid_from: date | None = None
    valid_to: date | None = None
    into: tuple[str, ...] = ()
    is_internal: bool = False

    def holds(self, on: date) -> bool:
        """Whether the code has this meaning on that day."""
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class DivisionTable:
    """All known divisions by code; a code that was given twice has several rows, the oldest first."""

    source: str
    as_of: date
    rows: Mapping[str, tuple[Division, ...]]

    @classmethod
    def from_toml(cls, table: Mapping[str, Any]) -> DivisionTable:
        """Gives the table of a parsed `divisions.toml`; raises ConfigError with every fault."""
        faults = [f"{_FILE}: {key}: unknown key" for key in sorted(table.keys() - _KEYS)]
        source, as_of = table.get("source"), table.get("as_of")
        if not isinstance(source, str) or not source:
            faults.append(f"{_FILE}: source: say where the rows come from")
        if type(as_of) is not date:
            faults.append(f"{_FILE}: as_of: must be a date")
        misshapen = [kind for kind in _UNDATED if not isinstance(table.get(kind, {}), Mapping)]
        if misshapen or not all(isinstance(row, Mapping) for row in table.get("dated", ())):
            raise ConfigError([*faults, f"{_FILE}: {', '.join(misshapen) or 'dated'}: must be made of tables"])
        found = [
            Division(code, name, is_internal=kind == "zone")
            for kind in _UNDATED
            for code, name in table.get(kind, {}).items()
            if _is_named(code, name, f"{_FILE}: {kind}.{code}", faults)
        ]
        for number, row in enumerate(table.get("dated", ())):
            division = _dated(row, f"{_FILE}: dated[{number}]", faults)
            if division is not None:
                found.append(division)
        rows: dict[str, tuple[Division, ...]] = {}
        for division in sorted(found, key=lambda each: (each.code, each.valid_from or date.min)):
            rows[division.code] = (*rows.get(division.code, ()), division)
        faults += _faults_among(rows)
        if faults or not isinstance(source, str) or not isinstance(as_of, date):
            raise ConfigError(faults)
        return cls(source, as_of, rows)

    def province_of(self, code: str) -> str | None:
        """Gives the two digits of the province when it is one of the table's, abolished prefectures included."""
        return code[:2] if f"{code[:2]}0000" in self.rows else None

    def name_of(self, code: str, on: date) -> str | None:
        """Gives what the code named on that day, None when the table does not know."""
        return next((row.name for row in self.rows.get(code, ()) if row.holds(on)), None)

    def level_of(self, code: str) -> Level | None:
        """Gives the level of any six-digit code, known or not; None for 100000 (national) and what is no such code."""
        if not _is_code(code) or code == "100000":
            return None
        if code.endswith("0000"):
            return Level.PROVINCE
        return Level.PREFECTURE if code.endswith("00") else Level.COUNTY

    def is_internal(self, code: str) -> bool:
        """Whether the code is known as a functional zone's that no standard lists."""
        return any(row.is_internal for row in self.rows.get(code, ()))

    def canonical(self, code: str, on: date) -> str:
        """Gives the code that holds the area on that day, its largest part when it was split (see `successors`).

        A code the table does not know, one not yet given on that day and one without a successor come back as they are.
        """
        return self.successors(code, on)[0]

    def successors(self, code: str, on: date) -> tuple[str, ...]:
        """Gives every code that holds some of the area on that day, the largest part first; the code itself if none."""
        rows = self.rows.get(code, ())
        ended = [row for row in rows if row.valid_to is not None and row.valid_to < on]
        if not ended or any(row.holds(on) for row in rows):
            return (code,)
        # Ends: every target is in force on the day after, so it ends later than this row (held by _faults_among).
        found = (each for target in ended[-1].into for each in self.successors(target, on))
        return tuple(dict.fromkeys(found)) or (code,)


def _is_code(code: object) -> bool:
    return isinstance(code, str) and len(code) == 6 and code.isascii() and code.isdigit()


def _is_named(code: object, name: object, where: str, faults: list[str]) -> bool:
    before = len(faults)
    if not _is_code(code):
        faults.append(f"{where}: a code has six digits, written as a text")
    if not isinstance(name, str) or not name:
        faults.append(f"{where}: the name is missing")
    return len(faults) == before


def _dated(row: Mapping[str, Any], where: str, faults: list[str]) -> Division | None:
    before = len(faults)
    faults += [f"{where}: {key}: unknown key" for key in sorted(row.keys() - _ROW_KEYS)]
    _is_named(row.get("code"), row.get("name"), where, faults)
    first, last, into = row.get("from"), row.get("to"), row.get("into", [])
    # A TOML date-time is a date too by its class, but does not compare with one.
    if not all(day is None or type(day) is date for day in (first, last)) or first is last is None:
        faults.append(f"{where}: from, to: one is needed, each a date")
    elif last == date.max:
        faults.append(f"{where}: to: leave it out when there is no end")
    elif first is not None and last is not None and last < first:
        faults.append(f"{where}: to: lies before from")
    if not isinstance(into, list) or (into and last is None):
        faults.append(f"{where}: into: a list of codes, beside `to` only")
    return None if len(faults) > before else Division(row["code"], row["name"], first, last, tuple(into))


def _faults_among(rows: Mapping[str, tuple[Division, ...]]) -> list[str]:
    faults = []
    for code, divisions in rows.items():
        for last, target in ((row.valid_to, target) for row in divisions for target in row.into):
            if last is None or not any(row.holds(last + timedelta(days=1)) for row in rows.get(target, ())):
                faults.append(f"{_FILE}: {code}: into: {target} is not in force on the day after {last}")
        for older, newer in pairwise(divisions):
            if older.valid_to is None or newer.valid_from is None or newer.valid_from <= older.valid_to:
                faults.append(f"{_FILE}: {code}: {older.name} and {newer.name} hold on the same day")
    return faults
