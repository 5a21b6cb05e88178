"""Steps of the story as spans: the merge and the wait for the trail, wrapped from outside so that the story knows nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import date
from typing import Any

from gateway.adapters.telemetry.trace_context import PLACE
from gateway.adapters.telemetry.tracing import Tracing
from gateway.domain.audit import AuditEntry
from gateway.domain.consent import Permit
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.domain.masking import Masker
from gateway.domain.merge import NONE_REPAIRED, Merged, Merger
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import Remembered
from gateway.domain.statement import Reading
from gateway.store_ports import AuditLog


class TracedMerger(Merger):
    """A merger whose merges are steps of the trace under way."""

    def __init__(self, tracing: Tracing, *made_of: Any) -> None:
        super().__init__(*made_of)
        self._tracing = tracing

    def merge(
        self,
        readings: Sequence[Reading],
        query: CreditQuery,
        permit: Permit,
        as_of: date,
        masker: Masker | None = None,
        repaired: Mapping[bytes, Sequence[Remembered]] = NONE_REPAIRED,
    ) -> Merged:
        """Gives the view, and records how many answers it was made of."""
        place = PLACE.get()
        if place is None or place.span is None:
            return super().merge(readings, query, permit, as_of, masker, repaired)
        with self._tracing.span("merge", answers=len(readings)):
            return super().merge(readings, query, permit, as_of, masker, repaired)


class TracedAudit:
    """A trail whose entries are steps of the trace under way; a call that is not recorded waits for the trail itself."""

    def __init__(self, inner: AuditLog, tracing: Tracing) -> None:
        self._inner = inner
        self._tracing = tracing

    def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Awaitable[Receipt | None]:
        """Gives what is done once the entry is durable; raises StoreError when it cannot be made so."""
        place = PLACE.get()
        if place is None or place.span is None:
            return self._inner.append(entry, copy, taken_back=taken_back)
        return self._recorded(entry, copy, taken_back)

    async def _recorded(self, entry: AuditEntry, copy: ViewCopy | None, taken_back: Receipt | None) -> Receipt | None:
        with self._tracing.span("audit", event=entry.event):
            return await self._inner.append(entry, copy, taken_back=taken_back)
