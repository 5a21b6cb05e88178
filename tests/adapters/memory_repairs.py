"""Repairs of records in memory: what the port asks for, as simply as it can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.domain.errors import RepairChangedError
from gateway.domain.record_repair import RecordRepair, SeenStale


class MemoryRepairs:
    """Keeps repairs and copies in dicts."""

    def __init__(self) -> None:
        self.kept: dict[str, RecordRepair] = {}
        self.copies: dict[tuple[str, bytes], SeenStale] = {}
        self.mark = self.copy_mark = 0

    async def put(self, repair: RecordRepair) -> RecordRepair:
        kept = self.kept.get(repair.repair_id)
        if repair.version != (kept.version if kept else 0) + 1:
            raise RepairChangedError
        self.mark += 1
        self.kept[repair.repair_id] = replace(repair, mark=self.mark)
        return self.kept[repair.repair_id]

    async def put_all(self, repairs: Sequence[RecordRepair]) -> Sequence[RecordRepair]:
        before, mark = dict(self.kept), self.mark
        try:
            return [await self.put(repair) for repair in repairs]
        except RepairChangedError:
            self.kept, self.mark = before, mark
            raise

    async def remember(self, repairs: Sequence[RecordRepair]) -> None:
        for repair in repairs:
            if repair.repair_id not in self.kept:
                await self.put(repair)

    async def get(self, repair_id: str) -> RecordRepair | None:
        return self.kept.get(repair_id)

    async def of_ids(self, repair_ids: Sequence[str]) -> Sequence[RecordRepair]:
        return [self.kept[one] for one in repair_ids if one in self.kept]

    async def search(self, uscc: str, *, after: int, limit: int) -> Sequence[RecordRepair]:
        found = [one for one in self.kept.values() if one.mark > after and uscc in ("", one.uscc)]
        return sorted(found, key=lambda one: one.mark)[:limit]

    async def newest_mark(self) -> int:
        return self.mark

    async def saw(self, copies: Sequence[SeenStale]) -> None:
        for copy in copies:
            self.copy_mark += 1
            key = (copy.platform, copy.record_key)
            first = self.copies[key].first_seen if key in self.copies else copy.first_seen
            self.copies[key] = copy._replace(first_seen=first, mark=self.copy_mark)

    async def stale_copies(self, platform: str, uscc: str, *, after: int, limit: int) -> Sequence[SeenStale]:
        found = [
            one
            for one in self.copies.values()
            if one.mark > after and platform in ("", one.platform) and uscc in ("", one.uscc)
        ]
        return sorted(found, key=lambda one: one.mark)[:limit]
