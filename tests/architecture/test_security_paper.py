"""The mapping of docs/security.md names what exists: every path, and every test by its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "security.md"


def rows() -> list[list[str]]:
    """Gives the rows of the mapping tables, without their heads."""
    mapping = PAGE.read_text(encoding="utf-8").partition("<!-- mapping -->")[2].partition("<!-- end of mapping -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in mapping.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] != "Requirement" and not set(row[0]) <= {"-"}]


def faults_of(cell: str) -> list[str]:
    """Gives what a cell names that does not exist; a cell that names nothing is a fault too."""
    named = re.fullmatch(r"`([\w./-]+?)(?:::(\w+))?`", cell)
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
