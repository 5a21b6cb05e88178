"""Tokens that run out: fetched once however many callers need one, kept until shortly before their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the moment it runs out."""

    value: str
    until: datetime


class TokenKeeper:
    """Gives a valid token; fifty callers at once cause exactly one fetch, and the others wait for it.

    `fetch` takes the point in time by which it must be done and the token held so far, if any. A caller that is cancelled
    while it fetches leaves the next one to do it.
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
        async with self._lock:
            held = self._valid()
            if held is None:
                held = self._held = await self._fetch(fetch_by, self._held)
            return held.value

    def keep(self, token: Token) -> None:
        """Takes a token that came along with something else."""
        self._held = token

    def drop(self, value: str) -> None:
        """Forgets a token the platform no longer takes; one that was renewed meanwhile stays."""
        if self._held is not None and self._held.value == value:
            self._held = None

    def _valid(self) -> Token | None:
        held = self._held
        return held if held is not None and held.until - self._margin > self._clock.now() else None
