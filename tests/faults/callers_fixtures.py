"""A gateway before two platforms that count: what the rows of the callers' side need, and the well-behaved caller beside."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web

from connectors.kit.enterprise_codes import code_of
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NO_RECORDS, OUTCOME_UNREACHABLE, PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.telemetry.logs import configure_logs
from gateway.bootstrap import build_gateway
from gateway.connector_bootstrap import Plugins
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup
from gateway.process import Gateway
from gateway.settings import PlatformSettings, Settings
from tests.faults.h2_client import message
from tests.shipped import shipped_settings

PLATFORMS = ("ping", "pong")
GET = "/xinyidai.gateway.v1.CreditService/GetCreditView"
STREAM = "/xinyidai.gateway.v1.CreditService/StreamCreditView"
BATCH = "/xinyidai.gateway.v1.CreditService/BatchGetCreditViews"


_numbers = itertools.count(1)


def new_uscc() -> str:
    """Gives a code nobody has asked about: what is kept from an earlier query cannot answer for it."""
    return code_of("91", "310115", f"MA{next(_numbers):06X}")


def query(uscc: str = "", **more: Any) -> pb.CreditQuery:
    """Gives a valid query, about a new enterprise when none is named."""
    return pb.CreditQuery(uscc=uscc or new_uscc(), purpose=PURPOSE_PRE_LOAN, **more)


def request(uscc: str = "", **more: Any) -> pb.GetCreditViewRequest:
    """Gives a valid request; a stream's has the same form."""
    return pb.GetCreditViewRequest(query=query(uscc, **more))


def body(uscc: str = "", **more: Any) -> bytes:
    """Gives a valid request as it stands on the wire."""
    return message(request(uscc, **more).SerializeToString())


@dataclass
class Upstream:
    """Where both platforms answer: counts calls and connections, and takes as long as it is told."""

    delay_s: float = 0.0
    calls: int = 0
    under_way: int = 0
    most_under_way: int = 0
    connections: set[int] = field(default_factory=set)

    async def answer(self, asked: web.Request) -> web.Response:
        """Says that there is nothing on file."""
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.connections.add(id(asked.transport))
        try:
            await asyncio.sleep(self.delay_s)
            return web.Response(text="nothing on file")
        finally:
            self.under_way -= 1


class CountedConnector:
    """Makes one HTTP call in the gateway's own session, so that the gateway's pools are what is used."""

    def __init__(self, platform: Platform, setup: ConnectorSetup) -> None:
        self._platform = platform
        self._setup = setup

    @property
    def platform(self) -> Platform:
        """The facts."""
        return self._platform

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives NO_RECORDS."""
        try:
            async with self._setup.session.get(self._setup.base_url) as response:
                await response.read()
        except OSError:
            return failed_answer(self._platform.id, OUTCOME_UNREACHABLE, "connect", permit.categories, attempts=1)
        said = view_pb2.Answer(
            platform=self._platform.id,
            outcome=OUTCOME_NO_RECORDS,
            categories=[
                view_pb2.CategoryAnswer(category=category, outcome=OUTCOME_NO_RECORDS)  # type: ignore[arg-type]
                for category in permit.categories
            ],
        )
        return Answer(said=said, attempts=1, fetched_at=self._setup.clock.now())


class CountedPlugin:
    """A platform that covers every category."""

    def __init__(self, name: str, province: str) -> None:
        coverage = {category: CategoryCoverage(category) for category in CATALOGUE.by_category}
        self._platform = Platform(name, "平台", name, Tier.PROVINCE, province=province, coverage=coverage)

    def platform(self) -> Platform:
        """The facts."""
        return self._platform

    def notes(self) -> Sequence[str]:
        """Has none."""
        return ()

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Builds the connector."""
        return CountedConnector(self._platform, setup)


@dataclass
class Rig:
    """A gateway that is up, with what is behind it and a well-behaved client."""

    port: int
    gateway: Gateway
    upstream: Upstream
    trail: Path
    credit: credit_service_pb2_grpc.CreditServiceAsyncStub

    async def is_answering(self) -> None:
        """Asks a good question on a new connection; raises unless both platforms were asked once and heard."""
        before = self.upstream.calls
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=_OWN) as channel:
            stub: Any = credit_service_pb2_grpc.CreditServiceStub(channel)
            response = await stub.GetCreditView(request(), timeout=10)
        assert response.view.completeness_bp == 10_000
        assert self.upstream.calls == before + len(PLATFORMS)

    def events(self) -> list[str]:
        """Gives the events of the trail in order."""
        return [json.loads(line)["event"] for line in self.trail.read_text(encoding="utf-8").splitlines()]


# Channels with the same target and options share connections unless told not to.
_GRPC_FILES = 8
_OWN = (("grpc.use_local_subchannel_pool", 1),)


def at_upstream(settings: Settings, url: str) -> Settings:
    """Gives settings in which the two counted platforms stand at an address, and nobody is asked twice."""
    platforms = {name: PlatformSettings(base_url=url) for name in PLATFORMS}
    return replace(settings, platforms=platforms)


def channel_to(port: int, shown: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """Gives a channel with a connection of its own, in plain text without credentials."""
    if shown is None:
        return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OWN)
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", shown, options=_OWN)


@asynccontextmanager
async def callers_rig(
    folder: Path,
    settings: Settings | None = None,
    *,
    tls: TlsFiles | None = None,
    shown: grpc.ChannelCredentials | None = None,
) -> AsyncIterator[Rig]:
    """Starts it all and stops it all; afterwards nothing may be under way.

    With `tls` it is served with certificates, and the client shows its own; otherwise it is a gateway of development.
    """
    configure_logs("error")
    tasks, files = asyncio.all_tasks(), _open_files()
    upstream = Upstream()
    app = web.Application()
    app.router.add_get("/", upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    connectors: Mapping[str, ConnectorPlugin] = {
        name: CountedPlugin(name, str(31 + index)) for index, name in enumerate(PLATFORMS)
    }
    facts = {name: plugin.platform() for name, plugin in connectors.items()}
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    trail = folder / "audit.jsonl"
    try:
        gateway = await build_gateway(
            at_upstream(settings or shipped_settings(), url), Plugins(connectors, facts, ()), audit_path=trail, tls=tls
        )
        try:
            port = await gateway.server.start("127.0.0.1:0")
            async with channel_to(port, shown) as channel:
                stub: Any = credit_service_pb2_grpc.CreditServiceStub(channel)
                yield Rig(port, gateway, upstream, trail, stub)
        finally:
            await gateway.aclose()
    finally:
        await runner.cleanup()
    assert upstream.under_way == 0
    await _nothing_left(tasks, files)


async def _nothing_left(tasks: set[asyncio.Task[Any]], files: int) -> None:
    """Waits until no task is left that was not there before, and no socket beyond those gRPC keeps for itself."""
    async with asyncio.timeout(5):
        while asyncio.all_tasks() - tasks - {asyncio.current_task()} or _open_files() > files + _GRPC_FILES:
            await asyncio.sleep(0.01)  # gRPC's own threads close sockets a moment later


def _open_files() -> int:
    listed = Path("/proc/self/fd")
    return sum(1 for _ in listed.iterdir()) if listed.is_dir() else 0
