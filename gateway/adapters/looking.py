"""Files looked at while the gateway runs: again and again, and at once when told to (SIGHUP)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LOOK_EVERY_S: Final = 2.0


class Looking:
    """Calls `look` every so often, with True when told to; made on its loop, closed by who made it.

    `look` must not raise: what went wrong is its own to tell, and the next look may do better.
    """

    def __init__(self, look: Callable[[bool], Awaitable[None]], *, every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._told = asyncio.Event()
        self._looking = asyncio.create_task(self._look_again_and_again())

    def tell(self) -> None:
        """Has it look now, and take what it finds, changed or not."""
        self._told.set()

    async def aclose(self) -> None:
        """Stops looking."""
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes as the event is set, and would never end.
            try:
                async with asyncio.timeout(self._every_s):
                    await self._told.wait()
            except TimeoutError:
                pass
            told = self._told.is_set()
            self._told.clear()
            await self._look(told)
