"""`make bench`: what a view costs and how long it takes, gateway and naive peers side by side in one run.

    python -m tests.bench                       # at most twelve minutes; writes docs/benchmarks.md
    python -m tests.bench --quick               # or QUICK=1: at most two, and writes no page
    python -m tests.bench --json FILE           # the same for machines
    python -m tests.bench --room tail --room lists   # only these, and writes no page
    python -m tests.bench --profile [cold|realistic]

Each room measures its own rows (`cost.py`, `paired.py`, `proven.py`, `lookup.py`, `assess.py`, `list_lookup.py`, `latency.py`, `tail.py`,
`flight.py`); one that fails is told by the names of its rows, and the others go on. What later rooms need of the time is kept
for them: on a slow day rooms that repeat themselves do so less often. It ends with 1 when a row could not be measured, with 0
otherwise, budgets met or not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pstats
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
import uvloop
from rich.console import Console

from tests.bench import assess, cost, flight, latency, list_lookup, lookup, paired, proven, tail
from tests.bench.fixture import ENTERPRISES, PLAIN, REALISTIC
from tests.bench.gateway_server import NOT_LIMITED
from tests.bench.load import line
from tests.bench.machine import machine
from tests.bench.processes import StartError
from tests.bench.questions import FAILURES, GATEWAY_REALISTIC, WrongAnswerError, gateway_plain
from tests.bench.report import Row, document, page, show, why
from tests.bench.stage import FULL, QUICK, Size, Stage

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
METHOD: Final = (
    "Every process runs on this machine, over loopback; every answer is checked against the fixture, every time.",
    *cost.METHOD,
    *paired.METHOD,
    *proven.METHOD,
    *lookup.METHOD,
    *assess.METHOD,
    *list_lookup.METHOD,
    *latency.METHOD,
    *tail.METHOD,
    *flight.METHOD,
    NOT_LIMITED,
)
_FULL_S: Final = 660.0
_QUICK_S: Final = 110.0


class Room(NamedTuple):
    """A room, and what it needs on a slow day of a full run and of a quick one, kept for it by the rooms before."""

    titles: Sequence[str]
    measure: Callable[[Stage, Size], Awaitable[list[Row]]]
    kept_s: float = 0.0
    kept_quick_s: float = 0.0


# Those that start next to nothing come first: whatever the day, they are told.
ROOMS: Final[Mapping[str, Room]] = {
    "lookup": Room(lookup.TITLES, lookup.measure, 25.0, 6.0),
    "assess": Room(assess.TITLES, assess.measure, 10.0, 2.0),
    "lists": Room(list_lookup.TITLES, list_lookup.measure, 35.0, 5.0),
    "cost": Room(cost.TITLES, cost.measure, 160.0, 30.0),
    "paired": Room(paired.TITLES, paired.measure, 60.0, 14.0),
    "proven": Room(proven.TITLES, proven.measure, 40.0, 10.0),
    "latency": Room(latency.TITLES, latency.measure, 62.0, 14.0),
    "tail": Room(tail.TITLES, tail.measure, 145.0, 22.0),
    "flight": Room(flight.TITLES, flight.measure, 95.0, 16.0),
}


async def bench(console: Console, size: Size, most_s: float, rooms: Mapping[str, Room] = ROOMS) -> list[Row]:
    """Measures room by room, within so many seconds; what cannot be measured is a row that says why."""
    ends = time.monotonic() + most_s
    kept_s = {name: room.kept_quick_s if size is QUICK else room.kept_s for name, room in rooms.items()}
    later_s = sum(kept_s.values())
    rows: list[Row] = []
    for name, room in rooms.items():
        began = time.monotonic()
        later_s -= kept_s[name]
        measured: list[Row] = []
        try:
            async with asyncio.timeout(ends - began), make_stage(ends - later_s) as stage:
                measured = await room.measure(stage, size)
        except (*FAILURES, TimeoutError, aiohttp.ClientError) as error:
            reason = "its time was up" if isinstance(error, TimeoutError) else why(error)
            if not measured:  # else the processes were slow to end, which takes nothing from what was measured
                measured = [Row(title, missing=reason) for title in room.titles]
        rows += measured
        console.print(f"{name}: {time.monotonic() - began:.0f} s", highlight=False, soft_wrap=True)
    return rows


@asynccontextmanager
async def make_stage(ends: float = inf) -> AsyncIterator[Stage]:
    """Gives a room its stage, to be left by a point in time; every process started on it has ended then."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Stage(stack, folder, session, ends)


async def profile(console: Console, calls: int, payload: str) -> None:
    """Runs one row of the gateway under cProfile and prints where the time goes."""
    target = gateway_plain() if payload == PLAIN else GATEWAY_REALISTIC
    async with make_stage() as stage:
        upstream = await stage.upstream("instant")
        stats = stage.trail()
        process = await stage.gateway(payload, upstream.addresses, "--profile", stats)
        async with line(process, target, ENTERPRISES) as asked:
            await asked.drive(len(ENTERPRISES))
            spent = await asked.drive(calls)
        await process.stop()
        console.print(f"{payload}: {spent.cpu_us:,.0f} µs per view under the profiler, {calls} calls")
        found = pstats.Stats(stats)
        found.sort_stats("tottime").print_stats(30)
        found.sort_stats("cumulative").print_stats(r"/(gateway|connectors)/", 30)


async def _until_told(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs the work so that SIGTERM and SIGINT end it in order, and with it the processes it started."""
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results for machines")
    parser.add_argument("--room", action="append", choices=tuple(ROOMS), help="measure this one only; may be repeated")
    parser.add_argument("--profile", nargs="?", const="cold", choices=("cold", "realistic"))
    return parser.parse_args()


def main() -> None:
    """Reads the arguments and runs."""
    arguments = _arguments()
    console = Console(width=150)  # the table, whatever the terminal says
    size = QUICK if arguments.quick else FULL
    measured_on = machine()
    rows: list[Row] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if arguments.profile:
                payload = PLAIN if arguments.profile == "cold" else REALISTIC
                runner.run(_until_told(profile(console, 10 * size.calls, payload)))
                return
            rooms = {name: room for name, room in ROOMS.items() if name in (arguments.room or ROOMS)}
            rows = runner.run(_until_told(bench(console, size, _QUICK_S if arguments.quick else _FULL_S, rooms)))
    except asyncio.CancelledError:
        sys.exit("stopped from outside; every process started here has ended")
    except (WrongAnswerError, StartError) as error:
        sys.exit(f"nothing was measured: {error}")
    measured_on = {**measured_on, **cost.pace(rows)}
    show(console, rows, (*METHOD, *(f"{key}: {value}" for key, value in measured_on.items())))
    if arguments.json:
        arguments.json.write_bytes(
            msgspec.json.format(msgspec.json.encode(document(rows, measured_on, METHOD))) + b"\n"
        )
    if arguments.quick or arguments.room:
        if arguments.quick:
            console.print("Runs as short as these make a gateway look dearer beside its peers than full ones do.")
        console.print("A first look: docs/benchmarks.md is written by full runs only.")
    else:
        PAGE.write_text(page(rows, measured_on, METHOD), encoding="utf-8")
    sys.exit(1 if any(row.missing for row in rows) else 0)


if __name__ == "__main__":
    main()
