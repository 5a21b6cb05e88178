"""Calls in their traces: platforms that tell in which they were asked, and the spans that were sent as a tree of plain values."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, Outcome
from gateway.adapters.telemetry.trace_context import current_trace_id, outgoing_headers
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
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


class Tree:
    """The spans that were sent, by name, as plain values."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._spans = {span.name: span for span in exporter.get_finished_spans()}
        self._names = {span_id(span): span.name for span in self._spans.values()}

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
        return span_id(self._spans[name])

    def text(self) -> str:
        return "".join(span.to_json() for span in self._spans.values())


def span_id(span: ReadableSpan) -> str:
    """Gives a span's id as it stands in a traceparent."""
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def tracing_to(exporter: SpanExporter, *, random: float = 0.0, **policy: Any) -> Tracing:
    """Gives a tracing that sends to `exporter` and throws `random` for its dice."""
    return Tracing(TracingPolicy(**policy), exporter=exporter, random=lambda: random)


async def view(tracing: Tracing, connector: Any, metadata: Sequence[tuple[str, str]] = ()) -> str:
    """Asks one platform and merges, within a call; gives the call's trace id."""
    with tracing.begin(CALL, metadata) as call:
        await asyncio.ensure_future(tracing.around(connector).fetch(QUERY, PERMIT, 1.0))
        with tracing.span("merge", records=3):
            pass
    return call.trace_id
