"""Watches of joint lists by a bank that was away for a day: nothing is missed, nothing comes twice, whichever process it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

import pytest

from gateway.application.list_watch import ListWatch, Seen
from gateway.domain.errors import AdmissionError, InvalidRequestError
from gateway.domain.joint_lists import EntryEvent, EntryState, JointEntry
from gateway.domain.resume_token import ResumeTokens
from tests.adapters.memory_joint_lists import MemoryJointLists
from tests.adapters.simulated import MovedClock
from tests.domain.joint_entries import NOON, TODAY, joint_entry

KEY: Final = b"a key of this deployment"
MANY: Final = 2_300  # more than is read at once, twice over


class House:
    """Two processes over one store, whose clock moves by hand."""

    def __init__(self) -> None:
        self.store = MemoryJointLists()
        self.clock = MovedClock(NOON)
        self.one, self.two = self._process(), self._process()

    def _process(self) -> ListWatch:
        async def store() -> MemoryJointLists:
            return self.store

        return ListWatch(store, self.clock, ResumeTokens(KEY))

    async def changed(self, *entries: JointEntry) -> None:
        await self.store.put(entries)


async def told(watch: ListWatch, token: str = "", bank: str = "bank-a", codes: tuple[str, ...] = ()) -> list[Seen]:
    return [one async for some in watch.watch(bank, codes, token, ends_when_told=True) for one in some]


def ended(number: int, event: EntryEvent = EntryEvent.REPAIRED, **more: Any) -> JointEntry:
    state = EntryState(event.value)
    return joint_entry(number, version=2, state=state, event=event, ended_on=TODAY, **more)


async def test_who_was_away_for_a_day_is_told_each_change_once_in_its_newest_form_by_another_process() -> None:
    house = House()
    await house.changed(*[joint_entry(number) for number in range(MANY)])
    before = await told(house.one)
    token = before[-1].resume_token
    house.clock.at_s += 86_400
    await house.changed(*[ended(number) for number in range(0, MANY, 2)])  # repaired, withdrawn and removed meanwhile
    await house.changed(joint_entry(MANY), joint_entry(MANY + 1))  # published meanwhile
    await house.changed(ended(MANY, EntryEvent.WITHDRAWN))  # came and went
    amended = joint_entry(1, version=2, event=EntryEvent.AMENDED, reason="超标排放废水")
    await house.changed(amended)
    await house.changed(replace(amended, version=3, event=EntryEvent.DISPUTED, state=EntryState.DISPUTED))

    after = await told(house.two, token)

    assert len(before) == MANY
    ids = [one.entry.entry_id for one in after]
    assert len(ids) == len(set(ids))
    removed = {one.entry.entry_id for one in after if one.is_removed}
    assert removed >= {f"entry-{number}" for number in range(0, MANY, 2)}
    shown = [(one.entry.entry_id, one.entry.version) for one in after if not one.is_removed]
    assert shown == [(f"entry-{MANY + 1}", 1), ("entry-1", 3)]
    assert await told(house.one, after[-1].resume_token) == []


async def test_who_breaks_off_anywhere_goes_on_from_there() -> None:
    house = House()
    await house.changed(*[joint_entry(number) for number in range(40)])
    await house.changed(*[ended(number) for number in range(5)])
    seen: list[Seen] = []

    while part := (await told(house.one, seen[-1].resume_token if seen else ""))[:7]:  # the line breaks after seven
        seen += part

    assert len({one.entry.entry_id for one in seen}) == len(seen)
    shown = [one.entry.entry_id for one in seen if not one.is_removed]
    assert sorted(shown) == sorted(f"entry-{number}" for number in range(5, 40))


@pytest.mark.parametrize("event", [EntryEvent.REPAIRED, EntryEvent.WITHDRAWN, EntryEvent.REMOVED])
async def test_whatever_ended_an_entry_is_announced_as_its_removal_and_never_to_who_did_not_know_it(
    event: EntryEvent,
) -> None:
    house = House()
    await house.changed(joint_entry(1))
    token = (await told(house.one))[-1].resume_token
    await house.changed(ended(1, event))

    assert [(one.entry.entry_id, one.is_removed) for one in await told(house.one, token)] == [("entry-1", True)]
    assert await told(house.one, bank="bank-b") == []


async def test_a_token_of_another_bank_watch_or_deployment_is_refused_alike() -> None:
    house = House()
    await house.changed(joint_entry(1))
    token = (await told(house.one))[-1].resume_token

    foreign = ResumeTokens(b"the key of another deployment").give("bank-a", (), 1)
    said = set()
    for bank, codes, stated in (
        ("bank-b", (), token), ("bank-a", ("YRD_ENV",), token), ("bank-a", (), foreign), ("bank-a", (), token[:-2]),
    ):  # fmt: skip
        with pytest.raises(InvalidRequestError) as refused:
            await told(house.two, stated, bank, codes)
        said.add(str(refused.value))
    assert len(said) == 1


async def test_persons_and_what_waits_are_told_to_nobody() -> None:
    house = House()
    await house.changed(joint_entry(1, person_ref="p-1"), joint_entry(2, due_off=date(2026, 11, 26)))
    await house.changed(joint_entry(3, state=EntryState.PROPOSED, event=EntryEvent.PROPOSED))

    assert await told(house.one) == []


async def test_a_bank_has_so_many_watches_at_once_and_another_bank_its_own() -> None:
    house = House()
    await house.changed(joint_entry(1))
    watches = [house.one.watch("bank-a", (), "", ends_when_told=False) for _ in range(17)]
    for watch in watches[:16]:
        await anext(watch)

    with pytest.raises(AdmissionError, match="16 watches"):
        await anext(watches[16])
    others = await told(house.one, bank="bank-b")
    await watches[0].aclose()
    again = house.one.watch("bank-a", (), "", ends_when_told=False)

    assert len(others) == 1
    assert [one.entry.entry_id for one in await anext(again)] == ["entry-1"]
    for watch in (*watches[1:16], again):
        await watch.aclose()


async def test_the_index_looks_again_after_a_change_that_came_while_it_looked() -> None:
    house = House()
    await house.changed(joint_entry(1))
    store, changes_since = house.store, house.store.changes_since

    async def change_afterwards(mark: int, *, limit: int) -> Sequence[JointEntry]:
        read = await changes_since(mark, limit=limit)
        if not read:
            vars(store).pop("changes_since")
            await house.changed(joint_entry(2))
            await house.one.changed([joint_entry(2)])
        return read

    vars(store)["changes_since"] = change_afterwards
    before = (await house.one.index()).mark
    after = (await house.one.index()).mark

    assert (before, after) == (1, 2)
