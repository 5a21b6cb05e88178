"""What a view costs: the server's CPU time for each, peers and gateway in turns, so that a busy machine is busy for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median
from typing import Final

from connectors.kit.enterprises import DEFAULT_SEED, make_world
from tests.bench.batch import batch_line
from tests.bench.driven import Driver, Entry
from tests.bench.fixture import ENTERPRISES, FOUR, PLAIN, PLATFORMS, REALISTIC, RECORDS
from tests.bench.interval import middle
from tests.bench.load import CONCURRENCY, line
from tests.bench.processes import Process
from tests.bench.questions import (
    FAILURES,
    FLOOR,
    GATEWAY_DIALECTS,
    GATEWAY_KEPT,
    GATEWAY_REALISTIC,
    PEER,
    PEER_REALISTIC,
    Target,
    check_fixture,
    gateway_plain,
)
from tests.bench.report import Claim, Row, why
from tests.bench.stage import Size, Stage, Upstream

GRPC_FLOOR: Final = "grpc.aio floor"
NAIVE: Final = "naive"
EVERYTHING: Final = "naive, everything"
NAIVE_REALISTIC: Final = f"naive, {RECORDS} records"
COLD: Final = "cold, 12 fields"
COLD_REALISTIC: Final = f"cold, {RECORDS} records"
HIT: Final = "cache hit"
EIGHT: Final = "cold, 8 platforms"
SIXTEEN: Final = "cold, 16 platforms"
BATCH: Final = "batch, cold, 12 fields"
DIALECTS: Final = "cold, four real dialects"
TITLES: Final = (
    GRPC_FLOOR, NAIVE, EVERYTHING, NAIVE_REALISTIC, COLD, COLD_REALISTIC, HIT, EIGHT, SIXTEEN, BATCH, DIALECTS,
)  # fmt: skip
METHOD: Final = (
    f"Cost rows: user and system time of the server's process, all threads, for one view; {CONCURRENCY} calls at a time over one "
    "kept channel, median of many runs of some tenths of a second each, in which the rows take turns, forwards and backwards; "
    "dear rows make fewer calls, cheap ones more; a quarter as many go before each run, uncounted. The rows that budgets set "
    "against each other take a turn more in every round. Ratios are medians of those within each turn, with their interval, so "
    "that a machine whose pace changes from second to second is little part of them. On a slow day there are fewer rounds: each "
    "row says how many runs it had. Batch: one stream.",
    "Cold: every query accepts no age, so that neither a kept answer nor a call under way (which is as old as its beginning) "
    "will do; cache and single flight stay on and are paid for. The platforms' own counts must show a call of every platform "
    "for every view, and at most 6 % more (hedges: in a saturated process its own queue makes calls slow); the kept views of "
    "the cache row must show none.",
)
ON: Final = (
    "metrics, log, durable audit, traces of 1 %, retry, hedge, breaker, bulkhead and cache ready, deadline, provenance"
)
_STARTED_AT_ONCE: Final = 2
# What costs more is measured as well by fewer calls, since CPU time is counted to the nanosecond; what costs little takes
# more of them, to be a run of about as long as the others'. None is much shorter than a tenth of a second: a process that
# was idle finds its pace only after a while, the later the more code it has.
_SHARES: Final[Mapping[str, float]] = {
    GRPC_FLOOR: 8.0, NAIVE: 3.0, HIT: 6.0, EVERYTHING: 2.5, COLD: 2.5, BATCH: 1.5, COLD_REALISTIC: 1.2, EIGHT: 0.8, SIXTEEN: 0.8,
    DIALECTS: 0.1,
}  # fmt: skip
_LEAD: Final = 0.25
_CLOSER: Final = frozenset({EVERYTHING, COLD, COLD_REALISTIC})
"""Rows that are set against each other by budgets, and take more turns for it."""
_ALSO_OWED: Final[Mapping[tuple[str, str], float]] = {(COLD, EVERYTHING): 0.65, (COLD_REALISTIC, EVERYTHING): 1.5}
"""What was owed first, before the budgets below."""
_BUDGETS: Final[Mapping[str, tuple[str, float, float]]] = {
    COLD: (EVERYTHING, 0.55, 0.30),
    COLD_REALISTIC: (COLD, 1.35, 1.2),
    HIT: (GRPC_FLOOR, 1.6, 1.4),
    SIXTEEN: (COLD, 4.2, 3.8),
}


NAIVE_WHERE_SET_US: Final = 668.0
"""What the naive peer took on the machine on which budgets in µs and ms were set."""


def pace(rows: Sequence[Row]) -> Mapping[str, str]:
    """Gives how much slower this machine is than the one that absolute budgets are from, where the naive peer was measured."""
    naive_us = next((row.figures["µs"] for row in rows if row.title == NAIVE and not row.missing), None)
    if naive_us is None:
        return {}
    slower = naive_us / NAIVE_WHERE_SET_US
    return {
        "Pace": f"the naive peer takes {slower:.1f} × the {NAIVE_WHERE_SET_US:.0f} µs it took where budgets in µs and ms were set: "
        "those ask as much more here; ratios do not"
    }


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives the rows of what views cost; one that cannot be measured says why, and the others go on."""
    for payload in (PLAIN, REALISTIC):
        check_fixture(ENTERPRISES, payload)
    upstream = await stage.upstream("instant", len(PLATFORMS))
    entries: list[Entry] = []
    missing: dict[str, str] = {}
    room = asyncio.Semaphore(_STARTED_AT_ONCE)

    async def started(title: str, has: str, start: _Start) -> Entry | None:
        async with room:
            try:
                return await start(title, has)
            except FAILURES as error:
                missing[title] = why(error)
                return None

    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(started(title, *row)) for title, row in _rows(stage, upstream).items()]
    for entry in [found for start in starts if (found := start.result()) is not None]:
        try:
            entries.append(entry)
            await entry.drive(len(ENTERPRISES))  # every enterprise once: compared before anything is timed
        except FAILURES as error:
            missing[entry.title] = why(error)
    closer = [entry for entry in entries if entry.title in _CLOSER]
    costs: dict[str, dict[int, float]] = {entry.title: {} for entry in entries}
    longest_s = 0.0
    for number in range(size.runs):
        if number and not stage.has_time_for(longest_s):
            break  # on a slow day fewer rounds, but every row
        began = time.monotonic()
        for turn, taking in enumerate((entries, closer), 2 * number):
            for entry in taking if number % 2 == 0 else taking[::-1]:
                if entry.title in missing:
                    continue
                try:
                    entry.runs.append(await entry.drive(size.calls))
                    costs[entry.title][turn] = entry.runs[-1].cpu_us
                except FAILURES as error:
                    missing[entry.title] = why(error)
        longest_s = max(longest_s, time.monotonic() - began)
    cost = {title: of_turns for title, of_turns in costs.items() if of_turns and title not in missing}
    return _report({entry.title: entry for entry in entries}, cost, missing)


