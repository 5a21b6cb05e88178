"""A list file and the memory of what ended: many entries in few transactions, and a killed process leaves nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from gateway.application.deciding import By
from gateway.application.joint_lists import JointLists, Loaded, Stores
from gateway.application.list_repairs import ListRepairs
from gateway.application.repair_memory import RepairStores
from gateway.domain.caller import Caller
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.errors import StoreUnavailableError
from gateway.domain.joint_lists import EntryEvent, EntryState, JointEntry
from gateway.domain.record_key import RecordKeys
from gateway.domain.record_repair import RecordRepair, RepairState
from gateway.domain.statement import AuthorityIds, sm3
from tests.adapters.memory_repairs import MemoryRepairs
from tests.application.test_repair_memory import Process
from tests.domain.joint_entries import DEMO, OTHER, joint_entry
from tests.domain.test_joint_list_tables import shipped
from tests.domain.test_list_files import LINE, content

ONE: Final = content(LINE)
BOTH: Final = content(LINE, {**LINE, "uscc": OTHER})
MANY: Final = 1_200
IN_FORCE, LIFTED = RepairState.IN_FORCE, RepairState.LIFTED


class Counted(MemoryRepairs):
    """Counts its transactions, and takes nothing more once the process is to have been killed."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0
        self.is_killed = self._is_within = False

    async def put(self, repair: RecordRepair) -> RecordRepair:
        with self._transaction():
            return await super().put(repair)

    async def put_all(self, repairs: Sequence[RecordRepair]) -> Sequence[RecordRepair]:
        with self._transaction():
            return await super().put_all(repairs)

    async def remember(self, repairs: Sequence[RecordRepair]) -> None:
        with self._transaction():
            await super().remember(repairs)

    def states(self) -> set[RepairState]:
        return {one.state for one in self.kept.values()}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.is_killed:
            raise StoreUnavailableError("killed")
        is_first, self._is_within = not self._is_within, True
        self.transactions += is_first
        try:
            yield
        finally:
            self._is_within = not is_first


class House:
    """One process after another over the same stores."""

    def __init__(self) -> None:
        self.repairs = Counted()
        self.process = Process(self.repairs)
        self._begin()

    def _begin(self) -> None:
        stores = RepairStores(self._repairs, self._lists, lambda: True)
        keys = RecordKeys(CATALOGUE, AuthorityIds({}))
        self.ended = ListRepairs(stores, self.process.memory, keys, "hub")
        both = Stores(lists=self._lists, consents=None)  # type: ignore[arg-type]  # nothing here asks for a consent
        audit: Any = self  # takes entries, and no test reads them
        self.lists = JointLists(both, shipped(), audit, self.process.clock, str, self.ended.changed)

    async def restart(self) -> None:
        self.repairs.is_killed = False
        self.process = Process(self.repairs, self.process.lists, self.process.clock)
        self._begin()
        await self.process.memory.look()

    async def load(self, raw: bytes) -> Loaded:
        self.process.clock.at_s += 1
        return await self.lists.load(raw, sm3(raw), By(Caller("", frozenset()), "wang"))

    async def append(self, entry: object) -> None:
        """Is the trail."""

    async def _lists(self) -> Any:
        return self.process.lists

    async def _repairs(self) -> Any:
        return self.repairs


def entries(state: EntryState, event: EntryEvent) -> list[JointEntry]:
    return [joint_entry(number, state=state, event=event) for number in range(MANY)]


async def test_many_entries_that_end_come_back_and_end_again_take_few_transactions() -> None:
    house = House()
    removed = entries(EntryState.REMOVED, EntryEvent.REMOVED)
    shown = entries(EntryState.PUBLISHED, EntryEvent.PUBLISHED)
    states = []

    for changed in (removed, shown, removed):
        await house.ended.changed(changed)
        states.append((house.repairs.states(), len(house.repairs.kept)))

    assert states == [({IN_FORCE}, MANY), ({LIFTED}, MANY), ({IN_FORCE}, MANY)]
    assert house.repairs.transactions < 30
    assert house.process.knows(DEMO) == MANY


async def test_a_file_loaded_again_shows_what_a_killed_process_had_listed_anew_and_left_hidden() -> None:
    house = House()
    await house.load(BOTH)
    await house.load(ONE.replace(b'"FULL"', b'"INCREMENT"').replace(b'"province"', b'"removed": true, "province"'))
    house.repairs.is_killed = True
    with pytest.raises(StoreUnavailableError):
        await house.load(BOTH)
    await house.restart()
    before = (house.process.knows(DEMO), house.process.knows(OTHER))

    again = await house.load(BOTH)

    assert before == (1, 0)
    assert again.plan.is_repeated
    assert house.process.knows(DEMO) == 0
    assert house.repairs.states() == {LIFTED}


async def test_a_file_loaded_again_changes_nothing_of_what_was_decided_since() -> None:
    house = House()
    increment = ONE.replace(b'"FULL"', b'"INCREMENT"').replace(b'"province"', b'"removed": true, "province"')
    await house.load(BOTH)
    await house.load(increment)
    house.process.clock.at_s += 1
    kept = await house.repairs.get(next(iter(house.repairs.kept)))
    assert kept is not None
    lifted = replace(kept, state=LIFTED, version=2, changed_at=house.process.clock.now())
    await house.process.memory.take([await house.repairs.put(lifted)])

    again = await house.load(increment)

    assert again.plan.is_repeated
    assert house.repairs.states() == {LIFTED}
