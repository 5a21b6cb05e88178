"""A decision table (决策表) over finite facts, as `decision_reading.py` has read and proved it.

A fact that is not known is None. It satisfies no condition and contradicts none: the rows that would then depend on it stand
undecided, and it is named as missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import eq, ge, gt, le, lt
from typing import Any, Final

from gateway.domain.decision import FiredRule, NearRule, TableResult

Value = str | int | bool

_COMPARISON: Final = re.compile(r"(>=|<=|>|<|==)\s*(-?\d+)$")
_TEXT: Final = re.compile(r'"([A-Z0-9_]+)"$')
_HOLDS: Final[Mapping[str, Callable[[int, int], bool]]] = {">=": ge, "<=": le, ">": gt, "<": lt, "==": eq}


@dataclass(frozen=True, slots=True)
class FactKind:
    """A fact that tables may read: the values it can have, and how they read in Chinese and English."""

    name: str
    title_zh: str
    title_en: str
    values: tuple[Value, ...]
    words: Mapping[str, tuple[str, str]]

    def said(self, value: Value | None) -> tuple[str, str]:
        """Gives a value in English and Chinese; what is not known reads as unknown."""
        if value is None:
            return ("unknown", "未知")
        return self.words.get(key_of(value), (str(value), str(value)))

    def satisfying(self, cell: str) -> tuple[Value, ...]:
        """Gives the values that satisfy a cell, in their order; none where it is no condition on this fact."""
        allowed = allowed_by(cell, self.values)
        return tuple([value for value in self.values if value in allowed])


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `conditions` are (fact, the values that satisfy it, its cell as written), an empty cell being none.

    `group` is the rule that the row is a case of. A quiet row says that its rule does not apply.
    """

    row_id: str
    title_zh: str
    group: str
    conditions: tuple[tuple[str, frozenset[Value], str], ...]
    outputs: Mapping[str, str]
    is_quiet: bool


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A checked table with its version, the days it is in force (both inclusive), and the digest of its content."""

    table_id: str
    title_zh: str
    version: str
    valid_from: date
    valid_to: date
    certainty: str
    source: str
    digest: str
    is_first_hit: bool
    facts: tuple[str, ...]
    rows: tuple[Row, ...]
    model: str
    """The decision model itself, for an engine."""
    _tests: tuple[tuple[str, int, Mapping[Value, int]], ...] = field(init=False, repr=False, compare=False)
    """Of each fact that rows read: the bits of these rows, and by value the bits of those it fails."""
    _loud: tuple[tuple[int, Row], ...] = field(init=False, repr=False, compare=False)
    """The rows that say something, each with its bit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tests", _tests(self.rows))
        loud = tuple([(1 << number, row) for number, row in enumerate(self.rows) if not row.is_quiet])
        object.__setattr__(self, "_loud", loud)

    def evaluate(self, facts: Mapping[str, Any]) -> TableResult:
        """Gives what the table says of facts; one that is absent or None is not known."""
        # A bit for each row: which fail on some fact, which on more than one, which read one that is not known.
        failing = more = unknown = 0
        for name, has, fails in self._tests:
            value = facts.get(name)
            if value is None:
                unknown |= has
            else:
                fail = fails.get(value, has)
                more |= failing & fail
                failing |= fail
        outputs: list[Mapping[str, Any]] = []
        fired: list[FiredRule] = []
        nearly: list[NearRule] = []
        missing: dict[str, None] = {}
        far = more | unknown
        for bit, row in self._loud:
            if failing & bit:
                if far & bit:
                    continue
                for name, allowed, cell in row.conditions:
                    if facts[name] not in allowed:
                        nearly.append(NearRule(row.row_id, row.title_zh, name, facts[name], cell))
                        break
            elif unknown & bit:
                missing.update(dict.fromkeys([name for name, _, _ in row.conditions if facts.get(name) is None]))
            else:
                outputs.append(row.outputs)
                because = tuple([(name, facts[name]) for name, _, _ in row.conditions])
                fired.append(FiredRule(row.row_id, row.title_zh, because))
        return TableResult(
            self.table_id, self.version, self.digest, tuple(outputs), tuple(fired), tuple(nearly), tuple(missing)
        )

    def matching(self, facts: Mapping[str, Any]) -> list[Mapping[str, str]]:
        """Gives the outputs of every row that holds, quiet ones too: what an engine gives of the same model."""
        return [
            row.outputs for row in self.rows if all(facts.get(name) in allowed for name, allowed, _ in row.conditions)
        ]


def _tests(rows: Sequence[Row]) -> tuple[tuple[str, int, Mapping[Value, int]], ...]:
    has: dict[str, int] = {}
    values: dict[str, set[Value]] = {}
    for number, row in enumerate(rows):
        for name, allowed, _ in row.conditions:
            has[name] = has.get(name, 0) | 1 << number
            values.setdefault(name, set()).update(allowed)
    # A value that no condition allows fails them all: it needs no entry.
    fails: dict[str, dict[Value, int]] = {name: dict.fromkeys(found, 0) for name, found in values.items()}
    for number, row in enumerate(rows):
        for name, allowed, _ in row.conditions:
            for value in values[name] - allowed:
                fails[name][value] |= 1 << number
    return tuple([(name, bits, fails[name]) for name, bits in has.items()])


def allowed_by(cell: str, values: Iterable[Value]) -> frozenset[Value]:
    """Gives the values of a fact that satisfy a cell; none where the cell is no condition on it."""
    comparison = _COMPARISON.match(cell)
    if comparison is not None:
        sign, bound = comparison[1], int(comparison[2])
        holds = _HOLDS[sign]
        return frozenset(v for v in values if isinstance(v, int) and not isinstance(v, bool) and holds(v, bound))
    by_key = {key_of(value): value for value in values}
    found = []
    for part in cell.split(","):
        text = _TEXT.match(part.strip())
        key = text[1] if text is not None else part.strip()
        value = by_key.get(key)
        if value is None or isinstance(value, str) != (text is not None):
            return frozenset()
        found.append(value)
    return frozenset(found)


def key_of(value: Value) -> str:
    """Gives a value as it stands in cells, without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)
