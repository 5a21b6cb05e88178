"""A worker: one of several processes that serve on one port, told apart by its number, tied to its supervisor by two pipes.

    stdin     never written to; its end means that the supervisor is gone, and the worker drains and ends too
    stdout    "ready" once, when it takes queries, then "beat" each second for as long as its loop turns

Nothing else is written to standard output; the log goes to standard error.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.bootstrap import Worker

READY: Final = b"ready\n"
BEAT: Final = b"beat\n"
BEAT_EVERY_S: Final = 1.0


def parse_worker(text: str) -> Worker:
    """Reads "2/4", the second of four; raises ValueError for anything else."""
    number, _, of = text.partition("/")
    worker = Worker(int(number), int(of))
    if not 1 <= worker.number <= worker.of:
        raise ValueError(f"{text} is no worker; write 2/4 for the second of four")
    return worker


@asynccontextmanager
async def tied_to_supervisor(stopped: asyncio.Event) -> AsyncIterator[None]:
    """Says ready and beats while the block runs; sets the event when the supervisor is gone."""
    loop = asyncio.get_running_loop()
    watch, _ = await loop.connect_read_pipe(lambda: _Tie(stopped), sys.stdin)
    told = sys.stdout.fileno()
    os.set_blocking(told, False)

    def tell(what: bytes) -> None:
        try:
            os.write(told, what)
        except BlockingIOError:
            pass  # the supervisor does not read, so it is late itself: this beat is as good as the next
        except BrokenPipeError:
            stopped.set()

    tell(READY)
    pulse = LoopLag(lambda _: tell(BEAT), every_s=BEAT_EVERY_S)
    try:
        yield
    finally:
        await pulse.aclose()
        watch.close()


class _Tie(asyncio.Protocol):
    def __init__(self, stopped: asyncio.Event) -> None:
        self._stopped = stopped

    def connection_lost(self, exc: Exception | None) -> None:
        self._stopped.set()
