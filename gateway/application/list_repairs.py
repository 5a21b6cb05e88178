"""Joint lists and remembered repairs together: what ended on a list here is remembered, whoever asks which platforms.

An entry that was repaired, withdrawn or removed here hides its copies on other platforms though the hub is not asked, or its
entries do not join views at all. One that a file of the hub brings back is shown again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_REPAIRED, RECORD_STATUS_REVOKED
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway.application.repair_memory import RepairMemory, RepairStores
from gateway.domain.dates import china_date, proto_date
from gateway.domain.joint_lists import SHOWN, EntryState, JointEntry
from gateway.domain.record_key import RecordKeys
from gateway.domain.record_repair import PLATFORM, RecordRepair, RepairState

_PREFIX: Final = "entry-"
_AT_ONCE: Final = 500


class ListRepairs:
    """Remembers what ended on joint lists; `hub` is the platform that speaks for them."""

    def __init__(self, stores: RepairStores, memory: RepairMemory, keys: RecordKeys, hub: str) -> None:
        self._stores = stores
        self._memory = memory
        self._keys = keys
        self._origin = f"{PLATFORM}{hub}"

    async def changed(self, entries: Sequence[JointEntry]) -> None:
        """Takes entries as their changes left them; raises StoreError.

        Taken twice, the second time changes nothing: what was decided of a repair after its entry had changed stays.
        """
        enterprises = [entry for entry in entries if not entry.person_ref]
        for begin in range(0, len(enterprises), _AT_ONCE):
            await self._changed(enterprises[begin : begin + _AT_ONCE])
            await asyncio.sleep(0)  # a list file may bring a hundred thousand, and queries go on meanwhile

    async def _changed(self, entries: Sequence[JointEntry]) -> None:
        ended = [self._repair(entry) for entry in entries if entry.state not in SHOWN]
        again = [repair for repair in ended if self._memory.was_lifted(repair.repair_id)]
        new = [repair for repair in ended if not self._memory.was_lifted(repair.repair_id)]
        back = [entry for entry in entries if entry.state in SHOWN and self._memory.knows(_id(entry), entry.uscc)]
        if not ended and not back:
            return
        store = await self._stores.repairs()
        await store.remember(new)
        asked = [*(repair.repair_id for repair in again), *map(_id, back)]
        kept = {one.repair_id: one for one in await store.of_ids(asked)}
        put: list[RecordRepair] = []
        for repair in again:
            before = kept.get(repair.repair_id)
            if before is None or before.changed_at <= repair.changed_at:
                put.append(replace(repair, version=before.version + 1 if before is not None else 1))
        for entry in back:
            before = kept.get(_id(entry))
            if before is not None and before.is_in_force and before.changed_at <= entry.changed_at:
                put.append(
                    replace(before, state=RepairState.LIFTED, version=before.version + 1, changed_at=entry.changed_at)
                )
        await self._memory.take([*new, *await store.put_all(put)])

    def _repair(self, entry: JointEntry) -> RecordRepair:
        records = view_pb2.Records()
        listed = proto_date(entry.listed_on)
        records.list_entries.add(list_code=entry.list_code, list_year=entry.list_year, listed_on=listed)
        named = self._keys.name(entry.uscc, records)
        is_repair = entry.state is EntryState.REPAIRED
        return RecordRepair(
            repair_id=_id(entry),
            uscc=entry.uscc,
            category=CATEGORY_LIST_ENTRY,
            record_key=named.record_key,
            province=entry.province,
            document_number=entry.document_number,
            status=RECORD_STATUS_REPAIRED if is_repair else RECORD_STATUS_REVOKED,
            repaired_on=entry.ended_on or china_date(entry.changed_at),
            state=RepairState.IN_FORCE,
            changed_at=entry.changed_at,
            changed_by=entry.changed_by,
            proposed_by=entry.proposed_by,
            confirmed_by=entry.confirmed_by,
            origin=self._origin,
        )


def _id(entry: JointEntry) -> str:
    return f"{_PREFIX}{entry.entry_id}"
