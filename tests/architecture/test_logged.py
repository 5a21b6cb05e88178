"""Nothing of the gateway prints a request: not to a log, not to a terminal, not into an error's text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
RIM: Final = ROOT / "gateway" / "adapters" / "rpc"
MESSAGES: Final = frozenset({"request", "item", "message", "terms", "response", "view", "said"})
LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
TEXTS: Final = frozenset(
    {"str", "repr", "format", "ascii", "print", "MessageToJson", "MessageToDict", "MessageToString"}
)


def printed(source: str) -> list[str]:
    """Gives the places where a message becomes text, or goes to a logger, whole."""
    return [
        f"line {getattr(node, 'lineno', 0)}: {name}"
        for node in ast.walk(ast.parse(source))
        for name in _printed_by(node)
    ]


def _printed_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FormattedValue):
        yield from _messages([node.value])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        yield from _messages(node.right.elts if isinstance(node.right, ast.Tuple) else [node.right])
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in TEXTS | LEVELS:
            yield from _messages([*node.args, *(keyword.value for keyword in node.keywords)])


def _messages(given: list[ast.expr]) -> Iterator[str]:
    for one in given:
        if isinstance(one, ast.Name) and one.id in MESSAGES:
            yield one.id
        elif isinstance(one, ast.Attribute) and one.attr in MESSAGES:
            yield ast.unparse(one)


@pytest.mark.parametrize(
    "source",
    [
        "log.info('x', request=request)",
        "self._log.warning(item)",
        "raise ValueError(f'odd: {request!r}')",
        "raise ValueError('odd: %s' % request)",
        "raise ValueError('odd: {}'.format(request.terms))",
        "text = str(message)",
        "print(json_format.MessageToJson(response))",
    ],
)
def test_each_way_to_print_a_message_is_found(source: str) -> None:
    assert len(printed(source)) == 1


def test_where_requests_are_handled_none_is_printed() -> None:
    found = {path.name: printed(path.read_text(encoding="utf-8")) for path in sorted(RIM.glob("*.py"))}

    assert len(found) >= 12
    assert {name: places for name, places in found.items() if places} == {}
