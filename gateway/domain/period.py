"""Periods of series and evaluations (所属期), in one form however they are written; pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_MONTH: Final = re.compile(r"([0-9]{4})(?:[-/.]?(0[1-9]|1[0-2])|年(0?[1-9]|1[0-2])月)")
_QUARTER: Final = re.compile(r"([0-9]{4})(?:-?[Qq]([1-4])|年第?([1-4])季度?)")
_YEAR: Final = re.compile(r"([0-9]{4})年度?")


@lru_cache(maxsize=4_096)
def fold_period(text: str) -> str:
    """Gives "2026-03" for 202603, 2026/03 and 2026年3月, "2026-Q1", "2026"; what is none of these stands as it is.

    Only the writing is folded: whether "2026-03" is a month is the record's own to say.
    """
    if found := _MONTH.fullmatch(text):
        return f"{found[1]}-{(found[2] or found[3]).zfill(2)}"
    if found := _QUARTER.fullmatch(text):
        return f"{found[1]}-Q{found[2] or found[3]}"
    if found := _YEAR.fullmatch(text):
        return found[1]
    return text
