"""Where a median lies, as far as so few runs tell."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median
from typing import Final

from tests.bench.report import Claim

_SURE: Final = 0.95


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Gives the ends of what holds the median of where the values come from, at 95 %: two of the values (the sign test's).

    Nothing is supposed of how they are spread. Less than six values cannot be so sure: of these it is the whole range.
    """
    ordered = sorted(values)
    count, cut, missed = len(ordered), 0, 2 / 2 ** len(ordered)
    for inner in range(1, count // 2):
        missed += 2 * comb(count, inner) / 2**count
        if missed > 1 - _SURE:
            break
        cut = inner
    return ordered[cut], ordered[count - 1 - cut]


def middle(what: str, values: Sequence[float], owed: float | None = None, stretch: float | None = None) -> Claim:
    """Gives the claim that is about the median of the values, with its interval."""
    return Claim(what, median(values), owed, stretch, interval(values))
