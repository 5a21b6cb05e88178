"""`xinyidai serve --workers`: real processes on one port, killed, drained and abandoned; none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import DEMO_BANK
from gateway.cli.supervisor import HeldPort, pause_s
from gateway.cli.worker import parse_worker
from gateway.connector_bootstrap import find_sandboxes
from gateway.domain.errors import ConfigError
from gateway.process import Worker
from tests.adapters.policies import write
from tests.e2e.certified import shown
from tests.e2e.conftest import Rig, query

COMMAND = str(Path(sys.executable).parent / "xinyidai")
PATIENCE_S = 30


@dataclass
class House:
    """A supervisor with its workers, as an operator sees it: log lines, port, admin port."""

    process: asyncio.subprocess.Process
    folder: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    admin_port: int = 0
    pids: dict[int, int] = field(default_factory=dict)
    authority: Authority | None = None

    async def read(self) -> None:
        """Follows the log to its end."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            said = json.loads(line)
            self.lines.append(said)
            if said["event"] == "supervisor.serving":
                self.port, self.admin_port = said["port"], said["admin_port"]
            elif said["event"] == "worker.ready":
                self.pids[said["worker"]] = said["pid"]

    async def ask(self) -> pb.GetCreditViewResponse:
        """Asks over a connection of its own, which the kernel deals to some worker."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{self.port}"
        if self.authority is None:
            opened = grpc.aio.insecure_channel(address, options=options)
        else:
            opened = grpc.aio.secure_channel(address, shown(self.authority, DEMO_BANK), options=options)
        async with opened as channel:
            stub = credit_service_pb2_grpc.CreditServiceStub(channel)
            response: pb.GetCreditViewResponse = await stub.GetCreditView(pb.GetCreditViewRequest(query=query()))
            return response

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.admin_port}{path}") as response,
        ):
            return response.status, await response.text()

    async def sample(self, name: str) -> float:
        _, page = await self.get("/metrics")
        found = [s for family in text_string_to_metric_families(page) for s in family.samples if s.name == name]
        return sum(s.value for s in found if s.labels.get("event", "answered") == "answered")

    def trail(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / "var").glob("audit.*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Looks again and again, as an operator would: processes cannot be told to hurry."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def configure(rig: Rig, folder: Path) -> None:
    """Writes a configuration whose platforms are the rig's."""
    tables = []
    for name, platform in rig.platforms.items():
        secrets = ", ".join(f'{key} = "sandbox:{key}"' for key in find_sandboxes([name])[name].credentials())
        tables.append(f'[{name}]\nbase_url = "{platform.url}"\nsecrets = {{ {secrets} }}\n')
    (folder / "platforms.toml").write_text("".join(tables))


@asynccontextmanager
async def house(
    rig: Rig, folder: Path, workers: int = 2, *, authority: Authority | None = None
) -> AsyncIterator[House]:
    """Starts them in plain text, or with the certificates of an authority whose folder they find by themselves."""
    configure(rig, folder)
    development = ("--development",) if authority is None else ()
    process = await start(folder, *development, "--workers", str(workers), "--listen", "127.0.0.1:0")
    built = House(process, folder, authority=authority)
    reading = asyncio.create_task(built.read())
    try:

        async def all_ready() -> bool:
            assert process.returncode is None, built.lines
            return len(built.pids) == workers

        await until(all_ready)
        yield built
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
        await reading


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--config",
        str(folder),
        "--admin",
        "127.0.0.1:0",
        *arguments,
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_killed_worker_is_replaced_and_queries_go_on(rig: Rig, tmp_path: Path) -> None:
    async with house(rig, tmp_path) as built:
        answered = [await built.ask() for _ in range(6)]

        async def flushed() -> bool:
            return await built.sample("xinyidai_queries_total") == 6

        await until(flushed)
        victim, other = built.pids[1], built.pids[2]
        os.kill(victim, signal.SIGKILL)

        async def noticed() -> bool:
            return any(line["event"] == "worker.ended" for line in built.lines)

        await until(noticed)
        answered += [await built.ask() for _ in range(6)]

        async def replaced() -> bool:
            return built.pids[1] != victim

        await until(replaced)
        answered += [await built.ask() for _ in range(6)]

        async def counted() -> bool:
            return await built.sample("xinyidai_queries_total") == 18

        await until(counted)
        ended = [line for line in built.lines if line["event"] == "worker.ended"]
        assert [(line["worker"], line["code"]) for line in ended] == [(1, -signal.SIGKILL)]
        assert built.pids[2] == other
        assert await built.sample("xinyidai_worker_ends_total") == 1
        assert await built.sample("xinyidai_workers_ready") == 2
        assert (await built.get("/healthz"))[0] == 200

    assert built.process.returncode == 0
    assert sorted(entry["answer_id"] for entry in built.trail()) == sorted(a.delivery.answer_id for a in answered)
    assert not any(is_alive(pid) for pid in (victim, *built.pids.values()))


async def test_D11_sigterm_drains_every_worker_and_a_prober_can_follow_it(rig: Rig, tmp_path: Path) -> None:
    async with house(rig, tmp_path, workers=2) as built:
        before = await built.get("/readyz")
        await rig.platforms["shanghai"].set_fault("latency", median_ms=3_000)
        calls = [asyncio.create_task(built.ask()) for _ in range(8)]

        async def all_under_way() -> bool:
            return await built.sample("xinyidai_queries_in_flight") == 8

        await until(all_under_way)
        built.process.terminate()
        await until(lambda: _is(built.get("/readyz"), 503))
        draining = await built.get("/readyz")
        alive = await built.get("/healthz")
        responses = await asyncio.gather(*calls)
        await asyncio.wait_for(built.process.wait(), PATIENCE_S)

    assert (before, draining[1].split(":")[0], alive[0]) == ((200, "ok\n"), "draining", 200)
    assert built.process.returncode == 0
    assert sorted(e["answer_id"] for e in built.trail()) == sorted(r.delivery.answer_id for r in responses)
    assert not any(is_alive(pid) for pid in built.pids.values())


