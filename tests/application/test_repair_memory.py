"""What one process knows of repairs, in simulated time: heard at once, kept soon, followed, and never lost to an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from structlog.testing import capture_logs

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_REPAIRED
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY, CATEGORY_PENALTY
from gateway.application.repair_memory import Forgets, RepairMemory, RepairStores
from gateway.domain.errors import RepairChangedError, StoreUnavailableError
from gateway.domain.figures import ViewFigures
from gateway.domain.joint_lists import EntryEvent, EntryState
from gateway.domain.keeping import RepairTombstone
from gateway.domain.merge import Merged
from gateway.domain.record_repair import Heard, RecordRepair, RepairState, confirm, lift
from gateway.domain.resolve import StaleCopy
from tests.adapters.memory_joint_lists import MemoryJointLists
from tests.adapters.memory_repairs import MemoryRepairs
from tests.adapters.simulated import LoopClock, MovedClock, simulated
from tests.adapters.stores.test_repair_store import a_repair
from tests.domain.joint_entries import DEMO, NOON, OTHER, TODAY, joint_entry

KEY: Final = b"k" * 16


class Process:
    """One process's memory over a store that others share, with what it has forgotten; the clock moves by hand."""

    def __init__(
        self, repairs: MemoryRepairs | None = None, lists: MemoryJointLists | None = None, clock: Any = None
    ) -> None:
        self.repairs = repairs or MemoryRepairs()
        self.lists = lists or MemoryJointLists()
        self.is_there, self.is_reachable = True, True
        self.forgotten: list[RepairTombstone] = []
        self.views: list[str] = []
        self.clock = clock or MovedClock(NOON)

        async def repaired(stones: Any) -> None:
            self.forgotten += stones

        stores = RepairStores(self._of(self.repairs), self._of(self.lists), lambda: self.is_there)
        self.memory = RepairMemory(stores, Forgets(repaired, self.views.append), self.clock)

    def _of(self, store: Any) -> Any:
        async def given() -> Any:
            if not self.is_reachable:
                raise StoreUnavailableError("gone")
            return store

        return given

    def knows(self, uscc: str = DEMO) -> int:
        return sum(len(each) for each in self.memory.of(uscc).values())


def merged(*stale: str, day: Any = (2026, 8, 20), category: int = CATEGORY_PENALTY) -> Merged:
    record = conduct_pb2.Penalty(document_number="合环罚〔2026〕12号")
    heard = Heard(category, KEY, RECORD_STATUS_REPAIRED, day, "anhui", "11340100008343462N", "34", record)
    copies = tuple([StaleCopy(platform, CATEGORY_PENALTY, KEY) for platform in stale])
    return Merged(b"", ViewFigures("", None, {}), copies, (heard,))


async def test_what_was_heard_is_in_force_at_once_and_kept_once_however_often_it_is_heard() -> None:
    one = Process()
    one.memory.note(DEMO, merged("jiangsu"), NOON)
    one.memory.note(DEMO, merged("jiangsu"), NOON)

    assert (one.knows(), one.views, one.forgotten, one.repairs.kept) == (1, [DEMO], [], {})
    await one.memory.keep()
    one.memory.note(DEMO, merged("jiangsu"), NOON)
    await one.memory.keep()

    assert [(kept.origin, kept.version, kept.document_number) for kept in one.repairs.kept.values()] == [
        ("platform:anhui", 1, "合环罚〔2026〕12号")
    ]
    assert [(copy.platform, copy.mark) for copy in one.repairs.copies.values()] == [("jiangsu", 1)]
    one.clock.at_s += 3_600
    one.memory.note(DEMO, merged("jiangsu"), NOON)
    await one.memory.keep()
    assert [copy.mark for copy in one.repairs.copies.values()] == [2]


async def test_another_process_learns_of_it_and_forgets_what_may_still_show_it() -> None:
    one = Process()
    two = Process(one.repairs, one.lists)
    await two.memory.look()
    proposed = await one.repairs.put(a_repair())
    await two.memory.look()
    before = (two.knows(), list(two.forgotten))
    in_force = await one.repairs.put(confirm(proposed, "second", NOON))
    one.memory.note(OTHER, merged(), NOON)
    await one.memory.keep()
    await one.lists.put([joint_entry(1), joint_entry(2, uscc=OTHER)])
    gone = {"version": 2, "state": EntryState.REPAIRED, "event": EntryEvent.REPAIRED, "ended_on": TODAY}
    await one.lists.put([joint_entry(2, uscc=OTHER, **gone)])
    await two.memory.look()
    await two.memory.look()

    assert before == (0, [])
    assert (two.knows(), two.knows(OTHER), two.views) == (1, 1, [OTHER])
    assert two.forgotten == [RepairTombstone(DEMO, CATEGORY_PENALTY), RepairTombstone(OTHER, CATEGORY_LIST_ENTRY)]
    await one.repairs.put(confirm(await one.repairs.put(lift(in_force, "x", "second", NOON)), "first", NOON))
    await two.memory.look()
    assert (two.knows(), len(two.forgotten)) == (0, 3)


async def test_a_process_that_starts_knows_what_is_in_force_and_of_a_store_that_is_not_there_makes_none() -> None:
    one = Process()
    for number in range(3):
        await one.repairs.put(a_repair(number, state=RepairState.IN_FORCE))
    two, three = Process(one.repairs), Process()
    three.is_there = three.is_reachable = False

    await two.memory.start()
    await three.memory.start()

    assert (two.knows(), three.knows()) == (3, 0)
    await asyncio.gather(two.memory.aclose(), three.memory.aclose())


