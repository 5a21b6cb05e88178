"""Decision tables (决策表) read from the GoRules decision model, and checked over their finite facts.

Every fact has a short list of values it can have, so a table is proved rather than tried: the rows of one rule (or of the
whole table, where its hit policy is "first") must cover every combination of the facts they read exactly once. What overlaps,
contradicts or leaves a gap is named with its cells and never runs. The engine itself ignores a cell that it cannot read;
here that is a fault too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import new
from itertools import pairwise, product
from json import dumps
from typing import Any, Final

from gateway.domain.decision_table import DecisionTable, FactKind, Row, Value, allowed_by, key_of

_MOST_COMBINATIONS: Final = 200_000
_MOST_NAMED: Final = 5
_META: Final = frozenset(
    {"id", "title_zh", "version", "valid_from", "valid_to", "certainty", "source", "outputs", "quiet", "note"}
)
_CERTAINTIES: Final = ("sure", "likely", "unsure")


def read_facts(tables: Mapping[str, Any], file: str, faults: list[str]) -> dict[str, FactKind]:
    """Gives the facts that tables may read; every fault is added as "file: key: what is wrong"."""
    found: dict[str, FactKind] = {}
    for name, table in tables.items():
        where = f"{file}: {name}"
        if not isinstance(table, Mapping):
            faults.append(f"{where}: must be a table")
            continue
        faults += [
            f"{where}: {key}: is not known here" for key in table.keys() - {"title_zh", "title_en", "values", "words"}
        ]
        values, words = table.get("values"), table.get("words", {})
        if not (isinstance(values, list) and len(values) > 1 and len({key_of(v) for v in values}) == len(values)):
            faults.append(f"{where}: values: must be a list of at least two different values")
            continue
        if not all(isinstance(table.get(key), str) for key in ("title_zh", "title_en")):
            faults.append(f"{where}: title_zh and title_en are needed")
            continue
        strangers = sorted(words.keys() - {key_of(value) for value in values})
        faults += [f"{where}: words.{key}: is none of its values" for key in strangers]
        pairs = {key: tuple(pair) for key, pair in words.items() if isinstance(pair, list) and len(pair) == 2}
        faults += [f"{where}: words.{key}: must be [English, Chinese]" for key in sorted(words.keys() - pairs.keys())]
        found[name] = FactKind(name, table["title_zh"], table["title_en"], tuple(values), pairs)
    return found


def read_table(
    document: Mapping[str, Any], facts: Mapping[str, FactKind], file: str
) -> tuple[DecisionTable | None, list[str]]:
    """Gives the checked table of a decision model, or every fault as "file: cell: what is wrong"."""
    reading = _Reading(document, facts, file)
    try:
        return reading.table()
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a part is of another kind than it must be
        return None, [*reading.faults, f"{file}: is no decision model: {error}"]


def rows_clash(rows: Sequence[Row], facts: Mapping[str, FactKind]) -> list[str]:
    """Gives where the rows of one rule overlap, contradict, or leave a gap, with the cells concerned."""
    names = tuple(dict.fromkeys(name for row in rows for name, _, _ in row.conditions))
    size = 1
    for name in names:
        size *= len(facts[name].values)
    if size > _MOST_COMBINATIONS:
        return [f"rule {rows[0].group}: reads {len(names)} facts with {size} combinations; split it"]
    tests = [(row, {name: allowed for name, allowed, _ in row.conditions}) for row in rows]
    clashes: dict[tuple[str, str], str] = {}
    gaps: list[str] = []
    gap_count = 0
    for combination in product(*(facts[name].values for name in names)):
        found = [
            row
            for row, test in tests
            if all(name not in test or value in test[name] for name, value in zip(names, combination, strict=True))
        ]
        if len(found) == 1:
            continue
        said = (
            ", ".join(f"{name} = {_cell(value)}" for name, value in zip(names, combination, strict=True)) or "anything"
        )
        if not found:
            gap_count += 1
            if len(gaps) < _MOST_NAMED:
                gaps.append(f"rule {rows[0].group}: leaves a gap: no row for {said}")
        for one, other in pairwise(found):
            what = "overlap" if one.outputs == other.outputs else "contradict each other"
            clashes.setdefault(
                (one.row_id, other.row_id),
                f"rows {one.row_id} ({_cells(one)}) and {other.row_id} ({_cells(other)}): {what} where {said}",
            )
    if gap_count > len(gaps):
        gaps.append(f"rule {rows[0].group}: and {gap_count - len(gaps)} more combinations without a row")
    return [*clashes.values(), *gaps]


def content_digest(document: Any) -> str:
    """Gives the SM3 of parsed content in hexadecimal: layout and the order of keys do not count."""
    canonical = dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return new("sm3", canonical.encode()).hexdigest()


class _Reading:
    """One model while it is read; a faulty part is left out, and one fault suffices to refuse the whole."""

    def __init__(self, document: Mapping[str, Any], facts: Mapping[str, FactKind], file: str) -> None:
        self._document = document
        self._facts = facts
        self._file = file
        self.faults: list[str] = []

    def _fault(self, what: str) -> None:
        self.faults.append(f"{self._file}: {what}")

    def table(self) -> tuple[DecisionTable | None, list[str]]:
        meta = self._document.get("meta")
        nodes = self._document.get("nodes")
        found = [n for n in nodes if n.get("type") == "decisionTableNode"] if isinstance(nodes, list) else []
        if not isinstance(meta, Mapping) or len(found) != 1:
            self._fault('needs "meta" and exactly one decisionTableNode')
            return None, self.faults
        content = found[0].get("content", {})
        for key in sorted(meta.keys() - _META):
            self._fault(f"meta.{key}: is not known here")
        for key in ("id", "title_zh", "version", "source"):
            if not isinstance(meta.get(key), str) or not meta[key]:
                self._fault(f"meta.{key}: is needed")
        if meta.get("certainty") not in _CERTAINTIES:
            self._fault(f"meta.certainty: must be one of {', '.join(_CERTAINTIES)}")
        valid_from, valid_to = self._day(meta, "valid_from", date.min), self._day(meta, "valid_to", date.max)
        if valid_to < valid_from:
            self._fault("meta.valid_to: lies before valid_from")
        hit = content.get("hitPolicy")
        if hit not in ("first", "collect"):
            self._fault("hitPolicy: must be first (one rule) or collect (rules by the output rule)")
        inputs = self._inputs(content)
        outputs = self._outputs(content, meta.get("outputs", {}), needs_rule=hit == "collect")
        quiet = meta.get("quiet", {})
        rows = self._rows(content, inputs, outputs, quiet, by_rule=hit == "collect")
        if not self.faults:
            groups: dict[str, list[Row]] = {}
            for row in rows:
                groups.setdefault(row.group, []).append(row)
            for group in groups.values():
                self.faults += [f"{self._file}: {clash}" for clash in rows_clash(group, self._facts)]
        if self.faults:
            return None, self.faults
        model = {key: self._document[key] for key in ("nodes", "edges") if key in self._document}
        return DecisionTable(
            table_id=meta["id"],
            title_zh=meta["title_zh"],
            version=meta["version"],
            valid_from=valid_from,
            valid_to=valid_to,
            certainty=meta["certainty"],
            source=meta["source"],
            digest=content_digest(self._document),
            is_first_hit=hit == "first",
            facts=tuple(inputs.values()),
            rows=tuple(rows),
            model=dumps(model, ensure_ascii=False),
        ), []

    def _day(self, meta: Mapping[str, Any], key: str, absent: date) -> date:
        stated = meta.get(key)
        if stated is None:
            return absent
        try:
            return date.fromisoformat(stated)
        except (TypeError, ValueError):
            self._fault(f"meta.{key}: must be a date such as 2026-04-01")
            return absent

    def _inputs(self, content: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for column in content.get("inputs", ()):
            name = column.get("field", "")
            if name not in self._facts:
                self._fault(f"input {column.get('name', '')} ({name}): is no known fact; see facts.toml")
            elif name in found.values():
                self._fault(f"input {name}: stands twice")
            else:
                found[column["id"]] = name
        return found

    def _outputs(self, content: Mapping[str, Any], declared: Mapping[str, Any], *, needs_rule: bool) -> dict[str, str]:
        found: dict[str, str] = {}
        for column in content.get("outputs", ()):
            name = column.get("field", "")
            if name not in declared:
                self._fault(f"output {column.get('name', '')} ({name}): is not declared in meta.outputs")
            else:
                found[column["id"]] = name
        if missing := sorted(declared.keys() - found.values()):
            self._fault(f"outputs: {', '.join(missing)}: no such column")
        if needs_rule and "rule" not in found.values():
            self._fault('outputs: a table that collects needs the column "rule"')
        return found

    def _rows(
        self,
        content: Mapping[str, Any],
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        quiet: Mapping[str, str],
        *,
        by_rule: bool,
    ) -> list[Row]:
        rows: list[Row] = []
        seen: set[str] = set()
        for number, stated in enumerate(content.get("rules", ()), start=1):
            row_id, title = stated.get("_id", ""), stated.get("_description", "")
            where = f"row {row_id or number}"
            if not row_id or row_id in seen:
                self._fault(f"{where}: needs an _id of its own")
            if not title:
                self._fault(f"{where}: needs its Chinese title in _description")
            seen.add(row_id)
            for key in sorted(stated.keys() - inputs.keys() - outputs.keys() - {"_id", "_description"}):
                self._fault(f"{where}: {key}: is no column of this table")
            conditions = []
            for column, fact in inputs.items():
                cell = str(stated.get(column, "")).strip()
                if not cell:
                    continue
                allowed = allowed_by(cell, self._facts[fact].values)
                if not allowed:
                    self._fault(f"{where}: cell {fact}: {cell} is none of its values, or no condition")
                conditions.append((fact, allowed, cell))
            given = self._given(stated, outputs, where)
            rows.append(
                Row(
                    row_id,
                    title,
                    given.get("rule", "") if by_rule else "",
                    tuple(conditions),
                    given,
                    bool(quiet) and all(given.get(key) == value for key, value in quiet.items()),
                )
            )
        if not rows:
            self._fault("has no rows")
        return rows

    def _given(self, stated: Mapping[str, Any], outputs: Mapping[str, str], where: str) -> dict[str, str]:
        given = {}
        declared: Mapping[str, Any] = self._document["meta"].get("outputs", {})
        for column, name in outputs.items():
            cell = str(stated.get(column, "")).strip()
            text = cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else ""
            known = declared[name]
            if not text or '"' in text:
                self._fault(f"{where}: cell {name}: must be a text in double quotes")
            elif isinstance(known, list) and text not in known:
                self._fault(f"{where}: cell {name}: {text} is none of {', '.join(known)}")
            given[name] = text
        return given


def _cell(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else key_of(value)


def _cells(row: Row) -> str:
    return ", ".join(f"{name}: {cell}" for name, _, cell in row.conditions) or "no condition"
