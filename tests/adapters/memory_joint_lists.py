"""Joint lists in memory: what the port asks for, as simply as it can be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway.domain.errors import EntryChangedError
from gateway.domain.joint_lists import VISIBLE, JointEntry, Provision


class MemoryJointLists:
    """Keeps every version in a list whose index is the mark."""

    def __init__(self) -> None:
        self.versions: list[JointEntry] = []
        self.provided: dict[tuple[str, str, int], Provision] = {}

    async def put(self, entries: Sequence[JointEntry], *, provisions: Sequence[Provision] = ()) -> int:
        current = self._current()
        ids = {entry.entry_id for entry in entries}
        if len(ids) < len(entries) or any(
            entry.version != (current[entry.entry_id].version if entry.entry_id in current else 0) + 1
            for entry in entries
        ):
            raise EntryChangedError
        for entry in entries:
            mark = len(self.versions) + 1
            seen = mark if entry.event in VISIBLE else entry.seen_mark
            self.versions.append(replace(entry, mark=mark, seen_mark=seen))
        self.provided.update({(one.list_code, one.province, one.list_year): one for one in provisions})
        return len(self.versions)

    async def get(self, entry_id: str) -> JointEntry | None:
        return self._current().get(entry_id)

    async def of_enterprise(self, uscc: str) -> Sequence[JointEntry]:
        return [entry for entry in self._by_mark() if entry.uscc == uscc]

    async def search(
        self, *, list_codes: Collection[str], province: str, list_year: int | None, after: int, limit: int
    ) -> Sequence[JointEntry]:
        found = [
            entry
            for entry in self._by_mark()
            if entry.mark > after
            and (not list_codes or entry.list_code in list_codes)
            and province in ("", entry.province)
            and list_year in (None, entry.list_year)
        ]
        return found[:limit]

    async def changes_since(self, mark: int, *, limit: int) -> Sequence[JointEntry]:
        return self.versions[mark : mark + limit]

    async def seen_since(self, mark: int, *, list_codes: Collection[str], limit: int) -> Sequence[JointEntry]:
        found = [
            entry
            for entry in self._current().values()
            if entry.seen_mark > mark and (not list_codes or entry.list_code in list_codes)
        ]
        return sorted(found, key=lambda entry: entry.seen_mark)[:limit]

    async def newest_mark(self) -> int:
        return len(self.versions)

    async def provisions(self) -> Sequence[Provision]:
        return [self.provided[key] for key in sorted(self.provided)]

    def _current(self) -> dict[str, JointEntry]:
        return {entry.entry_id: entry for entry in self.versions}

    def _by_mark(self) -> list[JointEntry]:
        return sorted(self._current().values(), key=lambda entry: entry.mark)