async def test_what_left_a_list_before_the_first_look_at_a_store_made_by_another_process_is_forgotten_too() -> None:
    here = Process()
    here.is_there = False
    await here.memory.start()
    gone = {"version": 2, "state": EntryState.REPAIRED, "event": EntryEvent.REPAIRED, "ended_on": TODAY}
    for entry in (joint_entry(1, uscc=OTHER), joint_entry(1, uscc=OTHER, **gone)):
        await here.lists.put([entry])

    here.is_there = True
    await here.memory.look()

    assert here.forgotten == [RepairTombstone(OTHER, CATEGORY_LIST_ENTRY)]
    again = Process(here.repairs, here.lists)  # which keeps nothing yet
    await again.memory.start()
    assert again.forgotten == []
    await asyncio.gather(here.memory.aclose(), again.memory.aclose())


async def test_in_an_outage_everything_known_stays_and_what_was_heard_is_kept_when_it_is_over() -> None:
    one = Process()
    one.memory.note(DEMO, merged("jiangsu"), NOON)
    one.is_reachable = False
    for act in (one.memory.keep, one.memory.look):
        try:
            await act()
        except StoreUnavailableError:
            continue
        raise AssertionError("an outage went unseen")
    await one.memory.aclose()
    known = one.knows()
    one.is_reachable = True
    await one.memory.aclose()

    assert (known, len(one.repairs.kept), len(one.repairs.copies)) == (1, 1, 1)


def test_D1_a_store_that_is_read_and_takes_nothing_is_told_once_and_when_it_takes_changes_again() -> None:
    class Full(MemoryRepairs):
        is_full = True

        async def remember(self, repairs: Sequence[RecordRepair]) -> None:
            if self.is_full:
                raise StoreUnavailableError("full")
            await super().remember(repairs)

    async def story() -> tuple[list[str], int]:
        one = Process(full := Full(), clock=LoopClock())
        await one.memory.start()
        one.memory.note(DEMO, merged(), NOON)
        with capture_logs() as logs:
            await asyncio.sleep(30)
            full.is_full = False
            await asyncio.sleep(30)
        await one.memory.aclose()
        return [log["event"] for log in logs], len(full.kept)

    assert simulated(story()) == (["repairs.unreachable", "repairs.reachable"], 1)


def test_repairs_are_followed_after_a_fault_that_nobody_thought_of() -> None:
    class Odd(MemoryRepairs):
        is_odd = False

        async def search(self, uscc: str, *, after: int, limit: int) -> Sequence[RecordRepair]:
            if self.is_odd:
                raise AttributeError("a fault of a driver")
            return await super().search(uscc, after=after, limit=limit)

    async def story() -> tuple[list[str], int]:
        one, other = Process(odd := Odd(), clock=LoopClock()), Process(odd, clock=LoopClock())
        await one.memory.start()
        with capture_logs() as logs:
            odd.is_odd = True
            await asyncio.sleep(30)
            odd.is_odd = False
            other.memory.note(DEMO, merged(), NOON)
            await other.memory.keep()
            await asyncio.sleep(30)
        await one.memory.aclose()
        return [log["event"] for log in logs], one.knows()

    assert simulated(story()) == (["loop.failed", "loop.back"], 1)


async def test_what_was_heard_is_kept_though_the_gateway_ends_while_it_is_being_kept() -> None:
    class Slow(MemoryRepairs):
        is_slow = True

        async def remember(self, repairs: Sequence[RecordRepair]) -> None:
            if self.is_slow:
                self.is_slow = False
                await asyncio.Event().wait()
            await super().remember(repairs)

    one = Process(Slow())
    await one.memory.start()
    one.memory.note(DEMO, merged("jiangsu"), NOON)
    keeping = asyncio.create_task(one.memory.keep())
    await asyncio.sleep(0)

    keeping.cancel()
    await asyncio.wait([keeping])
    await one.memory.aclose()

    assert (len(one.repairs.kept), len(one.repairs.copies)) == (1, 1)


async def test_what_was_lifted_is_not_taken_up_again_from_the_same_event_but_from_a_later_one() -> None:
    one = Process()
    one.memory.note(DEMO, merged(), NOON)
    await one.memory.keep()
    (heard,) = one.repairs.kept.values()
    await one.repairs.put(confirm(await one.repairs.put(lift(heard, "x", "first", NOON)), "second", NOON))
    await one.memory.look()

    one.memory.note(DEMO, merged(), NOON)
    same = one.knows()
    one.memory.note(DEMO, merged(day=(2026, 9, 1)), NOON)

    assert (same, one.knows()) == (0, 1)


def test_repairs_are_followed_on_though_somebody_else_was_faster_with_what_was_heard() -> None:
    async def story() -> tuple[int, int]:
        one, tries = Process(), 0

        async def entry_heard(uscc: str, heard: Heard) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise RepairChangedError

        one.memory.tell(entry_heard)
        await one.memory.start()
        one.memory.note(DEMO, merged(category=CATEGORY_LIST_ENTRY), NOON)
        one.clock.at_s += 60
        await asyncio.sleep(1.5)
        await one.repairs.put(confirm(await one.repairs.put(a_repair(uscc=OTHER)), "second", NOON))
        one.clock.at_s += 60
        await asyncio.sleep(1.5)
        await one.memory.aclose()
        return tries, one.knows(OTHER)

    assert simulated(story()) == (2, 1)
