"""What of a trace goes out with a request: a span of it, and its header to a platform only where allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from connectors.kit.http import HttpCaller
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_UNREACHABLE
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.telemetry.trace_context import outgoing_headers, read_traceparent
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.query import CreditQuery
from tests.adapters.traced import (
    CALL,
    PERMIT,
    QUERY,
    SAMPLED,
    SPAN,
    TRACE,
    UNSAMPLED,
    USCC,
    Told,
    Tree,
    span_id,
    tracing_to,
    view,
)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


class Requesting(Told):
    """Makes one HTTP request by the shared session, as every connector does."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__()
        self._http = HttpCaller(session, SystemClock(), url, max_body_bytes=1_000)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        try:
            await self._http.exchange("GET", "/credit", fetch_by=inf, params={"uscc": USCC})
        except PlatformError:
            return failed_answer("a", OUTCOME_UNREACHABLE, "connect", (5,), attempts=1)
        return await super().fetch(query, permit, fetch_by)


@asynccontextmanager
async def platform(seen: list[dict[str, str]], status: int = 200) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        seen.append({k: v for k, v in request.headers.items() if k == "traceparent"})
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_get("/credit", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_A14_each_request_of_a_recorded_call_is_a_span_without_path_or_query(
    exporter: InMemorySpanExporter,
) -> None:
    tracing = tracing_to(exporter)
    seen: list[dict[str, str]] = []
    async with platform(seen) as url, aiohttp.ClientSession(trace_configs=tracing.trace_configs()) as session:
        await view(tracing, Requesting(session, url))
        await tracing.aclose()

    tree = Tree(exporter)
    assert tree.parents()["GET"] == "platform.fetch"
    assert tree.kind("GET") == SpanKind.CLIENT
    assert tree.said("GET") == (
        {"http.request.method": "GET", "server.address": "127.0.0.1", "http.response.status_code": 200},
        StatusCode.UNSET,
    )
    assert seen == [{}]
    assert USCC not in tree.text()


async def test_a_status_that_is_an_error_and_a_request_that_breaks_are_errors(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)
    broken = InMemorySpanExporter()
    tracing_broken = tracing_to(broken)
    async with platform([], status=503) as url, aiohttp.ClientSession(trace_configs=tracing.trace_configs()) as session:
        await view(tracing, Requesting(session, url))
        await tracing.aclose()
    async with aiohttp.ClientSession(trace_configs=tracing_broken.trace_configs()) as session:
        await view(tracing_broken, Requesting(session, url))
        await tracing_broken.aclose()

    attributes, status = Tree(exporter).said("GET")
    assert (attributes["http.response.status_code"], status) == (503, StatusCode.ERROR)
    attributes, status = Tree(broken).said("GET")
    assert (attributes["error.type"], status) == ("ClientConnectorError", StatusCode.ERROR)


async def test_only_a_platform_that_may_be_told_is_sent_our_trace(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, told_platforms=frozenset({"a"}))
    seen: list[dict[str, str]] = []
    other = Told(id="b")
    async with platform(seen) as url, aiohttp.ClientSession(trace_configs=tracing.trace_configs()) as session:
        with tracing.begin(CALL, ()) as call:
            await tracing.around(Requesting(session, url)).fetch(QUERY, PERMIT, 1.0)
            beyond = outgoing_headers()
            await tracing.around(other).fetch(QUERY, PERMIT, 1.0)
        await tracing.aclose()

    request = next(span for span in exporter.get_finished_spans() if span.name == "GET")
    assert seen == [{"traceparent": f"00-{call.trace_id}-{span_id(request)}-01"}]
    assert (other.headers, beyond) == ([{}], {})


async def test_a_platform_that_may_be_told_learns_of_a_trace_that_is_not_recorded(
    exporter: InMemorySpanExporter,
) -> None:
    tracing = tracing_to(exporter, told_platforms=frozenset({"a"}))
    seen: list[dict[str, str]] = []
    async with platform(seen) as url, aiohttp.ClientSession(trace_configs=tracing.trace_configs()) as session:
        await view(tracing, Requesting(session, url), UNSAMPLED)
        await tracing.aclose()

    told = read_traceparent(seen[0]["traceparent"])
    assert told is not None
    assert (told.trace_id, told.is_sampled, told.span_id != SPAN) == (TRACE, False, True)
    assert exporter.get_finished_spans() == ()


async def test_aiohttp_sees_no_trace_config_where_nothing_is_recorded_or_told(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, random=0.5)
    async with aiohttp.ClientSession(trace_configs=tracing.trace_configs()) as session:
        outside = list(session.trace_configs)
        with tracing.begin(CALL, ()):
            unrecorded = list(session.trace_configs)
        with tracing.begin(CALL, SAMPLED):
            recorded = list(session.trace_configs)
    await tracing.aclose()

    assert (len(outside), len(unrecorded), len(recorded)) == (0, 0, 1)
