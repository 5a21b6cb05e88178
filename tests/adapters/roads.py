"""The way to a real PostgreSQL, which a test may block: nothing is refused then, and nothing answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Road:
    """The way to a server, which may be blocked: what is sent then arrives when it is free again."""

    def __init__(self, socket: str) -> None:
        self.taken = 0
        self.is_free = asyncio.Event()
        self.is_free.set()
        self._socket = socket
        self._passing: set[asyncio.Task[None]] = set()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection's bytes, both ways."""
        self.taken += 1
        there, back = await asyncio.open_unix_connection(f"{self._socket}/.s.PGSQL.5432")
        ways = [asyncio.create_task(self._carry(*way)) for way in ((reader, back), (there, writer))]
        self._passing.update(ways)
        await asyncio.wait(ways)

    async def _carry(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while sent := await source.read(65_536):
                await self.is_free.wait()
                to.write(sent)
        to.close()

    async def aclose(self) -> None:
        """Drops what is under way."""
        for one in self._passing:
            one.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)


@asynccontextmanager
async def road_to(socket: str, folder: Path) -> AsyncIterator[Road]:
    """Gives a way to the server of that socket, by a socket in the folder."""
    road = Road(socket)
    server = await asyncio.start_unix_server(road.pass_on, folder / ".s.PGSQL.5432")
    try:
        yield road
    finally:
        server.close()
        await road.aclose()
