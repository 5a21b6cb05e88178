"""Long work by turns: of each bank one message, or one page, at a time, and between two pieces the loop is everybody's.

A message may name thousands of things to look up, and a bank may send as many at once as it opens streams. Whoever else calls
waits for one piece of each bank that has such work, not for all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from gateway.domain.list_reading import MOST_USCCS

Item = TypeVar("Item")

PIECE: Final = MOST_USCCS
"""Items of a piece: a part of a millisecond, and one entry of the trail."""


class Turns:
    """Deals out turns; a bank is known only while it works or waits."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, bank: str) -> asyncio.Lock:
        """Gives what to hold during the work on one message or page of the bank; its others wait in the order they came."""
        lock = self._of.get(bank)
        if lock is None:
            lock = self._of[bank] = asyncio.Lock()
        return lock


async def pieces(items: Sequence[Item]) -> AsyncGenerator[tuple[int, Sequence[Item]], None]:
    """Yields items in pieces, each with the place of its first, and lets everybody else go on before the next."""
    for begin in range(0, len(items), PIECE):
        yield begin, items[begin : begin + PIECE]
        await asyncio.sleep(0)
