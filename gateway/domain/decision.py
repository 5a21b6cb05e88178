"""What a decision table (决策表) gives: outputs, the rules that fired and those that nearly did, and what was missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class FiredRule(NamedTuple):
    """A rule of a table with its Chinese title; `because` are the facts its conditions read, by name, with their values."""

    rule_id: str
    title_zh: str
    because: tuple[tuple[str, Any], ...]


class NearRule(NamedTuple):
    """A rule that would fire if one condition's fact were another: the fact, what it is, and what the rule wants."""

    rule_id: str
    title_zh: str
    fact: str
    actual: Any
    wanted: str


class TableResult(NamedTuple):
    """The outcome of one table over facts; `missing` are facts that rules read and that were not given (None).

    The same facts, table version and digest give the same result: decisions are re-run by them.
    """

    table: str
    version: str
    digest: str
    outputs: tuple[Mapping[str, Any], ...]
    fired: tuple[FiredRule, ...]
    nearly: tuple[NearRule, ...]
    missing: tuple[str, ...]
