"""One suite for every store of repairs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY
from gateway.domain.errors import RepairChangedError
from gateway.domain.record_repair import RecordRepair, RepairState, SeenStale, confirm, lift
from gateway.store_ports import RepairStore
from tests.domain.joint_entries import DEMO, NOON, OTHER


def a_repair(number: int = 1, **more: Any) -> RecordRepair:
    stated: dict[str, Any] = {
        "repair_id": f"r-{number}",
        "uscc": DEMO,
        "category": CATEGORY_PENALTY,
        "record_key": bytes([number]) * 16,
        "authority": "11340100008343462N",
        "province": "34",
        "document_number": "合环罚〔2026〕12号",
        "repaired_on": date(2026, 10, 26),
        "because": "已履行",
        "changed_at": NOON,
        "changed_by": "first",
        "proposed_by": "first",
        "origin": "operator:first",
    }
    return RecordRepair(**{**stated, **more})


async def test_what_is_put_is_given_back_whole_in_its_newest_form(repairs: RepairStore) -> None:
    proposed = await repairs.put(a_repair())
    in_force = await repairs.put(confirm(proposed, "second", NOON))
    asked = await repairs.put(lift(in_force, "another's", "second", NOON))

    assert proposed == a_repair(mark=1)
    assert await repairs.get("r-1") == asked
    assert (asked.mark, asked.version, asked.state) == (3, 3, RepairState.IN_FORCE)
    assert await repairs.search("", after=0, limit=9) == [asked]
    assert await repairs.get("r-2") is None


async def test_a_version_that_is_not_the_next_changes_nothing_and_of_two_decisions_one_wins(
    repairs: RepairStore,
) -> None:
    await repairs.put(a_repair())
    for wrong in (a_repair(), a_repair(version=3), a_repair(9, version=2)):
        with pytest.raises(RepairChangedError):
            await repairs.put(wrong)

    decided = await asyncio.gather(*(repairs.put(a_repair(version=2)) for _ in range(4)), return_exceptions=True)

    assert sorted(isinstance(one, RepairChangedError) for one in decided) == [False, True, True, True]
    assert await repairs.newest_mark() == 2


async def test_several_are_put_together_all_or_none_more_than_are_written_at_once(repairs: RepairStore) -> None:
    many = [a_repair(1, repair_id=f"r-{number}") for number in range(1_200)]
    await repairs.put(many[0])
    moved = replace(many[0], version=2)

    put = await repairs.put_all([moved, *many[1:]])
    for wrong in ([replace(many[1], version=2), many[2]], [a_repair(9, version=1), a_repair(9, version=1)]):
        with pytest.raises(RepairChangedError):
            await repairs.put_all(wrong)

    assert [(one.mark, one.version) for one in put[:2]] == [(2, 2), (3, 1)]
    assert await repairs.search("", after=0, limit=2_000) == put
    assert {one.repair_id for one in await repairs.of_ids(["r-9", "r-none", "r-1199"])} == {"r-9", "r-1199"}
    assert await repairs.of_ids([]) == []
    assert await repairs.put_all([]) == []
    assert await repairs.newest_mark() == 1_201


async def test_repairs_are_found_by_enterprise_and_after_a_mark(repairs: RepairStore) -> None:
    for one in (a_repair(1), a_repair(2, uscc=OTHER), a_repair(3)):
        await repairs.put(one)
    await repairs.put(a_repair(1, version=2))

    async def found(uscc: str = "", after: int = 0, limit: int = 9) -> list[tuple[str, int]]:
        return [(one.repair_id, one.mark) for one in await repairs.search(uscc, after=after, limit=limit)]

    assert await found() == [("r-2", 2), ("r-3", 3), ("r-1", 4)]
    assert await found(DEMO) == [("r-3", 3), ("r-1", 4)]
    assert await found(after=2, limit=1) == [("r-3", 3)]


async def test_what_two_processes_heard_is_remembered_once_and_never_undoes_a_decision(repairs: RepairStore) -> None:
    heard = [a_repair(number, state=RepairState.IN_FORCE, origin="platform:anhui") for number in range(1, 6)]
    await asyncio.gather(*(repairs.remember(heard[:4]) for _ in range(3)))
    kept = await repairs.get("r-1")
    assert kept is not None
    lifted = await repairs.put(replace(kept, version=2, state=RepairState.LIFTED))

    await repairs.remember(heard)
    await repairs.remember([])

    assert await repairs.get("r-1") == lifted
    assert [one.repair_id for one in await repairs.search("", after=0, limit=9)] == ["r-2", "r-3", "r-4", "r-1", "r-5"]


async def test_a_stale_copy_keeps_when_it_was_first_seen_and_moves_on(repairs: RepairStore) -> None:
    one = SeenStale("jiangsu", b"a" * 16, DEMO, CATEGORY_PENALTY, NOON, NOON)
    other = one._replace(platform="zhejiang", uscc=OTHER)
    later = NOON + timedelta(hours=2)
    await repairs.saw([one, other])
    await repairs.saw([one._replace(first_seen=later, last_seen=later)])

    moved = one._replace(last_seen=later, mark=3)
    assert await repairs.stale_copies("", "", after=0, limit=9) == [other._replace(mark=2), moved]
    assert await repairs.stale_copies("jiangsu", "", after=0, limit=9) == [moved]
    assert await repairs.stale_copies("", OTHER, after=0, limit=9) == [other._replace(mark=2)]
    assert await repairs.stale_copies("", "", after=3, limit=9) == []
