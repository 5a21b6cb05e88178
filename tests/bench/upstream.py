"""The four plain platforms in one process of their own: HTTP/1.1 by hand, so that they cost as little as they can.

`POST /{plain|realistic}/query/{uscc}` answers with the fixture's body; each port is one platform.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from tests.bench.child import announce, run
from tests.bench.fixture import ENTERPRISES, PLAIN, PLATFORMS, REALISTIC, body

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Platform(asyncio.Protocol):
    """One connection to one platform; requests come one after another, each with its Content-Length."""

    def __init__(self, replies: dict[str, bytes]) -> None:
        self._replies = replies
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        assert self._transport is not None
        self._read += data
        while True:
            head, found, rest = self._read.partition(b"\r\n\r\n")
            if not found:
                return
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._read = rest[length:]
            path = lines[0].split(" ")[1].partition("?")[0]
            self._transport.write(self._replies.get(path, _MISSING))


def _replies(platform: str) -> dict[str, bytes]:
    found = {}
    for payload in (PLAIN, REALISTIC):
        for uscc in ENTERPRISES:
            content = body(platform, payload, uscc)
            found[f"/{payload}/query/{uscc}"] = _HEAD.format(len(content)).encode() + content
    return found


async def main(told: asyncio.Event) -> None:
    """Serves until told to end."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(Platform, _replies(platform)), "127.0.0.1", 0, backlog=1024)
        for platform in PLATFORMS
    ]
    announce(*(server.sockets[0].getsockname()[1] for server in servers))
    await told.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    run(main)
