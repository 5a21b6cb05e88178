"""Ten thousand queries in flight at once against platforms that take two seconds: how many fail, and what each takes of memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
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
    f"In flight: all queries are sent at once to one process, each about an enterprise of its own, to platforms that take "
    f"{FLIGHT_S:.0f} s; KiB each is the growth of resident memory from before to its peak, over the queries, after a warm-up. How "
    "many calls the platforms had at once is theirs to say: the processor sets it, not a limit, and the other queries wait for "
    "the process to take them in, at little memory; so fewer queries, all asked at once, take more each. Each platform is a process, since "
    "one may not open so many files. The answer cache is off in this row, since what it keeps has its own bound.",
)
_WARM: Final = 25
_PATIENT_S: Final = 110.0  # the longest deadline is 120


async def measure(stage: Stage, size: Size, mode: str = "slow") -> list[Row]:
    """Gives the rows of many queries in flight."""
    upstreams = [await stage.upstream(mode, 1, first=index) for index in range(len(FOUR))]
    addresses = [upstream.addresses[0] for upstream in upstreams]
    process = await stage.naive(addresses)
    naive = await _row(NAIVE, "the naive peer", process, PEER, upstreams, size)
    await process.stop()  # its connections are closed before the next row's are opened
    process = await stage.gateway(PLAIN, addresses, "--no-cache")
    gateway = await _row(GATEWAY, "everything on but the answer cache", process, gateway_plain(), upstreams, size)
    claims = (
        Claim("failed", gateway.figures["failed"], 0),
        Claim("KiB each", gateway.figures["KiB each"], 40, 25),
    )
    return [naive, replace(gateway, claims=claims)]


async def _row(
    title: str, has: str, process: Process, target: Target, upstreams: Sequence[Upstream], size: Size
) -> Row:
    async with line(process, target, ()) as asked:
        usccs = [enterprise(number) for number in range(size.in_flight)]
        await _fly(asked, usccs[:_WARM])
        before_kib = process.resident_kib()
        called = sum([(await upstream.calls()).total for upstream in upstreams])
        took_s, failures = await _fly(asked, usccs)
        each_kib = (process.most_resident_kib() - before_kib) / size.in_flight
    calls = [await upstream.calls() for upstream in upstreams]
    figures = {
        "queries": float(size.in_flight),
        "failed": float(len(failures)),
        "KiB each": each_kib,
        "calls at the platforms": float(sum(each.total for each in calls) - called),
        "of them at once": float(sum(each.most_under_way for each in calls)),
        "s until half were answered": percentile(took_s, 0.5),
        "s until all were": max(took_s),
    }
    kinds = "; ".join(f"{count} × {kind}" for kind, count in Counter(failures).most_common(3))
    return Row(title, f"{has}. Failed: {kinds}" if failures else has, figures)


async def _fly(asked: Line, usccs: Sequence[str]) -> tuple[list[float], list[str]]:
    """Asks everything at once; gives how long each took and why each failure was one."""
    took_s: list[float] = []
    failures: list[str] = []
    began = time.monotonic()

    async def one(uscc: str) -> None:
        try:
            await asked.ask(uscc, _PATIENT_S)
        except grpc.aio.AioRpcError as error:
            failures.append(f"{error.code().name} {error.details()}")
        except WrongAnswerError as error:
            failures.append(str(error).partition(": ")[2])  # without the enterprise: counted by kind
        took_s.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for uscc in usccs:
            group.create_task(one(uscc))
    return took_s, failures
