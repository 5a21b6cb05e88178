"""What a supervisor answers for its workers: one whose trail ails, or that cannot sign, makes all of them unready."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from gateway.adapters.web.lifecycle import unready
from gateway.cli.supervisor import Supervisor
from gateway.cli.worker import BEAT, READY, beat, complaint_in

_READY_WORKERS: Final = "xinyidai_workers_ready"


@pytest.mark.parametrize("complaint", ["", unready("", "the key cannot be used"), "two\nlines", "长" * 2_000])
def test_a_beat_says_what_a_worker_complains_of_in_one_short_line(complaint: str) -> None:
    line = beat(complaint)

    assert line.count(b"\n") == 1
    assert len(line) < 2_000
    assert (complaint_in(line[:-1]) or "").startswith(complaint[:3].split("\n")[0])
    assert bool(complaint_in(line[:-1])) == bool(complaint)
    assert complaint_in(READY[:-1]) is None


async def test_D10_a_worker_that_hangs_is_told_of_once_and_counts_as_none_until_it_goes_on(tmp_path: Path) -> None:
    fifo = tmp_path / "1.fifo"
    os.mkfifo(fifo)
    says = "import os, sys\nfor line in open(sys.argv[1], 'rb', 0): os.write(1, line)"
    supervisor = Supervisor(
        1, lambda _: [sys.executable, "-c", says, str(fifo)], {}, tmp_path, port=0, drain_s=1, silent_s=0.2
    )
    stopped = asyncio.Event()

    with capture_logs() as logs:
        running = asyncio.create_task(supervisor.run(stopped, "127.0.0.1:0"))
        worker = await asyncio.to_thread(fifo.open, "wb", 0)

        async def until(event: str) -> dict[str, Any]:
            async with asyncio.timeout(20):
                while not (found := [line for line in logs if line["event"] == event]):
                    await asyncio.sleep(0.01)
            return dict(found[0])

        async def ready() -> str:
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as reply:
                return next(line for line in (await reply.text()).splitlines() if line.startswith(_READY_WORKERS))

        port = (await until("supervisor.serving"))["admin_port"]
        worker.write(READY)
        silent = await until("worker.silent")
        hanging = await ready()
        worker.write(BEAT)
        await until("worker.heard")
        stopped.set()
        worker.close()
        await running

    assert hanging == f"{_READY_WORKERS} 0.0"
    assert (silent["worker"], silent["log_level"]) == (1, "error")
    assert silent["pid"] > 0


async def test_D1_one_worker_that_cannot_answer_makes_the_port_unready_until_it_can(tmp_path: Path) -> None:
    # A worker that says what the test writes, and nothing else: what a supervisor hears is all it knows.
    told = {number: tmp_path / f"{number}.fifo" for number in (1, 2)}
    for fifo in told.values():
        os.mkfifo(fifo)
    says = "import os, sys\nfor line in open(sys.argv[1], 'rb', 0): os.write(1, line)"
    supervisor = Supervisor(
        2, lambda number: [sys.executable, "-c", says, str(told[number])], {}, tmp_path, port=0, drain_s=1
    )
    stopped = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stopped, None))
    one, two = [await asyncio.to_thread(fifo.open, "wb", 0) for fifo in told.values()]

    async def until(holds: bool) -> str:
        async with asyncio.timeout(20):
            while bool(supervisor.unready()) != holds:
                await asyncio.sleep(0.01)
        return supervisor.unready()

    one.write(READY)
    two.write(READY + BEAT)
    ready = await until(False)
    two.write(beat(unready("", "the trail cannot be written")))
    one.write(BEAT)
    red = await until(True)
    two.write(BEAT)
    well = await until(False)
    stopped.set()
    one.close()
    two.close()
    await running

    assert (ready, well) == ("", "")
    assert red.startswith("worker 2 工作进程 2: the trail: the trail cannot be written")
