"""Spans on their way to a collector: what is lost is said once, and the end comes in time."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.adapters.telemetry.logs import configure_logs
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from tests.adapters.traced import USCC, Told, tracing_to, view


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs("info", stream=stream)
    yield stream
    structlog.reset_defaults()


class _Heard(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


class Gone(SpanExporter):
    """A collector that fails as often as it is told to, and then takes everything."""

    def __init__(self, *results: SpanExportResult) -> None:
        self._results = iter(results)
        self.took = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.took += len(spans)
        return next(self._results, SpanExportResult.SUCCESS)

    def shutdown(self) -> None: ...


async def test_a_dead_collector_is_said_once_and_its_return_once(lines: io.StringIO) -> None:
    from gateway.adapters.telemetry.trace_export import _WatchedExporter

    failure = SpanExportResult.FAILURE
    exporter = _WatchedExporter(Gone(failure, failure))
    span = ReadableSpan("merge")

    results = [exporter.export([span, span]), exporter.export([span]), exporter.export([span]), exporter.export([span])]

    assert [result.name for result in results] == ["FAILURE", "FAILURE", "SUCCESS", "SUCCESS"]
    assert [(e["event"], e["lost_spans"]) for e in _events(lines)] == [("tracing.unavailable", 2), ("tracing.back", 3)]


async def test_a_collector_that_refuses_connections_costs_spans_and_one_line(
    lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    endpoint = f"http://127.0.0.1:{await _closed_port()}/v1/traces"
    tracing = Tracing(TracingPolicy(share=1.0, endpoint=endpoint, export_timeout_s=0.2))

    await view(tracing, Told())
    await tracing.aclose()

    assert [(e["event"], e["lost_spans"]) for e in _events(lines)] == [("tracing.unavailable", 3)]
    assert capfd.readouterr() == ("", "")


async def test_spans_reach_a_collector_over_http() -> None:
    bodies: list[tuple[str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append((request.content_type, await request.read()))
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    tracing = Tracing(TracingPolicy(share=1.0, endpoint=endpoint, service_name="gateway-under-test"))

    trace_id = await view(tracing, Told())
    await tracing.aclose()

    await runner.cleanup()
    assert [kind for kind, _ in bodies] == ["application/x-protobuf"]
    assert all(
        part in bodies[0][1] for part in (bytes.fromhex(trace_id), b"platform.fetch", b"merge", b"gateway-under-test")
    )


async def test_the_end_waits_no_longer_than_it_may_and_leaves_the_loop_free(lines: io.StringIO) -> None:
    class Stuck(SpanExporter):
        """Takes longer than it may, until it is shut down."""

        def __init__(self) -> None:
            self.is_shut = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            until = time.monotonic() + 0.5
            while not self.is_shut and time.monotonic() < until:
                time.sleep(0.002)
            return SpanExportResult.FAILURE

        def shutdown(self) -> None:
            self.is_shut = True

    exporter = Stuck()
    tracing = tracing_to(exporter, flush_s=0.03)
    await view(tracing, Told())
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.002)

    heart = asyncio.create_task(beat())
    began = time.monotonic()
    await tracing.aclose()
    took_s = time.monotonic() - began
    heart.cancel()
    for thread in threading.enumerate():
        if thread.name == "trace-flush":
            thread.join()  # what it still tells is this test's

    assert exporter.is_shut
    assert [(e["event"], e["lost_spans"]) for e in _events(lines)] == [("tracing.unavailable", 3)]
    assert took_s < 0.3  # far above 0.03 for a busy machine, far below what the exporter would take
    assert beats >= 3


async def test_the_sdk_s_own_warnings_are_told_once_each_without_their_values(
    exporter: InMemorySpanExporter, lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    tracing = tracing_to(exporter)
    sdk = logging.getLogger("opentelemetry.sdk.test_tracing")
    to_root: list[str] = []
    root = _Heard(to_root)
    logging.getLogger().addHandler(root)

    for value in (USCC, "another"):
        sdk.warning("dropping %s", value)
    logging.getLogger("opentelemetry.exporter.test_tracing").error("told by who watches it")
    logging.getLogger().removeHandler(root)
    await tracing.aclose()

    assert [(e["event"], e["source"], e["said"]) for e in _events(lines)] == [("tracing.sdk", sdk.name, "dropping %s")]
    assert to_root == []
    assert capfd.readouterr() == ("", "")


def _events(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def _closed_port() -> int:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
