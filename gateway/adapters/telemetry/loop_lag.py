"""How late the event loop is: a timer each half second, and by how much it was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 0.5


class LoopLag:
    """Tells the running loop's delay in seconds; made on that loop, closed by who made it.

    A timer rather than a task: there is nothing to await, and what `told` raises goes to the loop's handler and stops
    nothing. A loop that is blocked for long is told of once, with the whole delay.
    """

    def __init__(self, told: Callable[[float], None], *, every_s: float = _EVERY_S) -> None:
        self._told = told
        self._every_s = every_s
        self._last_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._plan()

    def _plan(self) -> None:
        self._due = self._loop.time() + self._every_s
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        lag_s = self._last_s = max(0.0, self._loop.time() - self._due)
        self._plan()
        self._told(lag_s)

    @property
    def lag_s(self) -> float:
        """How late the loop is, by its last timer or by the one that is due."""
        return max(self._last_s, self._loop.time() - self._due)

    async def aclose(self) -> None:
        """Stops it."""
        self._timer.cancel()
