"""Spans on their way out: the SDK's batches, sent by its own thread, never in the way of a query or of the end.

A collector that is gone costs spans and nothing else. It is said once when it goes and once when it is back; the SDK's
own log, which would fill standard error with a line per attempt, is taken off the root logger.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

_MOST_WAITING: Final = 4_096
_BATCH: Final = 512
_BATCH_EVERY_MS: Final = 5_000
_SDK: Final = "opentelemetry"
_MOST_TOLD: Final = 100


class TraceExport:
    """The SDK, set up to record whatever it is asked to: whether to ask it is decided before, in `Tracing`."""

    def __init__(self, exporter: SpanExporter, service_name: str) -> None:
        _calm_sdk_log()
        self._exporter = _WatchedExporter(exporter)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service_name}),
            shutdown_on_exit=False,  # closed by who made it, in bounded time; the SDK's own exit hook may take 30 s
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_MOST_WAITING,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_BATCH_EVERY_MS,
            )
        )

    @property
    def tracer(self) -> Tracer:
        """What makes spans."""
        return self._provider.get_tracer("gateway")

    async def aclose(self, flush_s: float) -> None:
        """Sends what waits, for at most `flush_s` seconds and off the loop; what is not sent by then is lost."""
        ended: Future[None] = Future()
        ended.set_running_or_notify_cancel()  # from here on it cannot be cancelled under the thread's feet

        def end() -> None:
            try:
                self._provider.shutdown()
            finally:
                ended.set_result(None)

        # A daemon of our own, not the loop's executor: the loop waits for that one's threads before it lets the process go.
        threading.Thread(target=end, name="trace-flush", daemon=True).start()
        try:
            async with asyncio.timeout(flush_s):
                await asyncio.wrap_future(ended)
        except TimeoutError:
            self._exporter.shutdown()  # ends its waits between attempts


def otlp_exporter(endpoint: str, timeout_s: float) -> SpanExporter:
    """Gives the exporter to a collector over OTLP/HTTP; `endpoint` is the whole address, as a rule ending in /v1/traces.

    Credentials for it come from the environment, by the SDK's own OTEL_EXPORTER_OTLP_HEADERS.
    """
    return OTLPSpanExporter(endpoint=endpoint, timeout=timeout_s)


class _WatchedExporter(SpanExporter):
    """Says once that spans cannot be sent, and once that they can again; called by the batch thread alone."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._lost = 0
        self._log = structlog.get_logger("gateway")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            if result is SpanExportResult.FAILURE:
                if not self._lost:
                    self._log.warning("tracing.unavailable", lost_spans=len(spans))
                self._lost += len(spans)
            elif self._lost:
                self._log.warning("tracing.back", lost_spans=self._lost)
                self._lost = 0
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _SdkLog(logging.Handler):
    """Hands on each kind of warning of the SDK once; by its template, without the values that were to be filled in."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[tuple[str, str]] = set()
        self._log = structlog.get_logger("gateway")

    def emit(self, record: logging.LogRecord) -> None:
        key = (record.name, str(record.msg))
        if record.name.startswith(f"{_SDK}.exporter") or key in self._told or len(self._told) >= _MOST_TOLD:
            return  # the exporter's failures are told by who watches it
        self._told.add(key)
        self._log.warning("tracing.sdk", source=record.name, said=str(record.msg))


def _calm_sdk_log() -> None:
    sdk = logging.getLogger(_SDK)
    sdk.propagate = False
    if not any(isinstance(handler, _SdkLog) for handler in sdk.handlers):
        sdk.addHandler(_SdkLog())