async def _is(got: Awaitable[tuple[int, str]], status: int) -> bool:
    return (await got)[0] == status


async def test_workers_whose_supervisor_is_killed_drain_and_end_by_themselves(rig: Rig, tmp_path: Path) -> None:
    async with house(rig, tmp_path) as built:
        answered = await built.ask()

        built.process.kill()
        await built.process.wait()

        async def all_gone() -> bool:
            return not any(is_alive(pid) for pid in built.pids.values())

        await until(all_gone)

    assert [entry["answer_id"] for entry in built.trail()] == [answered.delivery.answer_id]


@pytest.mark.long
async def test_D10_a_worker_that_hangs_is_named_by_healthz_until_it_is_back(rig: Rig, tmp_path: Path) -> None:
    async with house(rig, tmp_path) as built:
        os.kill(built.pids[2], signal.SIGSTOP)
        try:
            await until(lambda: _is(built.get("/healthz"), 503))
            hanging = await built.get("/healthz")
            ready = await built.get("/readyz")
        finally:
            os.kill(built.pids[2], signal.SIGCONT)
        await until(lambda: _is(built.get("/healthz"), 200))

    assert hanging[1].startswith("worker 2 has been silent for")
    assert ready == (200, "ok\n")
    assert built.process.returncode == 0


@pytest.mark.long
async def test_a_fault_that_every_worker_has_ends_them_all_with_2(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text(
        '[shanghai]\nbase_url = "http://127.0.0.1:1"\nsecrets = { app_key = "env:NO_SUCH_VARIABLE_HERE" }\n'
    )

    process = await start(tmp_path, "--development", "--workers", "2", "--listen", "127.0.0.1:0")
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)

    assert process.returncode == 2
    assert b"set the environment variable NO_SUCH_VARIABLE_HERE" in said


def test_a_held_port_is_known_and_nobody_else_s() -> None:
    held = HeldPort("127.0.0.1:0")
    try:
        assert held.address == f"127.0.0.1:{held.port}"
        assert held.port > 0
    finally:
        held.close()


@pytest.mark.parametrize("shared", [0, 1])
async def test_a_port_somebody_listens_on_cannot_be_held_though_it_may_be_shared(shared: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", shared)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    with pytest.raises(ConfigError, match=f"server.listen: cannot listen on 127.0.0.1:{port}"):
        HeldPort(f"127.0.0.1:{port}")

    await server.stop(None)


def test_pauses_grow_from_none_to_half_a_minute() -> None:
    assert [pause_s(ends) for ends in (1, 2, 3, 4, 5, 20)] == [0.0, 0.2, 0.4, 0.8, 1.6, 30.0]


def test_a_worker_has_its_number_and_a_trail_of_its_own() -> None:
    worker = parse_worker("2/4")

    assert worker == Worker(2, 4)
    assert worker.trail(Path("var/audit.jsonl")) == Path("var/audit.2.jsonl")


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "a/b", "2/4/6"])
def test_what_is_no_worker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"worker|invalid literal"):
        parse_worker(text)


def test_a_worker_s_part_of_the_port_is_shared_and_a_lone_gateway_s_is_not() -> None:
    from gateway.adapters.rpc.server import ServerLimits

    options: list[Mapping[str, Any]] = [
        dict(ServerLimits(1, 1, 1, shares_port=shares).options()) for shares in (False, True)
    ]

    assert [each["grpc.so_reuseport"] for each in options] == [0, 1]


async def test_a_hangup_has_every_worker_read_policies_and_banks_anew_and_ends_none(rig: Rig, tmp_path: Path) -> None:
    write(tmp_path, own="")
    authority = Authority(tmp_path / "var" / "certs")
    authority.init()
    banks = tmp_path / "banks.toml"
    shutil.copy(Path(__file__).parents[2] / "config" / "banks.toml", banks)
    async with house(rig, tmp_path, authority=authority) as built:
        before = dict(built.pids)

        async def told(times: int) -> None:
            async def all_have() -> bool:
                said = Counter((line["event"], line.get("worker")) for line in built.lines)
                events = ("policies.reloaded", "banks.reloaded")
                return all(said[event, worker] >= times for event in events for worker in (1, 2))

            built.process.send_signal(signal.SIGHUP)
            await until(all_have)

        await told(1)  # though nothing changed: by the signal alone
        write(tmp_path, own='@id("shut") forbid (principal, action, resource);')
        await told(2)
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await built.ask()
        revoked = f'\nrevoked = ["{authority.read(DEMO_BANK).fingerprint}"]\n[operators.'
        banks.write_text(banks.read_text(encoding="utf-8").replace("\n[operators.", revoked, 1), encoding="utf-8")
        await told(3)
        unknown = []
        for _ in range(8):  # the kernel deals the connections to both workers, or nearly always does
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await built.ask()
            unknown.append(refused.value.code())
        after = dict(built.pids)

    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert set(unknown) == {grpc.StatusCode.UNAUTHENTICATED}
    assert after == before
