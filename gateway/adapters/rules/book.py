"""All decision tables of a deployment by name and version: `rules/*.json`, over the facts of `rules/facts.toml`.

A table may stand in several versions, each with its days; the version in force on a day is found by `at`. Versions of one
table must not overlap. A file of the deployment's folder takes the place of its shipped namesake.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Any, Final

from gateway.domain.decision import TableResult
from gateway.domain.decision_reading import read_facts, read_table
from gateway.domain.decision_table import DecisionTable, FactKind
from gateway.domain.errors import ConfigError

FOLDER: Final = "rules"
_MOST_KEPT: Final = 8_000


class TablesOfDay:
    """The tables in force on one day: fulfils the port `DecisionTables`."""

    def __init__(self, tables: Mapping[str, DecisionTable]) -> None:
        self.tables = tables
        self._kept: dict[tuple[Any, ...], TableResult] = {}

    def evaluate(self, table: str, facts: Mapping[str, Any]) -> TableResult:
        """Gives what a table says of facts; raises KeyError for an unknown table.

        Results are kept by the facts that the table reads: few combinations occur, and each is asked again and again while
        the smallest change is looked for.
        """
        asked = self.tables[table]
        key = (table, *map(facts.get, asked.facts))
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = asked.evaluate(facts)
        return found


class RuleBook:
    """Every version of every table; built once, when the settings are read."""

    def __init__(self, facts: Mapping[str, FactKind], tables: tuple[DecisionTable, ...]) -> None:
        self.facts = facts
        self.tables = tables
        self._of_day: dict[date, TablesOfDay] = {}

    @classmethod
    def read(cls, facts: Mapping[str, Any], files: Mapping[str, str]) -> RuleBook:
        """Reads the facts and the texts of all tables by file name; raises ConfigError with every fault."""
        faults: list[str] = []
        kinds = read_facts(facts, f"{FOLDER}/facts.toml", faults)
        tables: dict[str, DecisionTable] = {}
        for name, text in files.items():
            file = f"{FOLDER}/{name}"
            try:
                document = json.loads(text)
            except ValueError as error:
                faults.append(f"{file}: not JSON: {error}")
                continue
            if not isinstance(document, dict):
                faults.append(f"{file}: must be a decision model")
                continue
            table, found = read_table(document, kinds, file)
            faults += found
            if table is not None:
                for other, earlier in tables.items():
                    if earlier.table_id != table.table_id:
                        continue
                    if earlier.valid_from <= table.valid_to and table.valid_from <= earlier.valid_to:
                        faults.append(f"{file}: meta: its days overlap those of {FOLDER}/{other}")
                tables[name] = table
        faults += _days_without(tables)
        if faults:
            raise ConfigError(faults)
        return cls(kinds, tuple(tables.values()))

    def at(self, day: date) -> TablesOfDay:
        """Gives the tables in force on a day."""
        found = self._of_day.get(day)
        if found is None:
            found = TablesOfDay({t.table_id: t for t in self.tables if t.valid_from <= day <= t.valid_to})
            if len(self._of_day) > 400:  # a year of days, and whoever asks about older ones
                self._of_day.clear()
            self._of_day[day] = found
        return found


def _days_without(tables: Mapping[str, DecisionTable]) -> list[str]:
    """Gives between which versions of a table there are days on which none is in force."""
    faults = []
    for (_, earlier), (name, later) in pairwise(sorted(tables.items(), key=lambda t: (t[1].table_id, t[1].valid_from))):
        if earlier.table_id == later.table_id and earlier.valid_to.toordinal() + 1 < later.valid_from.toordinal():
            until = later.valid_from.isoformat()
            faults.append(f"{FOLDER}/{name}: meta: between {earlier.valid_to} and {until} no version is in force")
    return faults
