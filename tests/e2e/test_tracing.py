"""Traces through a whole gateway: one tree per query at a real collector, and its id in log line and error details."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
import pytest
from aiohttp import web
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import (
    credit_service_pb2_grpc,
    green_credit_service_pb2,
    green_credit_service_pb2_grpc,
)
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.gateway_file import TracingSettings
from tests.e2e.conftest import DEMO, Rig, query
from tests.shipped import shipped_settings

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"
SAMPLED: Final = (("traceparent", f"00-{TRACE}-{SPAN}-01"),)
UNSAMPLED: Final = (("traceparent", f"00-{TRACE}-{SPAN}-00"),)


class Collector:
    """Takes spans over OTLP/HTTP and keeps them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [span for r in sent.resource_spans for scope in r.scope_spans for span in scope.spans]
        return web.Response(body=b"", content_type="application/x-protobuf")

    def tree(self) -> set[tuple[str, str]]:
        """Gives each span with its parent, by name; the caller's own by its id."""
        names = {span.span_id: span.name for span in self.spans}
        return {(span.name, names.get(span.parent_span_id, span.parent_span_id.hex())) for span in self.spans}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    yield collector
    await runner.cleanup()


Served: TypeAlias = "Callable[..., AbstractAsyncContextManager[grpc.aio.Channel]]"
Asked: TypeAlias = "Callable[..., AbstractAsyncContextManager[credit_service_pb2_grpc.CreditServiceAsyncStub]]"


@pytest.fixture
def served(tmp_path: Path, collector: Collector) -> Served:
    """Gives what serves a gateway that sends its spans to the collector; they are all there when it has ended."""

    @asynccontextmanager
    async def serve(**tracing: Any) -> AsyncIterator[grpc.aio.Channel]:
        settings = shipped_settings()
        wanted = TracingSettings(endpoint=collector.endpoint, **tracing)
        settings = replace(settings, gateway=settings.gateway.model_copy(update={"tracing": wanted}))
        async with (
            sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
            gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=tmp_path / "audit.jsonl") as (
                _,
                port,
            ),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield channel

    return serve


@pytest.fixture
def traced(served: Served) -> Asked:
    """Gives the same, with what asks for views."""

    @asynccontextmanager
    async def serve(**tracing: Any) -> AsyncIterator[credit_service_pb2_grpc.CreditServiceAsyncStub]:
        async with served(**tracing) as channel:
            yield credit_service_pb2_grpc.CreditServiceStub(channel)

    return serve


async def test_one_query_is_one_tree_under_the_caller_s_span(traced: Asked, collector: Collector) -> None:
    configure_logs("error")

    async with traced(share=0.0) as credit:
        response = await credit.GetCreditView(pb.GetCreditViewRequest(query=query()), metadata=SAMPLED)

    root = "CreditService/GetCreditView"
    assert collector.tree() >= {
        (root, SPAN),
        ("platform.fetch", root),
        ("merge", root),
        ("audit", root),
        ("POST", "platform.fetch"),
        ("GET", "platform.fetch"),
    }
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    fetched = [span for span in collector.spans if span.name == "platform.fetch"]
    platforms = {a.value.string_value for span in fetched for a in span.attributes if a.key == "platform"}
    assert platforms == {"anhui", "jiangsu", "shanghai", "zhejiang"}
    (server,) = (span for span in collector.spans if span.name == root)
    assert {a.key: a.value.string_value for a in server.attributes} == {"answer_id": response.delivery.answer_id}


async def test_A14_no_span_names_the_enterprise(traced: Asked, collector: Collector) -> None:
    configure_logs("error")

    async with traced(share=1.0) as credit:
        await credit.GetCreditView(pb.GetCreditViewRequest(query=query()))

    assert collector.spans
    assert all(DEMO not in str(span) for span in collector.spans)