_Start = Callable[[str, str], Awaitable[Entry]]


def _rows(stage: Stage, upstream: Upstream) -> dict[str, tuple[str, _Start]]:
    four = upstream.addresses[: len(FOUR)]
    plain = [f"{address}/{PLAIN}" for address in four]
    realistic = [f"{address}/{REALISTIC}" for address in four]

    def peer(target: Target, module: str, *arguments: str) -> _Start:
        async def start(title: str, has: str) -> Entry:
            return await entry(title, has, target, await stage.peer(f"tests.bench.peers.{module}", *arguments))

        return start

    def gateway(target: Target, kind: str, addresses: list[str]) -> _Start:
        async def start(title: str, has: str) -> Entry:
            process = await stage.gateway(kind, addresses)
            if not target.calls_per_view:  # what is to be kept must be asked for once
                async with line(process, gateway_plain(), ENTERPRISES) as first:
                    await first.drive(len(ENTERPRISES))
            return await entry(title, has, target, process)

        return start

    async def entry(title: str, has: str, target: Target, process: Process) -> Entry:
        driver = await stage.stack.enter_async_context(line(process, target, ENTERPRISES))
        return _entry(title, has, driver, upstream, target.calls_per_view)

    async def batch(title: str, has: str) -> Entry:
        process = await stage.gateway(PLAIN, four)
        driver = await stage.stack.enter_async_context(batch_line(process, ENTERPRISES))
        return _entry(title, has, driver, upstream, len(FOUR))

    async def dialects(title: str, has: str) -> Entry:
        urls = await stage.sandboxes()
        process = await stage.gateway("dialects", urls, traces=upstream.addresses[0])
        enterprise = make_world(100, DEFAULT_SEED).examples["demo"]
        driver = await stage.stack.enter_async_context(line(process, GATEWAY_DIALECTS, [enterprise]))
        # The sandboxes share two cores with everything else, and SM2 is slow: fewer calls say enough.
        return _entry(title, has, driver, None, 0, concurrency=4)

    return {  # what is set against each other stands side by side
        DIALECTS: (f"{ON}; SM2 signing, submit and poll, SOAP, tokens", dialects),
        NAIVE_REALISTIC: (
            "the naive work with one record of each natural key, the newest's; no provenance, no conflicts",
            peer(PEER_REALISTIC, "naive_realistic", *realistic),
        ),
        HIT: ("metrics, log, durable audit, traces of 1 %; every answer kept", gateway(GATEWAY_KEPT, PLAIN, four)),
        GRPC_FLOOR: ("bytes in, bytes out, no platforms", peer(FLOOR, "floor")),
        NAIVE: ("asyncio.gather, newest wins, nothing else", peer(PEER, "naive", *plain)),
        EVERYTHING: (
            "the naive work with retries, log, metrics, all traces, an audit commit per query, each in the usual way",
            peer(PEER, "naive_everything", stage.trail(), *plain),
        ),
        COLD: (ON, gateway(gateway_plain(), PLAIN, four)),
        COLD_REALISTIC: (ON, gateway(GATEWAY_REALISTIC, REALISTIC, four)),
        SIXTEEN: (ON, gateway(gateway_plain(16), PLAIN, upstream.addresses[:16])),
        EIGHT: (ON, gateway(gateway_plain(8), PLAIN, upstream.addresses[:8])),
        BATCH: (f"{ON}; one stream of BatchGetCreditViews", batch),
    }


