"""Traces: decided before the SDK is asked, one tree per call, told to a platform only where allowed, ended in time."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Final

import aiohttp
import grpc
import pytest
import structlog
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from connectors.kit.http import HttpCaller
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_UNREACHABLE,
    PURPOSE_PRE_LOAN,
    Outcome,
)
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.telemetry.logs import configure_logs
from gateway.adapters.telemetry.trace_context import (
    Parent,
    add_trace_id,
    current_trace_id,
    outgoing_headers,
    parent_of,
    read_traceparent,
)
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.errors import PlatformError
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery

USCC: Final = "91310115MA0TERT167"
QUERY = CreditQuery(Uscc.parse(USCC), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"
SAMPLED: Final = (("user-agent", "bank/1"), ("traceparent", f"00-{TRACE}-{SPAN}-01"))
UNSAMPLED: Final = (("traceparent", f"00-{TRACE}-{SPAN}-00"),)
CALL: Final = "CreditService/GetCreditView"


class Told:
    """Answers what it is told to, and remembers the trace it was asked in."""

    def __init__(self, outcome: Outcome.ValueType = OUTCOME_OK, reason: str = "", *, id: str = "a") -> None:
        self.platform = Platform(id, "平台", "platform", Tier.PROVINCE)
        self._outcome = outcome
        self._reason = reason
        self.asked_in: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked_in.append(current_trace_id())
        self.headers.append(dict(outgoing_headers()))
        return failed_answer(self.platform.id, self._outcome, self._reason, (5,), attempts=2)


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


class Tree:
    """The spans that were sent, by name, as plain values."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._spans = {span.name: span for span in exporter.get_finished_spans()}
        self._names = {_span_id(span): span.name for span in self._spans.values()}

    def parents(self) -> dict[str, str | None]:
        """Gives each span's parent by name, by id where it is not ours."""
        return {name: self._parent(span) for name, span in self._spans.items()}

    def _parent(self, span: ReadableSpan) -> str | None:
        if span.parent is None:
            return None
        id = f"{span.parent.span_id:016x}"
        return self._names.get(id, id)

    def trace_ids(self) -> set[str]:
        return {f"{span.context.trace_id:032x}" for span in self._spans.values() if span.context is not None}

    def said(self, name: str) -> tuple[dict[str, Any], StatusCode]:
        span = self._spans[name]
        return dict(span.attributes or {}), span.status.status_code

    def kind(self, name: str) -> SpanKind:
        return self._spans[name].kind

    def id(self, name: str) -> str:
        return _span_id(self._spans[name])

    def text(self) -> str:
        return "".join(span.to_json() for span in self._spans.values())


def _span_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


class Dice:
    """Gives one number for ever and counts how often it was asked."""

    def __init__(self, number: float) -> None:
        self._number = number
        self.thrown = 0

    def __call__(self) -> float:
        self.thrown += 1
        return self._number


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs("info", stream=stream)
    yield stream
    structlog.reset_defaults()


def tracing_to(exporter: SpanExporter, *, random: float = 0.0, **policy: Any) -> Tracing:
    return Tracing(TracingPolicy(**policy), exporter=exporter, random=lambda: random)


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


async def view(tracing: Tracing, connector: Any, metadata: Sequence[tuple[str, str]] = ()) -> str:
    with tracing.begin(CALL, metadata) as call:
        await asyncio.ensure_future(tracing.around(connector).fetch(QUERY, PERMIT, 1.0))
        with tracing.span("merge", records=3):
            pass
    return call.trace_id


