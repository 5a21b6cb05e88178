"""The reference: the same tables, run by the GoRules engine (zen-engine) from the very model that a reviewer edits.

An evaluation by the engine takes some 0.7 ms, too slow for thousands a second, so tables are run as compiled by
`gateway.domain.decision_table`. That both give the same is proved twice: by a test over drawn facts, and here at start, where
each row of each table is shown to the engine with facts that it holds for. A table that the engine reads otherwise is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import zen

from gateway.domain.decision_table import DecisionTable, FactKind, Row


class ZenTable:
    """One table as the engine runs it."""

    def __init__(self, table: DecisionTable) -> None:
        self._decision = zen.ZenEngine().create_decision(table.model)
        self._is_first_hit = table.is_first_hit

    def matching(self, facts: Mapping[str, Any]) -> list[Mapping[str, str]]:
        """Gives the outputs of every row that holds."""
        result = self._decision.evaluate(dict(facts))["result"]
        if self._is_first_hit:
            return [result] if result else []
        return list(result)


def engine_faults(tables: Sequence[DecisionTable], facts: Mapping[str, FactKind]) -> list[str]:
    """Gives where the engine reads a table otherwise than it was compiled, by table and row."""
    faults: list[str] = []
    for table in tables:
        try:
            engine = ZenTable(table)
            for row in table.rows:
                shown = witness(table, row, facts)
                if engine.matching(shown) != table.matching(shown):
                    faults.append(
                        f"rules: {table.table_id} {table.version}: row {row.row_id}: the engine reads it otherwise"
                    )
        except Exception as error:  # the engine's own errors have no class of their own
            faults.append(f"rules: {table.table_id} {table.version}: the engine refuses it: {error}")
    return faults


def witness(table: DecisionTable, row: Row, facts: Mapping[str, FactKind]) -> dict[str, Any]:
    """Gives facts for which a row holds: the first value of each fact that the row leaves open."""
    shown: dict[str, Any] = {name: facts[name].values[0] for name in table.facts}
    for name, allowed, _ in row.conditions:
        shown[name] = next(value for value in facts[name].values if value in allowed)
    return shown
