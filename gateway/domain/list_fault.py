"""What is wrong with a list file, told in English and in Chinese: it is keepers of lists who read it; pure."""

from __future__ import annotations

from typing import NamedTuple


class ListFault(NamedTuple):
    """One fault: `where` is "line 4", or a field of the request."""

    where: str
    english: str
    chinese: str


def at_line(number: int, english: str, chinese: str) -> ListFault:
    """Gives a fault of a line."""
    return ListFault(f"line {number}", english, chinese)
