"""Whatever goes on as long as the gateway is carried by `Rounds`: a loop of its own would end at what it did not foresee."""

from __future__ import annotations

import ast
from pathlib import Path

GATEWAY = Path(__file__).parents[2] / "gateway"
HOME = GATEWAY / "application" / "rounds.py"


def is_endless(node: ast.AST) -> bool:
    """Whether it is a loop that nothing in it leaves but an exception."""
    if not (isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value):
        return False
    return not any(isinstance(each, ast.Break | ast.Return) for each in ast.walk(node))


def endless(file: Path) -> list[str]:
    return [
        f"{file.relative_to(GATEWAY)}: {function.name}"
        for function in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(function, ast.AsyncFunctionDef) and any(is_endless(node) for node in ast.walk(function))
    ]


def test_there_is_one_endless_loop_of_the_gateway() -> None:
    files = [file for file in sorted(GATEWAY.rglob("*.py")) if "_pb" not in file.parts]

    assert [name for file in files for name in endless(file)] == [f"{HOME.relative_to(GATEWAY)}: _run"]
