"""Rows where time is the point: connectors, their wrappers and fan-out on real sockets, under a loop whose time jumps.

The loop is the network's names and distances too: it resolves names as it is told, and a connection to a host that is said
to be a black hole never comes about.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from yarl import URL

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.adapters.egress import DeclaredHostsConnector
from gateway.adapters.resilience.chain import ChainPolicy, resilient
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.application.fan_out import fan_out
from gateway.connector_bootstrap import find_plugins, find_sandboxes
from gateway.domain.answer import Answer
from gateway.domain.consent import development_permit
from gateway.ports import Connector, ConnectorSetup
from tests.faults.declared import PLATFORMS, ForPlatform, told
from tests.faults.house import check_silence, open_descriptors, question, without_digest
from tests.faults.proxy import FaultProxy, Script, forward
from tests.shipped import shipped_settings

_REAL_S: Final = 0.002
"""How long the loop looks for what is under way on a loopback socket before it takes everybody to be waiting."""
_STUCK_S: Final = 10.0


class FaultLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer when nothing is under way; names resolve by `names`, `black_holes` swallow connections."""

    def __init__(self) -> None:
        self.names: dict[str, Sequence[str]] = {}
        self.black_holes: set[str] = set()
        self.in_threads = 0
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def jump(self, by_s: float) -> None:
        self._now += by_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # any function
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._left_thread)
        return future

    def _left_thread(self, _: object) -> None:
        self.in_threads -= 1

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        addresses = [host] if host and str(host)[0].isdigit() else self.names.get(str(host), ())
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (a, port)) for a in addresses]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        if address[0] in self.black_holes:
            await self.create_future()  # nobody ever answers; the caller's own limit ends it
        await super().sock_connect(sock, address)


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: FaultLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self._loop.in_threads:
            ready = super().select(_STUCK_S)
            assert ready, "everybody waits for something that never comes"
            return ready
        ready = super().select(_REAL_S)
        if not ready:
            self._loop.jump(timeout)
        return ready


class LoopClock:
    """The time of day, and the loop's own simulated time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class SeenInTime:
    """What came of one query in simulated time, and what the proxy saw of it."""

    answers: Mapping[str, Answer]
    platform: str
    took_s: float
    connections: int
    open_connections: int

    @property
    def answer(self) -> Answer:
        """The faulty platform's answer."""
        return self.answers[self.platform]


@dataclass
class Simulated:
    """One run of one test in simulated time; the fault is set by its fields before `ask`."""

    about: ForPlatform
    control: Mapping[str, view_pb2.Answer]
    script: Script = forward
    address: Callable[[str], str] = str
    """Gives the platform's address as configured from the proxy's own."""
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    black_holes: set[str] = field(default_factory=set)
    is_checked: bool = False

    def ask(self, time_s: float = 10.0) -> SeenInTime:
        """Asks all four platforms with so many simulated seconds until the answers must be in."""
        before = open_descriptors()
        with asyncio.Runner(loop_factory=FaultLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, FaultLoop)
            loop.names, loop.black_holes = self.names, self.black_holes
            seen, left = runner.run(self._story(time_s))
        assert not left, "a task was left behind"
        assert open_descriptors() == before, "a socket was left open"
        return seen

    def check(self, seen: SeenInTime, *, within_s: float = 10.0) -> None:
        """Asserts the declared outcome and what must hold in every row, the answer having come within so many seconds."""
        self.is_checked = True
        assert told(seen.answer) == self.about.expected, seen.answer.detail
        assert seen.took_s <= within_s
        for platform, answer in seen.answers.items():
            if platform != seen.platform:
                assert without_digest(answer.said) == self.control[platform], "another platform's answer changed"
        check_silence(seen.answer)

    async def _story(self, time_s: float) -> tuple[SeenInTime, set[str]]:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            sandboxes = find_sandboxes(PLATFORMS)
            running = {
                name: await sandboxes[name].start("127.0.0.1", 0, 0, enterprises=30, seed=1) for name in PLATFORMS
            }
            for sandbox in running.values():
                stack.push_async_callback(sandbox.aclose)
            proxy = await stack.enter_async_context(FaultProxy(running[self.about.platform].url, self.script))
            urls = {name: sandbox.url for name, sandbox in running.items()}
            urls[self.about.platform] = self.address(proxy.url)
            session = aiohttp.ClientSession(connector=DeclaredHostsConnector(urls.values(), limit=0))
            await stack.enter_async_context(session)
            flights = Flights()
            stack.push_async_callback(flights.aclose)
            connectors = _connectors(urls, session, flights)
            query, answers, started = question(), list[Answer](), loop.time()
            await fan_out(connectors, query, development_permit(query), started + time_s, answers.append)
            took_s = loop.time() - started
            await _settled()
            by_platform = {answer.platform: answer for answer in answers}
            seen = SeenInTime(by_platform, self.about.platform, took_s, proxy.connections, proxy.open_connections)
        await _settled()
        return seen, {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def _settled() -> None:
    """Gives both sides of what was cancelled the turns they need to close."""
    for _ in range(8):
        await asyncio.sleep(0.05)


def _connectors(urls: Mapping[str, str], session: aiohttp.ClientSession, flights: Flights) -> Mapping[str, Connector]:
    """Gives the connectors with the whole chain around them, by its defaults."""
    plugins = find_plugins(shipped_settings()).connectors
    sandboxes = find_sandboxes(PLATFORMS)
    clock = LoopClock()
    ledger, cache = QuotaLedger({}, clock), LocalAnswerCache(clock, most_answers=100, most_bytes=10_000_000)
    bare = {
        name: plugins[name].connect(ConnectorSetup(urls[name], session, clock, sandboxes[name].credentials()))
        for name in PLATFORMS
    }
    return {name: resilient(bare[name], ChainPolicy(), ledger, cache, flights, clock).door for name in PLATFORMS}


def control_run() -> Mapping[str, view_pb2.Answer]:
    """Gives what each platform answers when nothing is wrong, in simulated time."""
    seen = Simulated(ForPlatform(PLATFORMS[0], "OK"), {}).ask()
    return {name: without_digest(answer.said) for name, answer in seen.answers.items()}


def host_of(url: str, name: str) -> str:
    """Gives the address with another host's name in it."""
    return str(URL(url).with_host(name))


def simulated_cases(about: ForPlatform, control: Mapping[str, view_pb2.Answer]) -> Iterator[Simulated]:
    """Gives one platform's case, and holds afterwards that it was checked."""
    this = Simulated(about, control)
    yield this
    assert this.is_checked, "the test declares an outcome it did not check"
