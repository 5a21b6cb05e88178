"""The naive peer with the usual extras, each in the usual way.

tenacity around every call; a structlog line per query through the standard library's logging; Prometheus counters and
histograms by `labels()`; OpenTelemetry's own instrumentation of server and client, all queries sampled, exported to
nowhere in batches; one aiosqlite commit per query before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import aiosqlite
import structlog
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Counter, Histogram
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import Registration
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import QueryScope
from tests.bench.child import run, serve
from tests.bench.peers.naive import asking, merge

QUERIES = Counter("queries", "Queries answered", ["outcome"])
QUERY_SECONDS = Histogram("query_seconds", "Time of a query", ["outcome"])
CALLS = Counter("calls", "Calls to platforms", ["platform", "outcome"])
CALL_SECONDS = Histogram("call_seconds", "Time of a call", ["platform"])
SCHEMA = (
    "CREATE TABLE audit (id TEXT PRIMARY KEY, at TEXT, uscc TEXT, purpose INTEGER, platforms TEXT, latency_ms REAL)"
)


class Nowhere(SpanExporter):
    """Takes spans and drops them: what a collector costs is not the peer's."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drops them."""
        return SpanExportResult.SUCCESS


def configure() -> None:
    """Sets up logging and tracing."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    AioHttpClientInstrumentor().instrument()


async def main(told: asyncio.Event) -> None:
    """Serves until told to end; the first argument is the audit file."""
    path, *addresses = sys.argv[1:]
    configure()
    log = structlog.get_logger("peer")
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiosqlite.connect(path) as trail,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
    ):
        await trail.execute("PRAGMA journal_mode = WAL")
        await trail.execute(SCHEMA)
        ask_once = asking(session)

        @retry(
            stop=stop_after_attempt(3),
            wait=wait_exponential_jitter(initial=0.1, max=2),
            retry=retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
            reraise=True,
        )
        async def ask(address: str, uscc: str) -> dict[str, Any]:
            started = time.perf_counter()
            outcome = "failed"
            try:
                data = await ask_once(address, uscc)
                outcome = "ok"
            finally:
                CALLS.labels(platform=address, outcome=outcome).inc()
                CALL_SECONDS.labels(platform=address).observe(time.perf_counter() - started)
            return data

        async def answer(query: QueryScope) -> Registration:
            started = time.perf_counter()
            merged = merge(await asyncio.gather(*(ask(address, query.uscc) for address in addresses)))
            latency_s = time.perf_counter() - started
            entry = (
                uuid4().hex,
                datetime.now(UTC).isoformat(),
                query.uscc,
                query.purpose,
                ",".join(addresses),
                latency_s,
            )
            await trail.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", entry)
            await trail.commit()
            QUERIES.labels(outcome="ok").inc()
            QUERY_SECONDS.labels(outcome="ok").observe(latency_s)
            log.info("query.ended", answer_id=entry[0], purpose=query.purpose, latency_ms=round(latency_s * 1000, 1))
            return merged

        await serve(
            answer,
            told,
            request=QueryScope.FromString,
            response=Registration.SerializeToString,
            interceptors=[aio_server_interceptor()],  # type: ignore[no-untyped-call]  # the library has no types
        )


if __name__ == "__main__":
    run(main)
