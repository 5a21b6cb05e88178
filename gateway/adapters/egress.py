"""Egress: the gateway's session talks to the hosts its configuration declares, and to no other.

The check stands below pooling and redirects, so neither a connector's mistake nor an address smuggled in by a platform's
answer leads elsewhere.

Only so many connections to one host are being opened at once. A burst of thousands would keep the loop so busy that their
handshakes, done by the system at once, were looked at only after the time a connect may take, and healthy platforms would
seem to be gone; a connect that waits for its turn here has not begun, so its time does not run yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
from yarl import URL

OPENING_AT_ONCE: Final = 64


class DeclaredHostsConnector(aiohttp.TCPConnector):
    """A TCP connector for declared (host, port) pairs only."""

    def __init__(self, addresses: Iterable[str], **settings: Any) -> None:
        super().__init__(**settings)
        self._declared = {(url.host, url.port): asyncio.Semaphore(OPENING_AT_ONCE) for url in map(URL, addresses)}

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: Any) -> Any:
        """Connects, or raises aiohttp.InvalidURL for a host that is not declared."""
        turn = self._declared.get((req.url.host, req.url.port))
        if turn is None:
            raise aiohttp.InvalidURL(f"{req.url.host}:{req.url.port}", "is not a declared host")
        async with turn:  # at once for a kept connection, unless others are being opened by the dozen
            return await super().connect(req, traces, timeout)
