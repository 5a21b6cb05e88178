"""Tokens that run out: fetched once however many callers need one, kept until shortly before their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.ports import Clock

_PATIENCE_S: Final = 3.0
"""For how long one waits for another's fetch, which may hang for as long as that one has time."""
_NEW_S: Final = 10.0
"""Within so long of its fetching, a token that is refused is not the one to blame."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the moment it runs out."""

    value: str
    until: datetime


class TokenKeeper:
    """Gives a valid token; fifty callers at once cause exactly one fetch, and the others wait for it.

    `fetch` takes the point in time by which it must be done and the token held so far, if any. A caller that is cancelled
    while it fetches leaves the next one to do it; so does, after a while, one whose fetch gets no answer.
    """

    def __init__(
        self,
        fetch: Callable[[float, Token | None], Awaitable[Token]],
        clock: Clock,
        *,
        margin_s: float = 5.0,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._margin = timedelta(seconds=margin_s)
        self._held: Token | None = None
        self._held_since = 0.0
        self._lock = asyncio.Lock()

    @property
    def held(self) -> Token | None:
        """The token held, valid or not."""
        return self._held

    async def get(self, fetch_by: float) -> str:
        """Gives a valid token; raises what `fetch` raises."""
        held = self._valid()
        if held is not None:
            return held.value
        lock = await self._turn()
        try:
            held = self._valid()
            if held is None:
                held = await self._fetch(fetch_by, self._held)
                if held is not self._held:  # else it came along meanwhile, and was kept then
                    self.keep(held)
            return held.value
        finally:
            lock.release()

    async def _turn(self) -> asyncio.Lock:
        """Gives what is to be released after the turn to fetch; whose turn lasts too long is left to itself."""
        while True:
            lock = self._lock
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await lock.acquire()
            except TimeoutError:
                if self._lock is lock:  # else another lost patience first, and has the new one's turn
                    self._lock = asyncio.Lock()
            else:
                return lock

    def keep(self, token: Token) -> None:
        """Takes a token, be it that it came along with something else."""
        self._held = token
        self._held_since = self._clock.monotonic()

    def drop(self, value: str) -> None:
        """Forgets a token the platform no longer takes; one that was renewed meanwhile stays."""
        if self._held is not None and self._held.value == value:
            self._held = None

    def doubt(self, value: str) -> bool:
        """Forgets a token that was refused for what may be no fault of its own; gives whether another is worth a try.

        A platform that lost its tokens, as by a restart, may call them wrongly signed. A new one is not doubted, so that a
        platform which refuses whatever it is shown is asked for one more every few seconds, not for each call.
        """
        if self._held is None or self._held.value != value:
            return True
        if self._clock.monotonic() - self._held_since < _NEW_S:
            return False
        self._held = None
        return True

    def _valid(self) -> Token | None:
        held = self._held
        return held if held is not None and held.until - self._margin > self._clock.now() else None
