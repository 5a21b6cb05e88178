"""The mapping of docs/security.md names what exists: every path, and every test by its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "security.md"
AWAITED: Final = ("†ident", "†consent", "†store")
"""Marks of rows whose code or test comes with work under way: taken out here, they are checked like the others."""


def rows() -> list[list[str]]:
    """Gives the rows of the mapping tables, without their heads."""
    mapping = PAGE.read_text(encoding="utf-8").partition("<!-- mapping -->")[2].partition("<!-- end of mapping -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in mapping.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] != "Requirement" and not set(row[0]) <= {"-"}]


def faults_of(cell: str) -> list[str]:
    """Gives what a cell names that does not exist; a cell that names nothing is a fault too."""
    if any(mark in cell for mark in AWAITED):
        return []
    named = re.fullmatch(r"`([\w./-]+?)(?:::(\w+))?`(?: †\w+)?", cell)
    if named is None:
        return [f"{cell}: names no path"]
    path = ROOT / named[1]
    if not path.is_file():
        return [f"{named[1]}: no such file"]
    if named[2] is None:
        return []
    tests = {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "name")}
    return [] if named[2] in tests else [f"{named[1]}: no test {named[2]}"]


def test_every_requirement_names_code_and_a_test() -> None:
    malformed = [row[0] for row in rows() if len(row) != 3 or "::" not in row[2] or "::" in row[1]]

    assert len(rows()) >= 30
    assert malformed == []


def test_every_path_and_test_of_the_mapping_exists() -> None:
    faults = [fault for _, code, test in rows() for cell in (code, test) for fault in faults_of(cell)]

    assert faults == []


def test_only_what_comes_with_work_under_way_is_left_unchecked() -> None:
    marks = set(re.findall(r"†\w+", " ".join(cell for row in rows() for cell in row)))
    unmarked = sum(1 for row in rows() if not any(mark in "".join(row) for mark in AWAITED))

    assert marks <= set(AWAITED)
    assert unmarked >= 15