async def test_streams_and_batch_items_are_traced_too(traced: Asked, collector: Collector) -> None:
    configure_logs("error")
    items = [pb.BatchGetCreditViewsRequest(correlation_id=name, query=query()) for name in ("x", "y")]

    async with traced(share=1.0) as credit:
        _ = [step async for step in credit.StreamCreditView(pb.StreamCreditViewRequest(query=query()))]
        _ = [answer async for answer in credit.BatchGetCreditViews(iter(items))]

    roots = [span.name for span in collector.spans if not span.parent_span_id]
    assert sorted(roots) == ["CreditService/BatchGetCreditViews"] * 2 + ["CreditService/StreamCreditView"]
    assert len({span.trace_id for span in collector.spans}) == 3


async def test_a_refused_query_is_an_error_by_its_class(traced: Asked, collector: Collector) -> None:
    configure_logs("error")

    async with traced(share=1.0) as credit:
        with pytest.raises(grpc.aio.AioRpcError):
            await credit.GetCreditView(pb.GetCreditViewRequest(query=query("91310115MA0TERT168")))

    (span,) = collector.spans
    assert {a.key: a.value.string_value for a in span.attributes} == {"error.type": "InvalidIdentifierError"}


async def test_nothing_is_sent_of_a_call_that_is_not_sampled(traced: Asked, collector: Collector) -> None:
    configure_logs("error")

    async with traced(share=1.0) as credit:
        await credit.GetCreditView(pb.GetCreditViewRequest(query=query()), metadata=UNSAMPLED)

    assert collector.spans == []


async def test_without_a_collector_the_caller_s_trace_id_stands_in_the_error(rig: Rig) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query("91310115MA0TERT168")), metadata=UNSAMPLED)

    assert trace_id_of(raised.value) == TRACE


async def test_an_error_without_a_caller_s_trace_has_an_id_of_its_own(rig: Rig) -> None:
    ids = set()
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query("91310115MA0TERT168")))
        ids.add(trace_id_of(raised.value))

    assert len(ids) == 2
    assert {len(id) for id in ids} == {32}


async def test_the_query_s_log_line_has_its_trace_id(monkeypatch: pytest.MonkeyPatch, traced: Asked) -> None:
    lines = io.StringIO()
    monkeypatch.setattr("gateway.adapters.telemetry.logs.STANDARD_ERROR", lines)
    configure_logs("error")

    async with traced(share=0.0) as credit:
        await credit.GetCreditView(pb.GetCreditViewRequest(query=query()), metadata=UNSAMPLED)
        cancelled = credit.GetCreditView(pb.GetCreditViewRequest(query=query()), metadata=UNSAMPLED, timeout=0.03)
        await asyncio.wait([asyncio.ensure_future(settled(cancelled))])

    ended = [json.loads(line) for line in lines.getvalue().splitlines() if '"query.ended"' in line]
    assert {line["trace_id"] for line in ended} == {TRACE}
    assert "answered" in {line["event_kind"] for line in ended}


async def settled(call: Any) -> None:
    try:
        await call
    except grpc.aio.AioRpcError:
        return


def trace_id_of(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.metadata["trace_id"])


async def test_an_assessment_is_one_tree_too_with_both_its_entries_in_the_trail(
    served: Served, collector: Collector
) -> None:
    configure_logs("error")

    async with served(share=0.0) as channel:
        green = green_credit_service_pb2_grpc.GreenCreditServiceStub(channel)
        request = green_credit_service_pb2.AssessEnterpriseRequest(uscc=DEMO)
        assessed: green_credit_service_pb2.AssessEnterpriseResponse = await green.AssessEnterprise(
            request, metadata=SAMPLED
        )

    root = "GreenCreditService/AssessEnterprise"
    assert collector.tree() >= {(root, SPAN), ("platform.fetch", root), ("merge", root), ("audit", root)}
    told = [a.value.string_value for span in collector.spans if span.name == "audit" for a in span.attributes]
    assert told == ["answered", "assessed"]
    (server,) = (span for span in collector.spans if span.name == root)
    assert {a.key: a.value.string_value for a in server.attributes} == {"answer_id": assessed.assessment.answer_id}
    assert all(DEMO not in str(span) for span in collector.spans)
