"""How slow the slowest views are when one answer in twenty takes a second, naive and with second attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from tests.bench.fixture import FOUR, PLAIN, enterprise
from tests.bench.load import line, ms, open_loop
from tests.bench.processes import Process
from tests.bench.questions import FAILURES, GATEWAY_PARTIAL, PEER, Target, gateway_plain
from tests.bench.report import Claim, Row, why
from tests.bench.stage import RATE_PER_S, Size, Stage, Upstream
from tests.bench.upstream import SLOW_S, SLOW_SHARE, STEADY_S

NAIVE: Final = "tail: naive"
SHIPPED: Final = "tail: hedged, as shipped"
HEDGED: Final = "tail: hedged, three attempts"
DEADLINE: Final = "tail: hedged, 300 ms deadline"
TITLES: Final = (NAIVE, SHIPPED, HEDGED, DEADLINE)
METHOD: Final = (
    f"Tail rows: four platforms that answer in {STEADY_S[0] * 1e3:.0f} to {STEADY_S[1] * 1e3:.0f} ms, but in {SLOW_S:.0f} s for "
    f"{SLOW_SHARE:.0%} of calls, drawn independently; {RATE_PER_S:.0f} queries a second in open loop, evenly spaced, about as many "
    "enterprises; latency counts from when each was to be asked. Extra calls are counted by the platforms. Each row follows a "
    "warm-up, in which the hedge learns the platforms' p95. With one second attempt 1.0 % of the views have a platform "
    "that was slow twice, and a budget of 5 % leaves some slow calls without one: p99 stands at the very edge, or beyond it. So "
    "the budget is set against three attempts and 6 % extra calls, as `[NAME.hedge]` may have it.",
)
_HAS: Final = {
    NAIVE: "the naive peer, which waits",
    SHIPPED: "everything on; one second attempt after the platform's own p95, at most 5 % extra calls: the default",
    HEDGED: "everything on; a third attempt beside a second that is slow too, at most 6 % extra calls",
    DEADLINE: "the same, and the caller's deadline: who was not heard by then is told in a partial view",
}
_PATIENT_S: Final = 10.0
_DEADLINE_S: Final = 0.3
_AFTER_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Tail:
    p50_ms: float
    p99_ms: float
    p999_ms: float
    extra: float
    partial: float
    failed: float

    def figures(self) -> dict[str, float]:
        return {
            "ms p50": self.p50_ms,
            "ms p99": self.p99_ms,
            "ms p99.9": self.p999_ms,
            "% extra calls": self.extra,
            "% partial": self.partial,
            "% failed": self.failed,
        }


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives the rows of the tail; one that fails says why, and the others go on."""
    upstream = await stage.upstream("tail")
    found: dict[str, _Tail] = {}
    missing: dict[str, str] = {}

    async def take(
        title: str, process: Process, target: Target, timeout_s: float = _PATIENT_S, *, count: int, warm: int
    ) -> None:
        if not stage.has_time_for((count + warm) / RATE_PER_S + _AFTER_S):
            missing[title] = "its time was up"
            return
        try:
            found[title] = await _tail(process, target, upstream, timeout_s, count, warm)
        except FAILURES as error:
            missing[title] = why(error)

    warm = min(
        size.warm, size.tail_warm
    )  # where no window of the hedge's budget is to be filled, or it is full already
    # The row that is owed comes first: on a slow day the others are those without time.
    gateway = await stage.gateway(PLAIN, upstream.addresses, "--three-attempts")
    await take(HEDGED, gateway, gateway_plain(), count=size.tail, warm=size.tail_warm)
    await take(NAIVE, await stage.naive(upstream.addresses), PEER, count=size.tail, warm=warm // 2)
    shipped = await stage.gateway(PLAIN, upstream.addresses)
    await take(SHIPPED, shipped, gateway_plain(), count=size.tail, warm=size.tail_warm)
    await take(DEADLINE, gateway, GATEWAY_PARTIAL, _DEADLINE_S, count=size.tail // 2, warm=warm)
    return [
        Row(title, missing=missing[title])
        if title in missing
        else Row(title, has, found[title].figures(), _claims(title, found))
        for title, has in _HAS.items()
    ]


def _claims(title: str, found: Mapping[str, _Tail]) -> tuple[Claim, ...]:
    tail, naive = found[title], found.get(NAIVE)
    is_owed = title == HEDGED
    claims = []
    if naive is not None and title != NAIVE:
        claims += [
            Claim("× naive p99", tail.p99_ms / naive.p99_ms, owed=0.06 if is_owed else None),
            Claim("× naive p99.9", tail.p999_ms / naive.p999_ms, stretch=0.08 if is_owed else None),
        ]
    if is_owed:
        claims.append(Claim("% extra calls", tail.extra, owed=6.0))
    return tuple(claims)


async def _tail(process: Process, target: Target, upstream: Upstream, timeout_s: float, count: int, warm: int) -> _Tail:
    async with line(process, target, ()) as asked:
        failed: list[str] = []

        async def ask(uscc: str) -> bool:
            try:
                return await asked.ask(uscc, timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
                failed.append(uscc)
                return True

        await open_loop(ask, _enterprises(warm, first=count), RATE_PER_S)
        failed.clear()
        before = (await upstream.calls()).total
        heard = await open_loop(ask, _enterprises(count), RATE_PER_S)
        needed = len(FOUR) * len(heard)
        extra = (await upstream.calls()).total - before - needed
    took = [each.latency_s for each in heard]
    return _Tail(
        p50_ms=ms(took, 0.5),
        p99_ms=ms(took, 0.99),
        p999_ms=ms(took, 0.999),
        extra=100 * extra / needed,
        partial=100 * sum(not each.is_whole for each in heard) / len(heard),
        failed=100 * len(failed) / len(heard),
    )


def _enterprises(count: int, first: int = 0) -> Sequence[str]:
    return [enterprise(number) for number in range(first, first + count)]
