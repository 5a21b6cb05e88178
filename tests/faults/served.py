"""A gateway as a process of its own, `xinyidai serve`, before the sandboxes of the tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.connector_bootstrap import find_sandboxes
from tests.faults.house import DEMO

COMMAND: Final = str(Path(sys.executable).parent / "xinyidai")
FREE_PORTS: Final = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
"""Else two gateways of one machine would want the same."""


@dataclass
class Served:
    """A process that serves: its port, what it logged so far, and its trail."""

    process: asyncio.subprocess.Process
    port: int
    folder: Path
    lines: list[Mapping[str, Any]] = field(default_factory=list)

    def trail(self) -> list[Mapping[str, Any]]:
        """Gives the entries of the trail."""
        path = self.folder / "var" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """Gives a client on a connection of its own."""
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=own) as channel:
            yield credit_service_pb2_grpc.CreditServiceStub(channel)


def request(**more: Any) -> pb.GetCreditViewRequest:
    """Gives a question that no cache may answer; a stream's has the same form."""
    query = pb.CreditQuery(uscc=DEMO, purpose=PURPOSE_PRE_LOAN, **more)
    query.oldest_acceptable_age.seconds = 0
    return pb.GetCreditViewRequest(query=query)


def configure(folder: Path, sandboxes: Mapping[str, Running], gateway_toml: str = "") -> Path:
    """Writes a configuration before the sandboxes into a folder of its own."""
    folder.mkdir(exist_ok=True)
    tables = []
    for name, plugin in find_sandboxes(list(sandboxes)).items():
        secrets = ", ".join(f'{key} = "sandbox:{key}"' for key in plugin.credentials())
        tables.append(f'[{name}]\nbase_url = "{sandboxes[name].url}"\nsecrets = {{ {secrets} }}\n')
    (folder / "platforms.toml").write_text("".join(tables), encoding="utf-8")
    (folder / "gateway.toml").write_text(gateway_toml, encoding="utf-8")
    return folder


@asynccontextmanager
async def serving(folder: Path, config: Path, *, before: Sequence[str] = ()) -> AsyncIterator[Served]:
    """Starts the process with `folder` as its working directory and ends it; `before` is a command that runs it."""
    process = await asyncio.create_subprocess_exec(
        *before, COMMAND, "serve", "--development", "--config", str(config), *FREE_PORTS,
        cwd=folder, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    stderr, served = process.stderr, Served(process, 0, folder)
    started = asyncio.Event()

    async def read() -> None:
        while line := await stderr.readline():
            with suppress(ValueError):  # the library's own lines are no JSON
                served.lines.append(json.loads(line))
                served.port = served.port or served.lines[-1].get("port", 0)
            if served.port:
                started.set()
        started.set()

    reading = asyncio.create_task(read())
    try:
        await asyncio.wait_for(started.wait(), 30)
        assert served.port, served.lines
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def refusing(folder: Path, config: Path) -> tuple[int, str]:
    """Starts a process that must end by itself; gives its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        COMMAND, "serve", "--development", "--config", str(config), *FREE_PORTS,
        cwd=folder, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, said.decode()