def _entry(
    title: str,
    has: str,
    driver: Driver,
    upstream: Upstream | None,
    calls_per_view: int,
    concurrency: int = CONCURRENCY,
) -> Entry:
    share = _SHARES.get(title, 1.0)
    return Entry(title, has, driver, upstream, calls_per_view, share=share, lead=_LEAD, concurrency=concurrency)


def _report(
    entries: Mapping[str, Entry], cost: Mapping[str, Mapping[int, float]], missing: Mapping[str, str]
) -> list[Row]:
    rows = []
    for title in TITLES:
        entry = entries.get(title)
        if entry is None or title not in cost:
            rows.append(Row(title, missing=missing.get(title, "nothing was measured")))
            continue
        figures = {
            "µs": median(cost[title].values()),
            "views/s": median(run.views_per_s for run in entry.runs),
            "runs": float(len(entry.runs)),
        }
        if entry.extra:
            figures["% extra calls"] = 100 * entry.extra / (entry.views * entry.calls_per_view)
        rows.append(Row(title, entry.has, figures, tuple(_claims(title, cost))))
    return rows


def _claims(title: str, cost: Mapping[str, Mapping[int, float]]) -> list[Claim]:
    """Gives what the row costs beside others, first what its budget is about."""
    of, owed, stretch = _BUDGETS.get(title, ("", None, None))
    others = (EVERYTHING, *((COLD,) if title == EIGHT else ()))
    shown = [other for other in others if other != title and (other != of or (title, other) in _ALSO_OWED)]
    return [
        *([_beside(title, of, cost, owed, stretch)] if of in cost else []),
        *(_beside(title, other, cost, _ALSO_OWED.get((title, other))) for other in shown if other in cost),
    ]


def _beside(
    title: str,
    other: str,
    cost: Mapping[str, Mapping[int, float]],
    owed: float | None = None,
    stretch: float | None = None,
) -> Claim:
    ratios = [one / cost[other][turn] for turn, one in cost[title].items() if turn in cost[other]]
    return middle(f"× {other}", ratios, owed, stretch)
