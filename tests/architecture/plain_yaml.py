"""A reader of plain YAML: block mappings and lists of plain or single-quoted one-line scalars, and nothing else.

The deploy files keep to that, and no YAML library is among the pinned packages. Whatever it does not know is an error here,
so that a file cannot mean one thing to this reader and another to Prometheus.
"""

from __future__ import annotations

import re
from typing import Any, Final

_PAIR: Final = re.compile(r"([A-Za-z_][\w-]*):(?: (.+))?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9./][^#:{}\[\]&*!|>%@`,\"']*")

_Line = tuple[int, str]


def read_yaml(text: str) -> Any:
    """Gives the document as dicts, lists and texts; raises ValueError for what is not plain."""
    lines = [
        (len(line) - len(line.lstrip(" ")), line.strip())
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    value, rest = _block(lines)
    if rest:
        raise ValueError(f"not plain YAML: {rest[0][1]}")
    return value


def _block(lines: list[_Line]) -> tuple[Any, list[_Line]]:
    return _list(lines) if lines[0][1].startswith("- ") else _mapping(lines)


def _list(lines: list[_Line]) -> tuple[list[Any], list[_Line]]:
    indent = lines[0][0]
    items: list[Any] = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        first = lines[0][1][2:]
        if _PAIR.fullmatch(first):
            mapping, lines = _mapping([(indent + 2, first), *lines[1:]])
            items.append(mapping)
        else:
            items.append(_scalar(first))
            lines = lines[1:]
    return items, lines


def _mapping(lines: list[_Line]) -> tuple[dict[str, Any], list[_Line]]:
    indent = lines[0][0]
    pairs: dict[str, Any] = {}
    while lines and lines[0][0] == indent:
        match = _PAIR.fullmatch(lines[0][1])
        if match is None or match[1] in pairs:
            raise ValueError(f"not plain YAML, or stated twice: {lines[0][1]}")
        lines = lines[1:]
        if match[2] is not None:
            pairs[match[1]] = _scalar(match[2])
        elif lines and lines[0][0] > indent:
            pairs[match[1]], lines = _block(lines)
        else:
            raise ValueError(f"{match[1]} has no value")
    return pairs, lines


def _scalar(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == "'" and "'" not in text[1:-1].replace("''", ""):
        return text[1:-1].replace("''", "'")
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"not a plain scalar: {text}")
    return text
