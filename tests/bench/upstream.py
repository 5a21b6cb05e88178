"""The plain platforms in one process of their own: HTTP/1.1 by hand, so that they cost as little as they can.

    python -m tests.bench.upstream instant|steady|tail|slow FIRST COUNT

`POST /{plain|realistic}/query/{uscc}` answers with the fixture's body; each port is one platform. What they saw is asked on
any port: `GET /calls` gives the calls of each platform, and the most under way at once since it was last asked; `GET /took`
the time each enterprise's last answers took, and forgets it. `POST /v1/traces` takes spans and drops them: what a collector
costs is nobody's here.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import msgspec

from tests.bench.child import announce, run
from tests.bench.fixture import PLAIN, PLATFORMS, REALISTIC, body

SLOW_SHARE: Final = 0.05
SLOW_S: Final = 1.0
STEADY_S: Final = (0.006, 0.018)
FLIGHT_S: Final = 2.0
_SEED: Final = 20261125
_BACKLOG: Final = 4_096
_HEAD = "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def delays(mode: str) -> Callable[[], float]:
    """Gives what draws the seconds each answer takes, slow ones independently of each other; 0 is at once."""
    draw = random.Random(_SEED)

    def tail() -> float:
        return SLOW_S if draw.random() < SLOW_SHARE else draw.uniform(*STEADY_S)

    modes: Mapping[str, Callable[[], float]] = {
        "instant": lambda: 0.0,
        "steady": lambda: draw.uniform(*STEADY_S),
        "tail": tail,
        "slow": lambda: FLIGHT_S,
    }
    return modes[mode]


@dataclass(slots=True)
class Seen:
    """What the platforms saw: calls by platform, how many are under way, and how long answers took by enterprise."""

    calls: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0
    took: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def began(self, platform: str) -> None:
        """One call arrived."""
        self.calls[platform] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

    def answered(self, platform: str, uscc: str, began: float) -> None:
        """One call was answered: of several for the same the platform took from the first call to the first answer."""
        now = time.monotonic()
        of_uscc = self.took.setdefault(uscc, {})
        first, ended = of_uscc.get(platform, (began, now))
        of_uscc[platform] = (min(first, began), min(ended, now))

    def told(self, path: str) -> bytes | None:
        """Gives what was seen; None for a path that asks for nothing of it."""
        if path == "/calls":
            most, self.most_under_way = self.most_under_way, self.under_way
            return msgspec.json.encode({"calls": self.calls, "most_under_way": most})
        if path == "/took":
            took, self.took = self.took, {}
            return msgspec.json.encode(
                {uscc: [ended - began for began, ended in of_uscc.values()] for uscc, of_uscc in took.items()}
            )
        return b"{}" if path == "/v1/traces" else None


class Platform(asyncio.Protocol):
    """One connection to one platform; requests come one after another, each with its Content-Length."""

    def __init__(self, platform: str, seen: Seen, draw_s: Callable[[], float], loop: asyncio.AbstractEventLoop) -> None:
        self._platform = platform
        self._seen = seen
        self._draw_s = draw_s
        self._loop = loop
        self._read = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the answer that nobody waits for any more."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._seen.under_way -= 1

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
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
            self._serve(lines[0].split(" ")[1].partition("?")[0])

    def _serve(self, path: str) -> None:
        assert self._transport is not None
        told = self._seen.told(path)
        if told is not None:
            self._transport.write(_HEAD.format("200 OK", len(told)).encode() + told)
            return
        began = time.monotonic()
        self._seen.began(self._platform)
        delay_s = self._draw_s()
        if delay_s:
            self._timer = self._loop.call_later(delay_s, self._answer, path, began)
        else:
            self._answer(path, began)

    def _answer(self, path: str, began: float) -> None:
        self._timer = None
        self._seen.under_way -= 1
        _, payload, _, uscc = path.split("/")
        assert self._transport is not None
        self._transport.write(_reply(self._platform, payload, uscc))
        self._seen.answered(self._platform, uscc, began)


def _reply(platform: str, payload: str, uscc: str) -> bytes:
    if payload not in (PLAIN, REALISTIC):
        return _HEAD.format("404 Not Found", 0).encode()
    content = body(platform, payload, uscc)
    return _HEAD.format("200 OK", len(content)).encode() + content


async def main(told: asyncio.Event) -> None:
    """Serves until told to end."""
    mode, first, count = sys.argv[1:]
    loop = asyncio.get_running_loop()
    seen, draw_s = Seen(), delays(mode)
    servers = [
        await loop.create_server(partial(Platform, platform, seen, draw_s, loop), "127.0.0.1", 0, backlog=_BACKLOG)
        for platform in PLATFORMS[int(first) : int(first) + int(count)]
    ]
    announce(*(server.sockets[0].getsockname()[1] for server in servers))
    await told.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    run(main)
