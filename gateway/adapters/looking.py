"""Files looked at while the gateway runs: again and again, and at once when told to (SIGHUP)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.application.rounds import Rounds

LOOK_EVERY_S: Final = 2.0


class Looking:
    """Calls `look` every so often, with True when told to; made on its loop, closed by who made it.

    What was seen stays in force whatever a look raises; `name` is what the log calls it then.
    """

    def __init__(self, name: str, look: Callable[[bool], Awaitable[None]], *, every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._is_told = False
        self._rounds = Rounds(name, self._round, every_s=every_s)
        self._rounds.start()

    def tell(self) -> None:
        """Has it look now, and take what it finds, changed or not."""
        self._is_told = True
        self._rounds.wake()

    async def aclose(self) -> None:
        """Stops looking."""
        await self._rounds.aclose()

    async def _round(self) -> None:
        told, self._is_told = self._is_told, False
        await self._look(told)
