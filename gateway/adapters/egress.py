"""Egress: the gateway's session talks to the hosts its configuration declares, and to no other.

The check stands below pooling and redirects, so neither a connector's mistake nor an address smuggled in by a platform's
answer leads elsewhere.

Only so many connections to one host are being opened at once. A burst of thousands would keep the loop so busy that their
handshakes, done by the system at once, were looked at only after the time a connect may take, and healthy platforms would
seem to be gone; a connect that waits for its turn here has not begun, so its time does not run yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
from yarl import URL

OPENING_AT_ONCE: Final = 64


class DeclaredHostsConnector(aiohttp.TCPConnector):
    """A TCP connector for declared (host, port) pairs only."""

    def __init__(self, addresses: Iterable[str], **settings: Any) -> None:
        super().__init__(**settings)
        self._declared = {(url.host, url.port): _Turns() for url in map(URL, addresses)}

    def declare(self, address: str) -> None:
        """Has one more address declared, for as long as this lives."""
        url = URL(address)
        self._declared.setdefault((url.host, url.port), _Turns())

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: Any) -> Any:
        """Connects, or raises aiohttp.InvalidURL for a host that is not declared."""
        turns = self._declared.get((req.url.host, req.url.port))
        if turns is None:
            raise aiohttp.InvalidURL(f"{req.url.host}:{req.url.port}", "is not a declared host")
        if turns.free:  # so for a kept connection, unless others are being opened by the dozen
            turns.free -= 1
        else:
            await turns.wait()
        try:
            return await super().connect(req, traces, timeout)
        finally:
            turns.leave()


class _Turns:
    """Who may connect to one host; asyncio's semaphore does the same in two coroutines for each request."""

    __slots__ = ("_waiting", "free")

    def __init__(self) -> None:
        self.free = OPENING_AT_ONCE
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Waits until somebody leaves and it is this one's turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn had come in the very moment
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Hands the turn on to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled just now
                turn.set_result(None)
                return
        self.free += 1
