"""What tracing costs a view: the steps of one query, five HTTP requests' look at their trace configs included.

    python -m tests.bench.tracing_cost [ROUNDS]

The same steps run bare, with trace ids alone (no collector), with one in a hundred recorded, and with all recorded; spans go
to an exporter that drops them. Short rounds take turns, and the least of each is shown: it is the one the machine disturbed
least. Every hundredth view is recorded exactly, so that no round is cheap by luck.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN
from gateway.adapters.telemetry.trace_context import current_trace_id
from gateway.adapters.telemetry.trace_steps import TracedAudit
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.audit import AuditEntry
from gateway.domain.audit_entries import audit_entry
from gateway.domain.consent import Permit, development_permit
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.ports import Connector
from gateway.store_ports import AuditLog

QUERY: Final = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a", "b", "c", "d"))
PERMIT: Final = development_permit(QUERY)
METADATA: Final = (("user-agent", "bank/1"), ("xinyidai-bank", "bank-a"))
ENTRY: Final = audit_entry("answered", QUERY, None, (), answer_id="a-1", at=datetime(2026, 11, 25, tzinfo=UTC))
VIEWS: Final = 500
NO_CONFIGS: Final[list[object]] = []


class Instant:
    """A platform that answers at once."""

    def __init__(self, id: str) -> None:
        self.platform = Platform(id, "平台", "platform", Tier.PROVINCE)
        self._answer = failed_answer(id, OUTCOME_OK, "", (5,), attempts=1)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the same answer each time."""
        return self._answer


class Trail:
    """A trail that forgets."""

    async def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        """Does nothing."""


TRAIL: Final = Trail()


class Dropped(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Says they were sent."""
        return SpanExportResult.SUCCESS


async def bare(connectors: Sequence[Connector]) -> None:
    """One query's steps without any tracing."""
    await asyncio.gather(*(asyncio.ensure_future(each.fetch(QUERY, PERMIT, 1.0)) for each in connectors))
    for _ in range(5):
        list(NO_CONFIGS)
    await TRAIL.append(ENTRY)


def traced(tracing: Tracing) -> Callable[[Sequence[Connector]], Awaitable[None]]:
    """Gives the same steps as the gateway traces them."""
    configs = tracing.trace_configs()
    trail: AuditLog = TracedAudit(Trail(), tracing) if tracing.is_recording else Trail()

    async def view(connectors: Sequence[Connector]) -> None:
        with tracing.begin("CreditService/GetCreditView", METADATA) as trace:
            await asyncio.gather(*(asyncio.ensure_future(each.fetch(QUERY, PERMIT, 1.0)) for each in connectors))
            for _ in range(5):
                list(configs)  # what aiohttp does for each request
            with tracing.span("merge", answers=4):
                pass
            await trail.append(ENTRY)
            current_trace_id()  # for the log line
            trace.span.note(answer_id="a-1")

    return view


async def main(rounds: int) -> None:
    """Prints a line for each way."""
    instants = [Instant(id) for id in QUERY.platforms]
    ways: dict[str, tuple[Callable[[Sequence[Connector]], Awaitable[None]], list[Connector]]] = {
        "bare": (bare, list(instants))
    }
    tracings = {
        "ids alone": Tracing(TracingPolicy()),
        "1 % recorded": Tracing(
            TracingPolicy(share=0.01), exporter=Dropped(), random=cycle((0.0, *[0.5] * 99)).__next__
        ),
        "all recorded": Tracing(TracingPolicy(share=1.0), exporter=Dropped()),
    }
    for name, tracing in tracings.items():
        ways[name] = (traced(tracing), [tracing.around(each) for each in instants])
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, (view, connectors) in ways.items():
            began = time.process_time()
            for _ in range(VIEWS):
                await view(connectors)
            least[name] = min(least[name], (time.process_time() - began) / VIEWS * 1e6)
    for name, us in least.items():
        print(f"{name:14} {us:7.1f} µs a view, {us - least['bare']:+7.1f} over bare")
    for tracing in tracings.values():
        await tracing.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
