"""A whole gateway before its four simulated platforms, on free ports, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.process import Gateway
from tests.shipped import shipped_settings

DEMO = "91310115MA0TERT167"


@dataclass
class Rig:
    """What a test needs: the server's address, the platforms with their faults, the trail, and a client."""

    address: str
    platforms: Mapping[str, Running]
    trail: Path
    gateway: Gateway
    channel: grpc.aio.Channel

    @property
    def credit(self) -> credit_service_pb2_grpc.CreditServiceAsyncStub:
        """The client."""
        return credit_service_pb2_grpc.CreditServiceStub(self.channel)


def query(uscc: str = DEMO, **more: object) -> pb.CreditQuery:
    """Gives a valid query."""
    return pb.CreditQuery(uscc=uscc, purpose=PURPOSE_PRE_LOAN, **more)  # type: ignore[arg-type]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Starts it all and stops it all."""
    configure_logs("error")
    settings = shipped_settings()
    trail = tmp_path / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=trail) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Rig(f"127.0.0.1:{port}", platforms, trail, built, channel)  # type: ignore[arg-type]
