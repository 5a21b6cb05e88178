"""What of a call is recorded: one tree per call, each span with its outcome and no word of what it was about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_UNREACHABLE
from gateway.adapters.telemetry.trace_context import add_trace_id, current_trace_id
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.traced import CALL, PERMIT, QUERY, SAMPLED, TRACE, UNSAMPLED, USCC, Told, Tree, tracing_to, view


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


async def test_a_fetch_says_platform_outcome_attempts_and_reason(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    await view(tracing, Told(OUTCOME_UNREACHABLE, "http_503"))
    await tracing.aclose()

    assert Tree(exporter).said("platform.fetch") == (
        {"platform": "a", "outcome": "UNREACHABLE", "attempts": 2, "reason": "http_503"},
        StatusCode.ERROR,
    )


async def test_a_platform_that_was_heard_is_no_error(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    await view(tracing, Told())
    await tracing.aclose()

    assert Tree(exporter).said("platform.fetch") == (
        {"platform": "a", "outcome": "OK", "attempts": 2},
        StatusCode.UNSET,
    )
    assert Tree(exporter).said("merge") == ({"records": 3}, StatusCode.UNSET)


async def test_a_step_that_has_ended_is_not_the_parent_of_the_next(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    with tracing.begin(CALL, ()):
        with tracing.span("merge"), tracing.span("choose"):
            pass
        await tracing.around(Told()).fetch(QUERY, PERMIT, 1.0)
        with tracing.span("audit"):
            pass
    await tracing.aclose()

    assert Tree(exporter).parents() == {
        CALL: None, "merge": CALL, "choose": "merge", "platform.fetch": CALL, "audit": CALL
    }  # fmt: skip


async def test_A14_of_an_error_its_class_is_recorded_and_never_its_message(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    def fail() -> None:
        with tracing.begin(CALL, ()) as call:
            call.span.note(reason="TRAIL_UNAVAILABLE")
            with tracing.span("audit"):
                raise RuntimeError(f"cannot write {USCC}")

    with pytest.raises(RuntimeError):
        fail()
    await tracing.aclose()

    tree = Tree(exporter)
    assert tree.said("audit") == ({"error.type": "RuntimeError"}, StatusCode.ERROR)
    assert tree.said(CALL) == (
        {"reason": "TRAIL_UNAVAILABLE", "error.type": "RuntimeError"},
        StatusCode.ERROR,
    )
    assert USCC not in tree.text()


async def test_a_cancelled_fetch_is_ended_in_its_trace_and_stays_cancelled(exporter: InMemorySpanExporter) -> None:
    class Endless(Told):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError("it waits for ever")

    tracing = tracing_to(exporter)
    with tracing.begin(CALL, ()):
        task = asyncio.ensure_future(tracing.around(Endless()).fetch(QUERY, PERMIT, 1.0))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await tracing.aclose()

    assert task.cancelled()
    assert Tree(exporter).said("platform.fetch") == (
        {"platform": "a", "error.type": "CancelledError"},
        StatusCode.ERROR,
    )


async def test_calls_at_once_keep_their_traces_apart(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, random=0.5)
    connectors = [Told() for _ in range(20)]

    async def call(connector: Told) -> str:
        with tracing.begin(CALL, ()) as call:
            await asyncio.sleep(0)
            await asyncio.gather(*(tracing.around(connector).fetch(QUERY, PERMIT, 1.0) for _ in range(3)))
            assert current_trace_id() == call.trace_id
        return call.trace_id

    trace_ids = await asyncio.gather(*(call(connector) for connector in connectors))
    await tracing.aclose()

    assert [connector.asked_in for connector in connectors] == [[trace_id] * 3 for trace_id in trace_ids]
    assert current_trace_id() == ""


async def test_a_stream_closed_by_another_task_ends_its_span(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    async def stream() -> AsyncIterator[int]:
        with tracing.begin("CreditService/StreamCreditView", ()):
            yield 1
            yield 2

    landed = stream()
    await asyncio.create_task(anext(landed))  # type: ignore[arg-type]  # an async generator's step is a coroutine
    await landed.aclose()  # type: ignore[attr-defined]
    await tracing.aclose()

    assert Tree(exporter).said("CreditService/StreamCreditView")[0]["error.type"] == "GeneratorExit"


async def test_log_events_within_a_call_carry_its_trace_id(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, random=0.5)

    outside = add_trace_id(None, "warning", {"event": "platform.drift"})
    with tracing.begin(CALL, UNSAMPLED):
        within = add_trace_id(None, "warning", {"event": "platform.drift"})
    afterwards = add_trace_id(None, "warning", {"event": "platform.drift"})
    await tracing.aclose()

    assert outside == afterwards == {"event": "platform.drift"}
    assert within == {"event": "platform.drift", "trace_id": TRACE}


async def test_a_trace_ends_with_its_grpc_call_and_not_in_the_next_one_on_the_channel(
    exporter: InMemorySpanExporter,
) -> None:
    tracing = tracing_to(exporter)
    before: list[str] = []

    async def serve(request: bytes, context: Any) -> bytes:
        before.append(current_trace_id())
        with tracing.begin(CALL, context.invocation_metadata()) as call:
            return call.trace_id.encode()

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(serve)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("t.T", {"Ask": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask: Any = channel.unary_unary("/t.T/Ask")
        first = await ask(b"", metadata=SAMPLED)
        second = await ask(b"")
    await server.stop(None)
    await tracing.aclose()

    assert first == TRACE.encode()
    assert second != first
    assert before == ["", ""]