# --- what comes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        (f"00-{TRACE}-{SPAN}-01", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", Parent(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-02", Parent(TRACE, SPAN, False)),
        (f"01-{TRACE}-{SPAN}-01", Parent(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"01-{TRACE}-{SPAN}-01more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        (f"00_{TRACE}_{SPAN}_01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_by_the_letter_of_its_standard_or_not_at_all(stated: str, read: Parent | None) -> None:
    assert read_traceparent(stated) == read


def test_two_traceparents_are_none() -> None:
    assert parent_of((*SAMPLED, *UNSAMPLED)) is None
    assert parent_of(None) is None
    assert parent_of((("traceparent", b"bytes"),)) is None
    assert parent_of(SAMPLED) == Parent(TRACE, SPAN, True)


async def test_a_sampled_caller_is_gone_on_with_and_no_dice_are_thrown(exporter: InMemorySpanExporter) -> None:
    dice = Dice(0.999)
    tracing = Tracing(TracingPolicy(share=0.01), exporter=exporter, random=dice)

    trace_id = await view(tracing, Told(), SAMPLED)
    await tracing.aclose()

    tree = Tree(exporter)
    assert (trace_id, dice.thrown) == (TRACE, 0)
    assert tree.trace_ids() == {TRACE}
    assert tree.parents() == {CALL: SPAN, "platform.fetch": CALL, "merge": CALL}
    assert tree.kind(CALL) == SpanKind.SERVER


async def test_an_unsampled_caller_s_trace_id_is_kept_and_nothing_is_recorded(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, share=1.0)
    connector = Told()

    trace_id = await view(tracing, connector, UNSAMPLED)
    await tracing.aclose()

    assert (trace_id, connector.asked_in) == (TRACE, [TRACE])
    assert exporter.get_finished_spans() == ()


async def test_a_broken_traceparent_begins_a_new_trace(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter)

    trace_id = await view(tracing, Told(), [("traceparent", f"00-{TRACE}-{SPAN}-01-more")])
    await tracing.aclose()

    assert trace_id != TRACE
    assert Tree(exporter).parents()[CALL] is None


# --- the decision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("random", "share", "is_recorded"),
    [(0.0, 0.01, True), (0.0099, 0.01, True), (0.01, 0.01, False), (0.0, 0.0, False), (0.999999, 1.0, True)],
)
async def test_without_a_caller_s_trace_one_number_against_the_share_decides(
    exporter: InMemorySpanExporter, random: float, share: float, is_recorded: bool
) -> None:
    dice = Dice(random)
    tracing = Tracing(TracingPolicy(share=share), exporter=exporter, random=dice)

    trace_id = await view(tracing, Told())
    await tracing.aclose()

    assert (bool(exporter.get_finished_spans()), dice.thrown) == (is_recorded, 1)
    assert len(trace_id) == 32
    assert int(trace_id, 16) > 0


async def test_calls_that_are_not_recorded_have_trace_ids_of_their_own(exporter: InMemorySpanExporter) -> None:
    tracing = tracing_to(exporter, random=0.5)

    trace_ids = {await view(tracing, Told()) for _ in range(100)}
    await tracing.aclose()

    assert len(trace_ids) == 100


async def test_without_a_collector_calls_have_their_trace_ids_and_nothing_is_recorded() -> None:
    tracing = Tracing(TracingPolicy(endpoint=None, share=1.0))
    connector = Told()

    trace_id = await view(tracing, connector, SAMPLED)
    await tracing.aclose()

    assert tracing.around(connector) is connector
    assert tracing.trace_configs() == []
    assert not tracing.is_recording
    assert tracing.span("merge") is tracing.span("audit")
    assert (trace_id, connector.asked_in) == (TRACE, [TRACE])


async def test_the_sdk_s_own_switch_turns_it_off(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing = tracing_to(exporter)

    trace_id = await view(tracing, Told(), SAMPLED)
    await tracing.aclose()

    assert (trace_id, exporter.get_finished_spans()) == (TRACE, ())


@pytest.mark.parametrize("policy", [{"share": -0.1}, {"share": 1.1}, {"endpoint": "collector:4318"}])
def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share|endpoint"):
        TracingPolicy(**policy)


# --- what is recorded -------------------------------------------------------------------------------------------------


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


# --- what goes out ----------------------------------------------------------------------------------------------------


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
    assert seen == [{"traceparent": f"00-{call.trace_id}-{_span_id(request)}-01"}]
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


# --- the way out ------------------------------------------------------------------------------------------------------


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
