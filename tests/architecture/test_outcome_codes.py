"""The page of how platforms are asked names every code that may stand as the reason of a platform's outcome, and no other.

Codes are found where the source puts one right after an OUTCOME_…, in a call or a tuple, which is how all are written; beside
these, those that stand in manifests, and what is handed on by name: documents that cannot be read, quotas, consents.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from gateway.adapters.resilience import quota
from gateway.domain.consent import PLATFORM, POLICY
from gateway.domain.permission import PURPOSE
from gateway.domain.reach import NEAREST

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "resilience.md").read_text(encoding="utf-8")
SOURCES = [
    path
    for room in ("gateway", "connectors")
    for path in (ROOT / room).rglob("*.py")
    if "_pb" not in path.parts and not re.match("sandbox|conformance", path.name)
]
NAMED_FIRST = {"BadDocument": 0, "_refused": 1}
"""Functions that are given a code, and its place, where no OUTCOME_… stands before it."""


def is_outcome(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return is_outcome(node.body)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.startswith("OUTCOME_")


def texts(node: ast.expr | None, constants: dict[str, str]) -> Iterator[str]:
    """Gives the codes that an expression may be; `http_*` for one that ends with a number."""
    match node:
        case ast.Constant(value=str(code)) if code:
            yield code
        case ast.Name(id=name) if name in constants:
            yield constants[name]
        case ast.IfExp():
            yield from texts(node.body, constants)
            yield from texts(node.orelse, constants)
        case ast.JoinedStr():
            yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)  # type: ignore[misc]


def codes_in(tree: ast.Module, constants: dict[str, str]) -> Iterator[str]:
    local = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if name in NAMED_FIRST and len(node.args) > NAMED_FIRST[name]:
                stated = node.args[NAMED_FIRST[name]]
                yield from texts(local.get(getattr(stated, "id", ""), stated), constants)
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            if "outcome" in named and is_outcome(named["outcome"]):
                yield from texts(named.get("reason"), constants)
        row = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
        for before, after in pairwise(row):
            if is_outcome(before):
                yield from texts(after, constants)


def of_source() -> set[str]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    constants = {".".join(path.relative_to(ROOT).with_suffix("").parts): texts_of(tree) for path, tree in trees.items()}
    found = set()
    for tree in trees.values():
        seen = texts_of(tree)
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module in constants:
                exported = constants[node.module]
                seen |= {each.name: exported[each.name] for each in node.names if each.name in exported}
        found |= set(codes_in(tree, seen))
    return found


def texts_of(tree: ast.Module) -> dict[str, str]:
    """Gives the module's own constants that are texts."""
    return {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def of_manifests() -> set[str]:
    wires = [
        tomllib.loads(path.read_text(encoding="utf-8"))["wire"] for path in ROOT.glob("connectors/*/manifest.toml")
    ]
    return set(re.findall(r"'[A-Z_]+:([a-z_]+)'", str(wires)))


def test_every_code_of_an_outcome_stands_on_the_page_and_no_other() -> None:
    quotas = {value for name, value in vars(quota).items() if name.startswith("QUOTA_")} | {quota.INTERACTIVE_RESERVE}
    consents = {reason.lower() for reason in NEAREST if reason.startswith("CONSENT_")} | {POLICY, PURPOSE, PLATFORM}
    found = of_source() | of_manifests() | quotas | consents

    table = PAGE.partition("<!-- codes -->")[2].partition("\n## ")[0]
    told = {
        code for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)
    }

    assert {"cap", "deadline", "bulkhead_full", "connector_fault", "http_429", "quota_day"} <= found
    assert sorted(told ^ found) == []
