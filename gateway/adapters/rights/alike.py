"""Which questions policies cannot tell apart (同类问题): of a text they see only what they compare it with.

A caller chooses some of a question's texts freely: the branch in whose name is asked, by its tokens also its own branch and
operator. Cedar can do two things with a text: compare it, with one that a policy states or with another of the question, and
match it with the pattern of a `like`. So two questions are decided alike if their texts are equal to the same stated ones, or
to none, match the same patterns, and are equal to one another in the same places. Of these kinds there are only as many as
the policies make, whatever is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Pattern = tuple[str, ...]
"""The pieces between the wildcards of a `like`; one piece alone has no wildcard."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What policies compare texts with: those that they state, and patterns."""

    stated: frozenset[str]
    patterns: tuple[Pattern, ...]

    def kinds(self, texts: Iterable[str]) -> tuple[object, ...]:
        """Gives the kind of each text of a question: a stated one itself, else a number with the patterns that it matches."""
        numbers: dict[str, int] = {}
        return tuple(
            text
            if not text or text in self.stated
            else (numbers.setdefault(text, len(numbers)), *[_matches(pattern, text) for pattern in self.patterns])
            for text in texts
        )


def comparisons(parsed: Iterable[Mapping[str, Any]]) -> Comparisons:
    """Gives what these parsed policies (Cedar's JSON) compare texts with, wherever it stands in them."""
    stated: set[str] = set()
    patterns: set[Pattern] = set()
    for policy in parsed:
        for name, part in _parts(policy):
            if name == "Value" and isinstance(part, str):
                stated.add(part)
            elif name == "pattern":
                patterns.add(_pieces(part))
    return Comparisons(frozenset(stated), tuple(sorted(patterns)))


def _parts(part: Any) -> Iterator[tuple[str, Any]]:
    """Yields every named part of a parsed policy, parts of parts too."""
    if isinstance(part, Mapping):
        for name, each in part.items():
            yield name, each
            yield from _parts(each)
    elif isinstance(part, list):
        for each in part:
            yield from _parts(each)


def _pieces(pattern: Iterable[str | Mapping[str, str]]) -> Pattern:
    pieces = [""]
    for element in pattern:
        if isinstance(element, str):  # "Wildcard", the only one that is no text
            pieces.append("")
        else:
            pieces[-1] += element["Literal"]
    return tuple(pieces)


def _matches(pattern: Pattern, text: str) -> bool:
    first, *middle = pattern
    if not middle:
        return text == first
    last = middle.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:  # the first place is the best one: it leaves most for the rest
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
