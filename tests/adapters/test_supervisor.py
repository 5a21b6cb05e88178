"""What a supervisor answers for its workers: one whose trail ails, or that cannot sign, makes all of them unready."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.adapters.web.lifecycle import unready
from gateway.cli.supervisor import Supervisor
from gateway.cli.worker import BEAT, READY, beat, complaint_in


@pytest.mark.parametrize("complaint", ["", unready("", "the key cannot be used"), "two\nlines", "长" * 2_000])
def test_a_beat_says_what_a_worker_complains_of_in_one_short_line(complaint: str) -> None:
    line = beat(complaint)

    assert line.count(b"\n") == 1
    assert len(line) < 2_000
    assert (complaint_in(line[:-1]) or "").startswith(complaint[:3].split("\n")[0])
    assert bool(complaint_in(line[:-1])) == bool(complaint)
    assert complaint_in(READY[:-1]) is None


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
