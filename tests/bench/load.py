"""The load over kept channels, every answer checked: closed loop for what a view costs, open loop for how long it takes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from tests.bench.processes import Process
from tests.bench.questions import Target

CONCURRENCY: Final = 32
_SPIN_S: Final = 0.0015  # timers are late by up to a millisecond: what is left is waited for turn by turn
_START_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of calls cost: the server's CPU microseconds for each view, and the views it gave a second."""

    cpu_us: float
    views_per_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer of an open loop; its latency counts from when it was to be asked, which the load was late by `late_s`."""

    uscc: str
    latency_s: float
    late_s: float
    is_whole: bool


class Line:
    """A kept channel to one server, asked about the given enterprises in turn."""

    def __init__(self, process: Process, target: Target, channel: grpc.aio.Channel, enterprises: Sequence[str]) -> None:
        self.target = target
        self._process = process
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(target.method)
        self._requests = [(uscc, target.request(uscc)) for uscc in enterprises]

    async def ask(self, uscc: str, timeout_s: float) -> bool:
        """Asks once; gives whether the answer is whole."""
        return self.target.check(uscc, await self._call(self.target.request(uscc), timeout=timeout_s))

    async def drive(self, calls: int, concurrency: int = CONCURRENCY) -> Cost:
        """Makes so many calls, so many at a time; any failure ends the run."""
        left = iter(range(calls))

        async def work() -> None:
            for number in left:
                uscc, request = self._requests[number % len(self._requests)]
                self.target.check(uscc, await self._call(request, timeout=10))

        async with measured(self._process, calls) as cost, asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        return cost()


@asynccontextmanager
async def measured(process: Process, views: int) -> AsyncIterator[Callable[[], Cost]]:
    """Gives what tells, once the block is left, what so many views cost the process in it."""
    found: list[Cost] = []
    before, began = process.cpu_s(), time.monotonic()
    yield lambda: found[0]
    took_s = time.monotonic() - began
    found.append(Cost((process.cpu_s() - before) / views * 1e6, views / took_s))


@asynccontextmanager
async def line(
    process: Process, target: Target, enterprises: Sequence[str], credentials: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Line]:
    """Opens the channel to a server, in plain text without credentials, and closes it."""
    address = f"127.0.0.1:{process.addresses[0]}"
    opened = (
        grpc.aio.insecure_channel(address) if credentials is None else grpc.aio.secure_channel(address, credentials)
    )
    async with opened as channel:
        yield Line(process, target, channel, enterprises)


async def open_loop(
    ask: Callable[[str], Awaitable[bool]], enterprises: Sequence[str], rate_per_s: float
) -> list[Heard]:
    """Asks about each enterprise at its own point in time, evenly spaced, whether or not earlier ones were answered.

    Latency counts from that point, so a server that keeps the load waiting does not hide it. Any failure ends the run.
    """
    heard: list[Heard] = []
    begin = time.monotonic() + _START_S

    async def one(uscc: str, due: float) -> None:
        started = time.monotonic()
        is_whole = await ask(uscc)
        heard.append(Heard(uscc, time.monotonic() - due, started - due, is_whole))

    async with asyncio.TaskGroup() as group:
        for number, uscc in enumerate(enterprises):
            due = begin + number / rate_per_s
            left_s = due - time.monotonic()
            if left_s > _SPIN_S:
                await asyncio.sleep(left_s - _SPIN_S)
            while time.monotonic() < due:
                await asyncio.sleep(0)
            group.create_task(one(uscc, due))
    return heard


def percentile(values: Sequence[float], share: float) -> float:
    """Gives the smallest value that at least such a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ms(values: Sequence[float], share: float) -> float:
    """Gives a percentile of seconds, in milliseconds."""
    return percentile(values, share) * 1e3
