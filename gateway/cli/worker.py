"""A worker: one of several processes that serve on one port, told apart by its number, tied to its supervisor by two pipes.

    stdin     never written to; its end means that the supervisor is gone, and the worker drains and ends too
    stdout    "ready" once, when it takes queries, then a beat each second for as long as its loop turns: "beat", or
              "unready" and why while it should be sent no queries

Nothing else is written to standard output; the log goes to standard error.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.process import Worker

READY: Final = b"ready\n"
BEAT: Final = b"beat\n"
UNREADY: Final = b"unready "
_LONGEST: Final = 1_000
"""How much of a complaint is told: a beat is written whole or not at all, as pipes do with what is short."""
BEAT_EVERY_S: Final = 1.0


def parse_worker(text: str) -> Worker:
    """Reads "2/4", the second of four; raises ValueError for anything else."""
    number, _, of = text.partition("/")
    worker = Worker(int(number), int(of))
    if not 1 <= worker.number <= worker.of:
        raise ValueError(f"{text} is no worker; write 2/4 for the second of four")
    return worker


@asynccontextmanager
async def tied_to_supervisor(stopped: asyncio.Event, unready: Callable[[], str]) -> AsyncIterator[None]:
    """Says ready and beats while the block runs, with what `unready` complains of; sets the event without a supervisor."""
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
    pulse = LoopLag(lambda _: tell(beat(unready())), every_s=BEAT_EVERY_S)
    try:
        yield
    finally:
        await pulse.aclose()
        watch.close()


def beat(complaint: str) -> bytes:
    """Gives the line of one beat."""
    return UNREADY + " ".join(complaint.split()).encode()[:_LONGEST] + b"\n" if complaint else BEAT


def complaint_in(line: bytes) -> str | None:
    """Gives what a line of a worker complains of, nothing where all is well; None where it is no beat."""
    if line + b"\n" == BEAT:
        return ""
    return line.removeprefix(UNREADY).decode(errors="ignore") if line.startswith(UNREADY) else None


class _Tie(asyncio.Protocol):
    def __init__(self, stopped: asyncio.Event) -> None:
        self._stopped = stopped

    def connection_lost(self, exc: Exception | None) -> None:
        self._stopped.set()
