"""One suite for every store of joint lists."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from gateway.domain import joint_list_life as life
from gateway.domain.errors import EntryChangedError
from gateway.domain.joint_lists import EntryState, JointEntry, Provision
from gateway.store_ports import JointListStore
from tests.domain.joint_entries import DEMO, NOON, OTHER, TODAY, joint_entry


def next_of(entry: JointEntry, **more: object) -> JointEntry:
    return replace(entry, version=entry.version + 1, **more)  # type: ignore[arg-type]


async def test_what_is_put_is_given_back_whole_with_its_mark(joint_lists: JointListStore) -> None:
    whole = life.amend(
        joint_entry(evidence=("a", "b"), due_off=date(2027, 1, 1), person_ref="p-1"),
        joint_entry().content._replace(published_to=date(2028, 1, 1)),
        "why",
        "first",
        NOON,
        TODAY,
    )
    await joint_lists.put([replace(whole, version=1)])

    assert await joint_lists.get("entry-1") == replace(whole, version=1, mark=1, seen_mark=0)
    assert await joint_lists.get("entry-2") is None


async def test_marks_ascend_without_gaps_in_the_order_of_puts(joint_lists: JointListStore) -> None:
    assert await joint_lists.newest_mark() == 0

    assert await joint_lists.put([joint_entry(1), joint_entry(2)]) == 2
    assert await joint_lists.put([next_of(joint_entry(1)), joint_entry(3)]) == 4

    changes = await joint_lists.changes_since(0, limit=10)
    assert [(one.mark, one.entry_id, one.version) for one in changes] == [
        (1, "entry-1", 1),
        (2, "entry-2", 1),
        (3, "entry-1", 2),
        (4, "entry-3", 1),
    ]
    assert await joint_lists.changes_since(2, limit=1) == [changes[2]]
    assert await joint_lists.newest_mark() == 4


async def test_many_writers_at_once_leave_no_gap_and_a_reader_misses_nothing(joint_lists: JointListStore) -> None:
    seen: list[JointEntry] = []

    async def read() -> None:
        while len(seen) < 40:
            seen.extend(await joint_lists.changes_since(seen[-1].mark if seen else 0, limit=7))
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(read())
        for number in range(20):
            group.create_task(joint_lists.put([joint_entry(number), joint_entry(100 + number)]))

    assert [one.mark for one in seen] == list(range(1, 41))


async def test_a_version_that_is_not_the_next_changes_nothing(joint_lists: JointListStore) -> None:
    await joint_lists.put([joint_entry(1)])
    provision = Provision("YRD_ENV", "33", 2018, NOON, b"d")

    for wrong in (joint_entry(1), next_of(next_of(joint_entry(1))), next_of(joint_entry(9))):
        with pytest.raises(EntryChangedError):
            await joint_lists.put([joint_entry(2), wrong], provisions=[provision])
    with pytest.raises(EntryChangedError):
        await joint_lists.put([joint_entry(2), joint_entry(2)])

    assert await joint_lists.newest_mark() == 1
    assert await joint_lists.get("entry-2") is None
    assert await joint_lists.provisions() == []


async def test_of_two_decisions_on_one_version_one_wins(joint_lists: JointListStore) -> None:
    await joint_lists.put([joint_entry(1)])

    given = await asyncio.gather(
        *(joint_lists.put([next_of(joint_entry(1))]) for _ in range(5)), return_exceptions=True
    )

    assert sorted(isinstance(one, EntryChangedError) for one in given) == [False, True, True, True, True]


async def test_an_enterprise_has_all_its_entries_and_a_search_finds_them_by_list_province_and_year(
    joint_lists: JointListStore,
) -> None:
    await joint_lists.put(
        [
            joint_entry(1),
            joint_entry(2, uscc=OTHER, province="31"),
            joint_entry(3, list_year=2017),
            joint_entry(4, list_code="SDL_TAX", list_year=None, state=EntryState.WITHDRAWN),
        ]
    )
    await joint_lists.put([next_of(joint_entry(1))])

    async def found(codes: list[str], province: str, year: int | None, after: int = 0, limit: int = 9) -> list[str]:
        search = joint_lists.search(list_codes=codes, province=province, list_year=year, after=after, limit=limit)
        return [one.entry_id for one in await search]

    about = await joint_lists.of_enterprise(DEMO)
    assert [(one.entry_id, one.version) for one in about] == [("entry-3", 1), ("entry-4", 1), ("entry-1", 2)]
    assert await found([], "", None) == ["entry-2", "entry-3", "entry-4", "entry-1"]
    assert await found(["YRD_ENV"], "33", 2018) == ["entry-1"]
    assert await found(["YRD_ENV", "SDL_TAX"], "", None, after=2, limit=2) == ["entry-3", "entry-4"]


async def test_the_newest_provision_of_a_year_stands(joint_lists: JointListStore) -> None:
    old, new = (Provision("YRD_ENV", "33", 2017, NOON, digest) for digest in (b"old", b"new"))
    await joint_lists.put([], provisions=[old, Provision("YRD_ENV", "31", 2017, NOON, b"x")])

    await joint_lists.put([], provisions=[new])

    assert await joint_lists.provisions() == [Provision("YRD_ENV", "31", 2017, NOON, b"x"), new]


async def test_what_banks_cannot_see_does_not_move_an_entry_for_them(joint_lists: JointListStore) -> None:
    async def seen(mark: int, *codes: str) -> list[tuple[str, int, int]]:
        found = await joint_lists.seen_since(mark, list_codes=codes, limit=9)
        return [(one.entry_id, one.version, one.seen_mark) for one in found]

    await joint_lists.put([joint_entry(1), joint_entry(2, list_code="SDL_TAX")])
    kept = await joint_lists.get("entry-1")
    assert kept is not None
    waiting = life.withdraw(kept, "wrong", "first", NOON, TODAY)
    await joint_lists.put([waiting])

    assert await seen(0) == [("entry-1", 2, 1), ("entry-2", 1, 2)]
    assert await seen(1) == [("entry-2", 1, 2)]
    await joint_lists.put([life.confirm(replace(waiting, seen_mark=1), "second", NOON, TODAY)])
    assert await seen(1) == [("entry-2", 1, 2), ("entry-1", 3, 4)]
    assert await seen(0, "SDL_TAX") == [("entry-2", 1, 2)]
