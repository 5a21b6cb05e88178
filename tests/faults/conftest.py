"""What the tests of this folder are given: the sandboxes, started once, and for each run a gateway behind a fault proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.adapters.telemetry.logs import configure_logs
from gateway.application.story import Admission
from gateway.bootstrap import build_gateway
from gateway.cli.running import World, at_sandboxes, sandboxes
from gateway.connector_bootstrap import find_plugins
from gateway.settings import Settings
from tests.faults.declared import PLATFORMS
from tests.faults.house import Case, Footprint, House, question, without_digest
from tests.faults.proxy import FaultProxy
from tests.faults.simulated import Simulated, control_run, simulated_cases
from tests.shipped import shipped_settings


def quiet_settings() -> Settings:
    """Gives the shipped settings, without a line per query or quotas, and with back-offs too short to wait for."""
    settings = shipped_settings()
    gateway = settings.gateway.model_copy(
        update={"log": settings.gateway.log.model_copy(update={"level": "error"})},
    )
    table = settings.resilience_of("default")
    retry = table.retry.model_copy(update={"backoff_s": 0.001, "longest_backoff_s": 0.002})
    quota = table.quota.model_copy(update={"enabled": False})
    resilience = {**settings.resilience, "default": table.model_copy(update={"retry": retry, "quota": quota})}
    return replace(settings, gateway=gateway, resilience=resilience)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Starts the four sandboxes and asks them once while nothing is wrong."""
    settings = quiet_settings()
    async with sandboxes(PLATFORMS, World(enterprises=80)) as running:
        healthy = at_sandboxes(settings, running)
        trail = tmp_path_factory.mktemp("control") / "audit.jsonl"
        gateway = await build_gateway(healthy, find_plugins(healthy), audit_path=trail)
        now = asyncio.get_running_loop().time()
        answered = await gateway.queries.answer(question(), Admission(datetime.now(UTC), now, now + 10))
        await gateway.aclose()
        control = {answer.platform: without_digest(answer.said) for answer in answered.answers}
        yield House(settings, {name: cast(Running, box) for name, box in running.items()}, control, answered.view)


@pytest_asyncio.fixture(loop_scope="session")
async def case(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> AsyncIterator[Case]:
    """Gives one platform's case, and afterwards holds that it was checked and that nothing was left behind."""
    configure_logs("warning")  # for each test: others in this process set their own
    before = Footprint.taken()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(house.sandboxes[request.param.platform].url))
        this = Case(house, request.param, tmp_path / "audit.jsonl", stack, proxy)
        yield this
    assert await before.is_settled(), "a task, a socket or a file was left open"
    assert this.proxy.open_connections == 0
    assert this.is_checked, "the test declares an outcome it did not check"


@pytest.fixture(scope="session")
def simulated_control() -> Mapping[str, view_pb2.Answer]:
    """Gives what each platform answers in simulated time when nothing is wrong."""
    return control_run()


@pytest.fixture
def simulated(request: pytest.FixtureRequest, simulated_control: Mapping[str, view_pb2.Answer]) -> Iterator[Simulated]:
    """Gives one platform's case in simulated time, and holds afterwards that it was checked."""
    yield from simulated_cases(request.param, simulated_control)
