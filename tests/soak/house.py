"""The processes of a soak: the platforms, and a gateway as `xinyidai serve` runs it; what each has open, and its last words."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from gateway.cli.reach import credentials, profile
from gateway.connector_bootstrap import find_sandboxes
from tests.soak.truth import ENTERPRISES, WORLD_SEED

_ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = str(Path(sys.executable).parent / "xinyidai")
_START_S: Final = 60.0
_CHANNELS: Final = 6
# Pauses and lifetimes as they are by default would outlast the soak: a breaker's of up to two minutes, an answer's of a day.
_RESILIENCE: Final = """
[default.breaker]
first_pause_s = 0.5
longest_pause_s = 3.0
longest_relapse_pause_s = 5.0

[default.cache]
longest_s = 15
negative_s = 10
stale_s = 60
"""


class Child:
    """A process of the soak; what it says on standard error is kept in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> list[str]:
        """Gives the lines it wrote on standard error."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()

    async def stop(self, within_s: float) -> int | None:
        """Asks it to end and gives its exit code; None if it had to be killed after so many seconds."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(within_s):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return None


@dataclass
class Platforms:
    """The sandboxes that are up: where each answers, and where its faults are set."""

    child: Child
    urls: Mapping[str, str]
    controls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the gateway's processes have, added up."""

    descriptors: int
    resident_mib: float


@dataclass
class House:
    """A gateway that is up, and how it is called."""

    child: Child
    folder: Path
    admin_port: int
    pids: Sequence[int]
    channels: Sequence[grpc.aio.Channel]
    stranger: grpc.aio.Channel | None
    """A connection of somebody who may ask nothing about enterprises: the operator's. None in development, where all may."""

    @property
    def has_identity(self) -> bool:
        """Whether callers show certificates, and consents, evidence and archive are on."""
        return self.stranger is not None

    @property
    def trail_folder(self) -> Path:
        """Where the trails are."""
        return self.folder / "var"

    def footprint(self) -> Footprint:
        """Gives what is open and resident now."""
        descriptors = resident = 0
        for pid in self.pids:
            descriptors += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            resident += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return Footprint(descriptors, resident / 1024)

    async def get(self, path: str) -> tuple[int, str]:
        """Gives a page of the admin port."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.admin_port}{path}") as response,
        ):
            return response.status, await response.text()

    async def samples(self, *names: str) -> dict[str, float]:
        """Gives the metrics of those names, each with its labels in its key."""
        _, page = await self.get("/metrics")
        return {
            "".join([s.name, *(f" {label}={value}" for label, value in sorted(s.labels.items()))]): s.value
            for family in text_string_to_metric_families(page)
            for s in family.samples
            if s.name in names
        }


@asynccontextmanager
async def platforms_up(folder: Path) -> AsyncIterator[Platforms]:
    """Starts the four sandboxes; whoever wants their exit code stops them before the block ends."""
    log = folder / "platforms.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.platforms", str(ENTERPRISES), str(WORLD_SEED),
            cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    child = Child(process, log)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            announced = json.loads(await process.stdout.readline())
        yield Platforms(
            child,
            {name: urls[0] for name, urls in announced.items()},
            {name: urls[1] for name, urls in announced.items()},
        )
    finally:
        await child.stop(10.0)


@asynccontextmanager
async def gateway_up(folder: Path, platforms: Platforms, *, workers: int = 1) -> AsyncIterator[House]:
    """Starts `xinyidai serve`: with more than one worker in development, with one with all that a real bank is served by."""
    has_identity = workers == 1
    _configure(folder, platforms, has_identity=has_identity)
    arguments = ["serve", "--config", str(folder), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    arguments += [] if has_identity else ["--development", "--workers", str(workers)]
    log = folder / "gateway.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XINYIDAI_")}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            COMMAND, *arguments, cwd=folder, env={**environment, "GRPC_VERBOSITY": "ERROR"}, stderr=stderr
        )
    child = Child(process, log)
    channels: list[grpc.aio.Channel] = []
    stranger: grpc.aio.Channel | None = None
    try:
        serving, pids = await _until_ready(child, workers)
        address = f"127.0.0.1:{serving['port']}"
        channels += [_channel(folder, address, Kind.BANK if has_identity else None) for _ in range(_CHANNELS)]
        stranger = _channel(folder, address, Kind.OPERATOR) if has_identity else None
        pids = pids if workers > 1 else [process.pid]
        yield House(child, folder, serving["admin_port"], pids, tuple(channels), stranger)
    finally:
        for channel in (*channels, *([stranger] if stranger is not None else [])):
            await channel.close()
        await child.stop(20.0)


async def _until_ready(child: Child, workers: int) -> tuple[Mapping[str, Any], list[int]]:
    async with asyncio.timeout(_START_S):
        while True:
            assert child.process.returncode is None, child.said()
            told = [json.loads(line) for line in child.said() if line.startswith("{") and line.endswith("}")]
            serving = [one for one in told if one["event"] in ("gateway.serving", "supervisor.serving")]
            pids = [one["pid"] for one in told if one["event"] == "worker.ready"]
            if workers == 1 and serving:
                return serving[0], pids
            if len(pids) == workers:
                return next(one for one in serving if one["event"] == "supervisor.serving"), pids
            await asyncio.sleep(0.05)


def _channel(folder: Path, address: str, kind: Kind | None) -> grpc.aio.Channel:
    """Opens a connection that shows a certificate of a kind, or in plain text."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each, which the kernel deals to some worker
    if kind is None:
        return grpc.aio.insecure_channel(address, options=options)
    shown = credentials(*profile(folder / "var" / "certs", kind))
    return grpc.aio.secure_channel(address, shown, options=options)


def _configure(folder: Path, platforms: Platforms, *, has_identity: bool) -> None:
    tables = []
    for name, url in platforms.urls.items():
        known = ", ".join(f'{key} = "sandbox:{key}"' for key in find_sandboxes([name])[name].credentials())
        tables.append(f'[{name}]\nbase_url = "{url}"\nsecrets = {{ {known} }}\n')
    (folder / "platforms.toml").write_text("".join(tables), encoding="utf-8")
    (folder / "resilience.toml").write_text(_RESILIENCE, encoding="utf-8")
    if not has_identity:
        return
    Authority(folder / "var" / "certs").init()
    key = folder / "masking.key"
    key.write_text(secrets.token_hex(32), encoding="ascii")
    (folder / "gateway.toml").write_text(
        f'[consent]\nenforced = true\nmasking_key = "file:{key}"\n'
        "[archive]\nenabled = true\n"
        f'[audit.anchor]\nfile = "{folder / "anchors.jsonl"}"\nevery_s = 2.0\n',
        encoding="utf-8",
    )
