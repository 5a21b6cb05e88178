"""What a reading of joint lists comes to in the trail: whose entries were looked up or told, in pieces of a bounded size.

Codes of enterprises stand there and nothing else: no names, and no text that was sent in a code's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

MOST_USCCS: Final = 250
"""Enterprises of one entry: a line of some six thousand bytes, however much is read at once."""


class ListReading(NamedTuple):
    """One piece of a reading: how many codes were asked about, the enterprises that was or was told, entries told."""

    code_count: int = 0
    usccs: tuple[str, ...] = ()
    entry_count: int = 0


def readings_of(usccs: Sequence[str]) -> Sequence[ListReading]:
    """Gives what telling entries of these enterprises comes to, by the code of each entry's; of none one piece too."""
    parts = [usccs[begin : begin + MOST_USCCS] for begin in range(0, len(usccs), MOST_USCCS)] or [usccs]
    return [ListReading(0, tuple(dict.fromkeys(part)), len(part)) for part in parts]
