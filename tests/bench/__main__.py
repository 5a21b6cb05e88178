"""`make bench`: CPU microseconds per merged view, gateway and naive peers side by side in one run.

    python -m tests.bench                       # at most three minutes
    python -m tests.bench --quick               # or QUICK=1: at most one
    python -m tests.bench --profile [cold|realistic]

A figure is user and system time of the server's process, all threads, for one view: the median of three runs, whose rows
take turns so that a busy machine is busy for all. Compare ratios of one run, never figures of two machines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pstats
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import uvloop
from rich.console import Console
from rich.table import Table

from connectors.kit.enterprises import DEFAULT_SEED, make_world
from tests.bench.fixture import ENTERPRISES, PLAIN, REALISTIC, RECORDS
from tests.bench.load import (
    CONCURRENCY,
    FLOOR,
    GATEWAY_DIALECTS,
    GATEWAY_PLAIN,
    GATEWAY_REALISTIC,
    PEER,
    PEER_REALISTIC,
    Line,
    Target,
    WrongAnswerError,
    check_fixture,
    line,
    middle,
)
from tests.bench.processes import StartError, start

EVERYTHING: Final = "naive, everything"
COLD: Final = "gateway, cold, 12 fields"
COLD_REALISTIC: Final = f"gateway, cold, {RECORDS} records"
DIALECTS: Final = "gateway, four real dialects"
GATEWAY_HAS: Final = "merge with provenance, retry-ready, deadline, log, durable audit"
RUNS: Final = 3
_GATEWAY: Final = "tests.bench.gateway_server"


@dataclass(frozen=True, slots=True)
class Budget:
    """What is owed: at most `ratio` times another row of the same run."""

    ratio: float
    of: str


_SHORT: Final = {EVERYTHING: "everything", COLD: "cold 12"}
BUDGETS: Final = {COLD: Budget(0.65, EVERYTHING), COLD_REALISTIC: Budget(1.5, COLD)}


@dataclass(slots=True)
class Row:
    """One row of the table while it is measured."""

    title: str
    has: str
    line: Line
    share: float = 1.0
    concurrency: int = CONCURRENCY
    runs: list[float] = field(default_factory=list)


async def bench(console: Console, calls: int) -> None:
    """Starts everything, compares the answers, measures, and prints the table."""
    for payload in (PLAIN, REALISTIC):
        check_fixture(ENTERPRISES, payload)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        addresses = await _upstream(stack, folder)
        plain = [f"{address}/{PLAIN}" for address in addresses]

        async def row(title: str, has: str, target: Target, module: str, *arguments: str) -> Row:
            process = await start(stack, folder, module, *arguments)
            return Row(title, has, await stack.enter_async_context(line(process, target, ENTERPRISES)))

        audit = [str(folder / f"audit-{number}") for number in range(3)]
        rows = [
            await row("grpc.aio floor", "bytes in, bytes out", FLOOR, "tests.bench.peers.floor"),
            await row("naive", "asyncio.gather, newest wins", PEER, "tests.bench.peers.naive", *plain),
            await row(
                EVERYTHING,
                "the naive work with retries, log, metrics, all traces, an audit commit per query",
                PEER,
                "tests.bench.peers.naive_everything",
                audit[0],
                *plain,
            ),
            await row(
                f"naive, {RECORDS} records",
                "the naive work with one record of each natural key, the newest's",
                PEER_REALISTIC,
                "tests.bench.peers.naive_realistic",
                *(f"{address}/{REALISTIC}" for address in addresses),
            ),
            await row(COLD, GATEWAY_HAS, GATEWAY_PLAIN, _GATEWAY, audit[1], "-", PLAIN, *addresses),
            await row(COLD_REALISTIC, GATEWAY_HAS, GATEWAY_REALISTIC, _GATEWAY, audit[2], "-", REALISTIC, *addresses),
        ]
        for each in rows:
            await _compare(each)
        left_out = ""
        try:
            rows.append(await _dialects(stack, folder))
        except (StartError, WrongAnswerError) as error:
            left_out = str(error)
        for each in rows:
            await each.line.drive(int(calls * each.share) // 4, each.concurrency)  # warm-up
        for _ in range(RUNS):
            for each in rows:
                each.runs.append(await each.line.drive(int(calls * each.share), each.concurrency))
    _print(console, rows, calls)
    if left_out:
        console.print(f"left out: {DIALECTS}: {left_out}", soft_wrap=True, highlight=False)


async def _upstream(stack: AsyncExitStack, folder: Path) -> list[str]:
    upstream = await start(stack, folder, "tests.bench.upstream")
    return [f"http://127.0.0.1:{port}" for port in upstream.addresses]


async def _compare(row: Row) -> None:
    try:
        await row.line.compare()
    except* (WrongAnswerError, grpc.aio.AioRpcError) as errors:
        raise WrongAnswerError(f"{row.title}: {_first(errors)}") from errors


async def _dialects(stack: AsyncExitStack, folder: Path) -> Row:
    sandboxes = await start(stack, folder, "tests.bench.sandboxes")
    urls = [str(url) for url in sandboxes.addresses]
    process = await start(stack, folder, _GATEWAY, str(folder / "audit-dialects"), "-", "dialects", *urls)
    enterprise = make_world(100, DEFAULT_SEED).examples["demo"]
    asked = await stack.enter_async_context(line(process, GATEWAY_DIALECTS, [enterprise]))
    # The sandboxes share two cores with everything else, and SM2 is slow: fewer calls say enough.
    row = Row(DIALECTS, GATEWAY_HAS, asked, share=0.1, concurrency=4)
    await _compare(row)
    return row


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error.details()) if isinstance(error, grpc.aio.AioRpcError) else str(error)


def _print(console: Console, rows: Sequence[Row], calls: int) -> None:
    cost = {row.title: middle(row.runs) for row in rows}
    table = Table(title=f"CPU µs per view, median of {RUNS} runs of {calls} calls, {CONCURRENCY} at a time")
    table.add_column("row", no_wrap=True)
    for heading in ("µs", "ratio", "owed", "is", "holds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        budget = BUDGETS.get(row.title)
        owed = ratio_text = holds = ""
        if budget is not None:
            ratio = cost[row.title] / cost[budget.of]
            owed, ratio_text = f"≤ {budget.ratio:.2f} × {_SHORT[budget.of]}", f"{ratio:.2f}"
            holds = "yes" if ratio <= budget.ratio else "NO"
        shares = f"{cost[row.title] / cost[EVERYTHING]:.2f}"
        table.add_row(row.title, f"{cost[row.title]:,.0f}", shares, owed, ratio_text, holds)
    console.print(table)
    for note in (f"ratio: to “{EVERYTHING}”. What each row has:", *(f"  {row.title}: {row.has}" for row in rows)):
        console.print(note, highlight=False, soft_wrap=True)
    console.print("Peers and gateway gave the same twelve values for every enterprise, in every call.", soft_wrap=True)


async def profile(console: Console, calls: int, payload: str) -> None:
    """Runs one row of the gateway under cProfile and prints where the time goes."""
    target = GATEWAY_PLAIN if payload == PLAIN else GATEWAY_REALISTIC
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        addresses = await _upstream(stack, folder)
        stats = str(folder / "stats")
        process = await start(stack, folder, _GATEWAY, str(folder / "audit"), stats, payload, *addresses)
        async with line(process, target, ENTERPRISES) as asked:
            await asked.compare()
            cost = await asked.drive(calls)
        await process.stop()
        console.print(f"{payload}: {cost:,.0f} µs per view under the profiler, {calls} calls")
        found = pstats.Stats(stats)
        found.sort_stats("tottime").print_stats(30)
        found.sort_stats("cumulative").print_stats(r"/(gateway|connectors)/", 30)


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Runs the work so that SIGTERM and SIGINT end it in order, and with it the processes it started."""
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def main() -> None:
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1")
    parser.add_argument("--profile", nargs="?", const="cold", choices=("cold", "realistic"))
    arguments = parser.parse_args()
    console = Console(width=100)  # the table, whatever the terminal says
    calls = 400 if arguments.quick else 2_000
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if arguments.profile:
                payload = PLAIN if arguments.profile == "cold" else REALISTIC
                runner.run(_until_told(profile(console, calls, payload)))
            else:
                runner.run(_until_told(bench(console, calls)))
    except asyncio.CancelledError:
        sys.exit("stopped from outside; every process started here has ended")
    except (WrongAnswerError, StartError) as error:
        sys.exit(f"nothing was measured: {error}")


if __name__ == "__main__":
    main()
