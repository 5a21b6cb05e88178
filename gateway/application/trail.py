"""A bank reads its own trail: who asked is written first, then the entries are given piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from gateway.domain.audit_entries import exported_entry
from gateway.domain.caller import Caller
from gateway.domain.trail_query import FoundRecord, TrailPosition, TrailQuery
from gateway.ports import Clock
from gateway.store_ports import AuditLog, TrailReader


class TrailExport:
    """Exports entries; built once by the composition root."""

    def __init__(self, reader: TrailReader, audit: AuditLog, clock: Clock) -> None:
        self._reader = reader
        self._audit = audit
        self._clock = clock

    async def entries(
        self, caller: Caller, asked: TrailQuery, after: TrailPosition | None
    ) -> AsyncGenerator[Sequence[FoundRecord], None]:
        """Yields the caller's bank's entries that are asked for, in order; raises StoreError, CorruptRecordError.

        The query's bank is the caller's: that is not for the request to say.
        """
        if asked.bank != caller.bank or not asked.bank:
            raise ValueError("a bank reads its own trail")
        await self._audit.append(exported_entry(caller, "AuditService/ExportEntries", asked, self._clock.now()))
        async for found in self._reader.read(asked, after):
            yield found
