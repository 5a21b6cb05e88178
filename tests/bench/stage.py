"""What a room of the benchmark starts: platforms that say what they saw, peers, gateways; the stack ends them all."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import msgspec

from tests.bench.fixture import FOUR, PLAIN
from tests.bench.processes import Process, start
from tests.bench.trusted import bank_credentials

PEER_NAIVE: Final = "tests.bench.peers.naive"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked: calls of one run of a cost row, queries of an open loop and before it, queries in flight.

    `runs` are the rounds in which the cost rows take turns, some of them one more; `beside` those in which gateways with and
    without trust run side by side, of `beside_calls` each; `pairs` the runs with and without evidence that are compared two by
    two, of `pair_calls` each; `revocations` the trials of how soon one is effective elsewhere.

    The tail's warm-up is longer: it fills the window of the hedge's budget, which is small while few calls were made.
    `listed` and `screened` are entries of joint lists and enterprises that are looked up in them.
    """

    calls: int
    tail: int
    latency: int
    warm: int
    tail_warm: int
    in_flight: int
    runs: int = 20
    beside: int = 24
    beside_calls: int = 300
    pairs: int = 10
    pair_calls: int = 96
    revocations: int = 24
    listed: int = 700_000
    screened: int = 1_000_000


FULL: Final = Size(calls=100, tail=3_000, latency=2_000, warm=300, tail_warm=1_000, in_flight=10_000)
QUICK: Final = Size(
    calls=20, tail=150, latency=120, warm=120, tail_warm=150, in_flight=500, runs=8, beside=8, beside_calls=40, pairs=3,
    pair_calls=20, revocations=3, listed=35_000, screened=50_000,
)  # fmt: skip
RATE_PER_S: Final = 100.0


@dataclass(frozen=True, slots=True)
class Calls:
    """How often the platforms were called, and how many calls they had under way at once at most."""

    total: int
    most_under_way: int


class Upstream:
    """The platforms of one process."""

    def __init__(self, process: Process, session: aiohttp.ClientSession) -> None:
        self.addresses = [f"http://127.0.0.1:{port}" for port in process.addresses]
        self._session = session

    async def calls(self) -> Calls:
        """Gives what the platforms counted since they started, and the most under way since last asked."""
        told = await self._told("calls")
        return Calls(sum(told["calls"].values()), told["most_under_way"])

    async def took_s(self) -> dict[str, list[float]]:
        """Gives how long each platform took for its last answers, by enterprise, as it measured itself; then they are forgotten."""
        found: dict[str, list[float]] = await self._told("took")
        return found

    async def _told(self, what: str) -> Any:
        async with self._session.get(f"{self.addresses[0]}/{what}") as response:
            return msgspec.json.decode(await response.read())


class Stage:
    """Starts processes into a folder of their own; `ends` is when its room should be done, by the monotonic clock."""

    def __init__(self, stack: AsyncExitStack, folder: Path, session: aiohttp.ClientSession, ends: float = inf) -> None:
        self.stack = stack
        self._ends = ends
        self._folder = folder
        self._session = session
        self._trails = 0

    def has_time_for(self, seconds: float) -> bool:
        """Whether the room may begin something that takes so long: what is left belongs to the rooms after it."""
        return time.monotonic() + seconds <= self._ends

    async def upstream(self, mode: str, count: int = len(FOUR), *, first: int = 0) -> Upstream:
        """Starts so many platforms in one process."""
        process = await start(self.stack, self._folder, "tests.bench.upstream", mode, str(first), str(count))
        return Upstream(process, self._session)

    async def sandboxes(self) -> list[str]:
        """Starts the four sandboxes in one process and gives their addresses."""
        process = await start(self.stack, self._folder, "tests.bench.sandboxes")
        return [str(url) for url in process.addresses]

    async def peer(self, module: str, *arguments: str) -> Process:
        """Starts a peer."""
        return await start(self.stack, self._folder, module, *arguments)

    async def naive(self, addresses: list[str]) -> Process:
        """Starts the naive peer on plain platforms."""
        return await self.peer(PEER_NAIVE, *(f"{address}/{PLAIN}" for address in addresses))

    async def gateway(self, kind: str, addresses: list[str], *options: str, traces: str = "") -> Process:
        """Starts a gateway with everything on; spans go to the address given for traces, else to the first platform's."""
        always = ("--audit", self.trail(), "--traces", f"{traces or addresses[0]}/v1/traces")
        return await start(self.stack, self._folder, "tests.bench.gateway_server", *always, *options, kind, *addresses)

    async def trusted(self, kind: str, addresses: list[str], *more: str) -> tuple[Process, grpc.ChannelCredentials]:
        """Starts a gateway that knows callers and enforces consents; gives it with what its bank shows."""
        trail = self.trail()
        options = ("--audit", trail, "--traces", f"{addresses[0]}/v1/traces", "--trusted", *more)
        process = await start(self.stack, self._folder, "tests.bench.gateway_server", *options, kind, *addresses)
        return process, bank_credentials(Path(trail))

    def trail(self) -> str:
        """Gives a file nobody else writes to."""
        self._trails += 1
        return str(self._folder / f"trail-{self._trails}")
