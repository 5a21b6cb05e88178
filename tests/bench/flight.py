"""Ten thousand queries in flight at once against platforms that take two seconds: how many fail, and what each takes of memory."""

from __future__ import annotations

import asyncio
import math
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import grpc

from tests.bench.fixture import FOUR, PLAIN, enterprise
from tests.bench.load import Line, line, percentile
from tests.bench.processes import Process
from tests.bench.questions import PEER, Target, WrongAnswerError, gateway_plain
from tests.bench.report import Claim, Row
from tests.bench.stage import Size, Stage, Upstream
from tests.bench.upstream import FLIGHT_S

NAIVE: Final = "in flight: naive"
GATEWAY: Final = "in flight: gateway"
TITLES: Final = (NAIVE, GATEWAY)
METHOD: Final = (
    f"In flight: all queries are sent at once, each about an enterprise of its own, to platforms that take {FLIGHT_S:.0f} s; KiB "
    "each is the growth of resident memory from before to its peak, over the queries, after a warm-up. Each query has "
    f"{len(FOUR)} connections of its own: where one process may not open that many files, the queries are dealt to as many "
    "processes as it takes, and the growth of all is counted. Each platform is a process, for the same reason. The answer cache "
    "is off in this row, since what it keeps has its own bound.",
)
_PATIENT_S: Final = 110.0  # the longest deadline is 120
_FILES_ASIDE: Final = 500
_HEDGES: Final = 1.1


def processes_for(queries: int, most_files: int) -> int:
    """Gives how many processes it takes, each of which may open so many files."""
    return max(1, math.ceil(queries * len(FOUR) * _HEDGES / (most_files - _FILES_ASIDE)))


async def measure(stage: Stage, size: Size, mode: str = "slow") -> list[Row]:
    """Gives the rows of many queries in flight."""
    upstreams = [await stage.upstream(mode, 1, first=index) for index in range(len(FOUR))]
    addresses = [upstream.addresses[0] for upstream in upstreams]
    count = processes_for(size.in_flight, resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    async def naive() -> Process:
        return await stage.naive(addresses)

    async def gateway() -> Process:
        return await stage.gateway(PLAIN, addresses, "--no-cache")

    return [
        await _row(NAIVE, "the naive peer", naive, PEER, upstreams, count, size),
        await _row(GATEWAY, "everything on but the answer cache", gateway, gateway_plain(), upstreams, count, size),
    ]


async def _row(
    title: str,
    has: str,
    start: Callable[[], Awaitable[Process]],
    target: Target,
    upstreams: Sequence[Upstream],
    count: int,
    size: Size,
) -> Row:
    processes = [await start() for _ in range(count)]
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line(process, target, ())) for process in processes]
        usccs = [enterprise(number) for number in range(size.in_flight)]
        await _fly(lines, usccs[: 25 * count])
        before = [process.resident_kib() for process in processes]
        called = sum([(await upstream.calls()).total for upstream in upstreams])
        took_s, failures = await _fly(lines, usccs)
        peak = [process.most_resident_kib() for process in processes]
    calls = [await upstream.calls() for upstream in upstreams]
    for process in processes:
        await process.stop()  # its connections are closed before the next row's are opened
    each_kib = sum(after - then for after, then in zip(peak, before, strict=True)) / size.in_flight
    figures = {
        "queries": float(size.in_flight),
        "gateway processes" if title == GATEWAY else "processes": float(count),
        "failed": float(len(failures)),
        "KiB each": each_kib,
        "calls at the platforms": float(sum(each.total for each in calls) - called),
        "of them under way at once": float(sum(each.most_under_way for each in calls)),
        "s until half were answered": percentile(took_s, 0.5),
        "s until all were": max(took_s),
    }
    claims = (
        Claim("failed", len(failures), 0, None if title == NAIVE else 0),
        Claim("KiB each", each_kib, 40, 25),
    )
    said = f"{has}; {failures[0]}" if failures else has
    return Row(title, said, figures, claims if title == GATEWAY else ())


async def _fly(lines: Sequence[Line], usccs: Sequence[str]) -> tuple[list[float], list[str]]:
    """Asks everything at once, dealt to the lines in turn; gives how long each took and why each failure was one."""
    took_s: list[float] = []
    failures: list[str] = []
    began = time.monotonic()

    async def one(asked: Line, uscc: str) -> None:
        try:
            await asked.ask(uscc, _PATIENT_S)
        except grpc.aio.AioRpcError as error:
            failures.append(f"{error.code().name}: {error.details()}")
        except WrongAnswerError as error:
            failures.append(str(error))
        took_s.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for number, uscc in enumerate(usccs):
            group.create_task(one(lines[number % len(lines)], uscc))
    return took_s, failures
