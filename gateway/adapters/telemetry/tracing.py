"""Traces (OpenTelemetry) through gRPC and aiohttp, by a head sampler of our own: first decide, then call the SDK.

    begin           a server span, or a trace id alone          CreditService/GetCreditView
    ├ span          merge, audit
    └ Traced        one per platform                            platform.fetch
      └ aiohttp     one per HTTP request, retries and hedges    POST

The SDK's own ratio sampler costs half as much for a call it drops as for one it keeps. Here a call that is not recorded
costs one random number and a trace id, which logs and error details carry all the same, without a collector too. A span
holds ids and codes, never a value or the code of the enterprise. What a shared flight does stands in the trace of whoever
began it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracer,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    format_trace_id,
    set_span_in_context,
)

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.adapters.telemetry.trace_context import PLACE, Metadata, Parent, Place, new_trace_id, parent_of
from gateway.adapters.telemetry.trace_http import request_traces
from gateway.adapters.telemetry.trace_span import (
    NO_SPAN,
    ROOT,
    CallSpan,
    CallTrace,
    RecordedSpan,
    child_span,
)
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import Connector

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from gateway.adapters.telemetry.trace_export import TraceExport


@dataclass(frozen=True, slots=True)
class TracingPolicy:
    """What is recorded and where it goes; without an `endpoint` nothing is recorded, and calls have trace ids alone.

    `share` is the part of calls recorded of those that bring no trace of their own; the others are recorded as their
    callers decided. `endpoint` is the whole address of a collector that speaks OTLP over HTTP, as a rule ending in
    /v1/traces. `told_platforms` are sent our `traceparent`: none by default, since a platform is another organisation.
    An export may take `export_timeout_s`, and the last one at the end `flush_s`. Raises ValueError for a share or an
    address that is none.
    """

    share: float = 0.01
    endpoint: str | None = None
    service_name: str = "xinyidai-gateway"
    told_platforms: frozenset[str] = frozenset()
    export_timeout_s: float = 5.0
    flush_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError("share must be at least 0 and at most 1")
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint must begin with http:// or https://")


class Tracing:
    """Begins traces and steps in them; without an endpoint or exporter it gives trace ids and does nothing else."""

    def __init__(
        self,
        policy: TracingPolicy,
        *,
        exporter: SpanExporter | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Takes an exporter in place of the one to the policy's endpoint; `random` gives numbers in [0, 1)."""
        self._policy = policy
        self._share = policy.share
        self._random = random
        self._export: TraceExport | None = None
        self._tracer: Tracer | None = None
        if policy.endpoint is None and exporter is None:
            return
        # Imported here: the SDK and its HTTP client take a tenth of a second, which every command would pay.
        from gateway.adapters.telemetry.trace_export import TraceExport, otlp_exporter

        if exporter is None:
            assert policy.endpoint is not None
            exporter = otlp_exporter(policy.endpoint, policy.export_timeout_s)
        self._export = TraceExport(exporter, policy.service_name)
        tracer = self._export.tracer
        if not isinstance(tracer, NoOpTracer):  # what the SDK gives under its own switch, OTEL_SDK_DISABLED
            self._tracer = tracer

    def begin(self, name: str, metadata: Metadata | None) -> CallTrace:
        """Begins the trace of an incoming call, or goes on with the one in its metadata; to be used as `with` block."""
        tracer = self._tracer
        parent = parent_of(metadata)
        if tracer is None or not (self._random() < self._share if parent is None else parent.is_sampled):
            trace_id = new_trace_id() if parent is None else parent.trace_id
            PLACE.set(Place(trace_id, None))
            return CallTrace(trace_id, NO_SPAN)
        context = ROOT if parent is None else _remote(parent)
        span = tracer.start_span(name, context, SpanKind.SERVER)
        trace_id = format_trace_id(span.get_span_context().trace_id)
        return CallTrace(trace_id, RecordedSpan(span, Place(trace_id, span), None))

    def span(self, name: str, **attributes: str | int) -> CallSpan:
        """Begins a step of the call under way, to be used as `with` block; attributes are ids and codes."""
        place = PLACE.get()
        tracer = self._tracer
        if place is None or place.span is None or tracer is None:
            return NO_SPAN
        span = child_span(tracer, place.span, name, attributes)
        return RecordedSpan(span, Place(place.trace_id, span, place.is_told), place)

    @property
    def is_recording(self) -> bool:
        """Whether anything can be recorded."""
        return self._tracer is not None

    def around(self, connector: Connector) -> Connector:
        """Gives the connector with its step in each trace; the connector itself where nothing is recorded."""
        if self._tracer is None:
            return connector
        return Traced(connector, self, is_told=connector.platform.id in self._policy.told_platforms)

    def trace_configs(self) -> list[aiohttp.TraceConfig]:
        """Gives what an aiohttp session needs to record requests and tell the platforms that may be told."""
        return [] if self._tracer is None else request_traces(self._tracer)

    async def aclose(self) -> None:
        """Sends what is recorded and not yet sent; takes `flush_s` at most and does not hold up the loop."""
        if self._export is not None:
            await self._export.aclose(self._policy.flush_s)


class Traced:
    """A connector whose fetches are steps of the trace under way."""

    def __init__(self, inner: Connector, tracing: Tracing, *, is_told: bool) -> None:
        self._inner = inner
        self._tracing = tracing
        self._is_told = is_told
        self.platform: Platform = inner.platform
        """The facts about the platform."""

    def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Awaitable[Answer]:
        """Gives the inner connector's answer, and records how it came out.

        Whether to record it is seen before anything is awaited, so that a call that is not recorded has no layer more.
        """
        place = PLACE.get()
        if place is None or (place.span is None and not self._is_told):
            return self._inner.fetch(query, permit, fetch_by)
        return self._recorded(place, query, permit, fetch_by)

    async def _recorded(self, place: Place, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        PLACE.set(Place(place.trace_id, place.span, self._is_told))
        try:
            with self._tracing.span("platform.fetch", platform=self.platform.id) as span:
                answer = await self._inner.fetch(query, permit, fetch_by)
                said = answer.said
                span.note(outcome=Outcome.Name(said.outcome).removeprefix("OUTCOME_"), attempts=answer.attempts)
                if said.reason:
                    span.note(reason=said.reason)
                if not answer.is_heard:
                    span.failed()
                return answer
        finally:
            PLACE.set(place)


def _remote(parent: Parent) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED)
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), ROOT)
