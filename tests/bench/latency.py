"""How long the gateway itself takes, over the slowest platform; and how soon a stream tells its first answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import grpc

from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import StreamCreditViewRequest, StreamCreditViewResponse
from tests.bench.fixture import PLAIN, enterprise
from tests.bench.load import Heard, line, ms, open_loop
from tests.bench.processes import Process
from tests.bench.questions import PEER, SERVICE, Target, WrongAnswerError, check_view, cold_query, gateway_plain
from tests.bench.report import Claim, Row
from tests.bench.stage import RATE_PER_S, Size, Stage, Upstream
from tests.bench.upstream import STEADY_S

NAIVE: Final = "own latency: naive"
GATEWAY: Final = "own latency: gateway"
STREAM: Final = "stream: first answer"
TITLES: Final = (NAIVE, GATEWAY, STREAM)
METHOD: Final = (
    f"Latency rows: four platforms that answer in {STEADY_S[0] * 1e3:.0f} to {STEADY_S[1] * 1e3:.0f} ms, {RATE_PER_S:.0f} queries a "
    "second in open loop. Own latency is the caller's, counted from when it was to ask, less what the slowest platform took by "
    "its own clock (from the whole request to the answer written): caller, wires and the platforms' process are in it. The first "
    "answer of a stream is set against the fastest platform, and against the whole view of GetCreditView.",
)


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives the rows of the gateway's own latency."""
    upstream = await stage.upstream("steady")
    half = replace(size, latency=size.latency // 2)  # of which only the middle is told, or nothing is owed
    naive_own, naive = await _unary(await stage.naive(upstream.addresses), PEER, upstream, half)
    gateway = await stage.gateway(PLAIN, upstream.addresses)
    own, whole = await _unary(gateway, gateway_plain(), upstream, size)
    first, first_own, final = await _stream(gateway, upstream, half)
    late_ms = ms([each.late_s for each in whole], 0.99)
    took = [each.latency_s for each in whole]
    return [
        Row(NAIVE, "the naive peer", _both(naive_own) | {"ms p50 in all": ms([each.latency_s for each in naive], 0.5)}),
        Row(
            GATEWAY,
            "everything on",
            _both(own) | {"ms p50 in all": ms(took, 0.5), "ms p99 of the load's own lateness": late_ms},
            (
                Claim("ms p50", ms(own, 0.5), 3.0, 1.5),
                Claim("ms p99", ms(own, 0.99), 12.0, 5.0),
                Claim("× naive p50", ms(own, 0.5) / ms(naive_own, 0.5)),
            ),
        ),
        Row(
            STREAM,
            "everything on; StreamCreditView, each step with the view so far and its entry in the trail",
            _both(first)
            | {"ms p50 final view": ms(final, 0.5), "ms p50 over the fastest platform": ms(first_own, 0.5)},
            (Claim("× p50 of GetCreditView", ms(first, 0.5) / ms(took, 0.5)),),
        ),
    ]


def _both(values: Sequence[float]) -> dict[str, float]:
    return {"ms p50": ms(values, 0.5), "ms p99": ms(values, 0.99)}


async def _unary(process: Process, target: Target, upstream: Upstream, size: Size) -> tuple[list[float], list[Heard]]:
    """Gives the own latencies, and all that was heard."""
    async with line(process, target, ()) as asked:

        async def ask(uscc: str) -> bool:
            return await asked.ask(uscc, 10)

        heard, took_s = await _run(ask, upstream, size)
    return [each.latency_s - max(took_s[each.uscc]) for each in heard], heard


async def _stream(process: Process, upstream: Upstream, size: Size) -> tuple[list[float], list[float], list[float]]:
    """Gives the latencies of first answers, those over the fastest platform, and those of final views."""
    first_at: dict[str, float] = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.addresses[0]}") as channel:
        call = channel.unary_stream(
            f"{SERVICE}/StreamCreditView",
            request_serializer=StreamCreditViewRequest.SerializeToString,
            response_deserializer=StreamCreditViewResponse.FromString,
        )

        async def ask(uscc: str) -> bool:
            steps: list[StreamCreditViewResponse] = []
            began = time.monotonic()
            async for step in call(StreamCreditViewRequest(query=cold_query(uscc)), timeout=10):
                if not steps:
                    first_at[uscc] = time.monotonic() - began
                steps.append(step)
            kinds = [step.WhichOneof("event") for step in steps]
            if kinds != ["answer_landed"] * 4 + ["final"]:
                raise WrongAnswerError(f"{uscc}: the stream's steps were {kinds}")
            check_view(uscc, steps[-1].final.view)
            return True

        heard, took_s = await _run(ask, upstream, size)
    first = [first_at[each.uscc] + each.late_s for each in heard]
    own = [taken - min(took_s[each.uscc]) for taken, each in zip(first, heard, strict=True)]
    return first, own, [each.latency_s for each in heard]


async def _run(
    ask: Callable[[str], Awaitable[bool]], upstream: Upstream, size: Size
) -> tuple[list[Heard], dict[str, list[float]]]:
    """Gives what was heard after a warm-up, and what the platforms took for it."""
    await open_loop(ask, [enterprise(size.latency + number) for number in range(size.warm)], RATE_PER_S)
    await upstream.took_s()
    heard = await open_loop(ask, [enterprise(number) for number in range(size.latency)], RATE_PER_S)
    return heard, await upstream.took_s()
