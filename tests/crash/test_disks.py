"""Disks that are full, fail to sync, or are read-only, and two writers at once: told by name, and nothing promised is lost."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gateway.adapters.stores.door import StoreDoor
from tests.crash.harness import FOR_EVER, Crashes, How, assert_all_is_kept, assert_consents_are_kept
from tests.crash.story import ROUNDS
from tests.databases import KINDS, empty

SOME, ALL = 61, 1
EVERY = pytest.mark.parametrize("apart", [SOME, pytest.param(ALL, marks=pytest.mark.long)], ids=["some", "all"])
NAMED = 4
"""By this write point a new trail has its id: a disk that is full before is a reason not to start."""
WHOLE = ROUNDS * 3 + 1
"""What is told where nothing fails: two entries and a consent a round, and how the store stands."""


async def test_D1_files_that_may_not_grow_fail_what_is_asked_then_and_nothing_after_there_is_room(
    killed: Crashes,
) -> None:
    left = killed.run("with_files_that_may_not_grow")

    assert left.ends == (0,)
    assert sorted(left.entries) == ["after", "before"]
    assert len(left.consents) == 2
    assert [line.split(":")[0] for line in left.failed] == [
        "entry full StoreError the trail cannot be written",
        "consent 1 StoreUnavailableError the store cannot be written or read",
    ]
    await assert_all_is_kept(left, left.folder)
    await assert_all_is_kept(left, left.synced)


@EVERY
async def test_D1_a_disk_that_is_full_for_a_while_fails_what_is_asked_then_and_recovers_by_itself(
    killed: Crashes, apart: int
) -> None:
    whole = killed.run("with_a_failing_disk", how=How.FAIL_WRITES)
    assert (whole.failed, len(whole.told)) == ([], WHOLE)
    failures: list[str] = []

    for at in range(NAMED, whole.points + 1, apart):
        left = killed.run("with_a_failing_disk", at=at, until=at + 3, how=How.FAIL_WRITES, error_number=errno.ENOSPC)

        # What is left undone at the end, such as to copy the log into the file, fails nobody.
        assert left.failed or at > whole.points - 60
        assert len(left.told) == WHOLE
        await assert_all_is_kept(left, left.folder)
        await assert_all_is_kept(left, left.synced)
        failures += left.failed
        killed.forget(left)

    assert failures
    if apart == ALL:  # whether a sample meets a write of the opened store is for its migrations to say
        assert any("the store has no room left on its disk" in said for said in failures)


@EVERY
async def test_D3_a_sync_that_fails_ends_all_changes_until_a_restart_and_loses_nothing(
    killed: Crashes, apart: int
) -> None:
    whole = killed.run("with_a_failing_disk", how=How.FAIL_SYNCS)
    refused_after = 0

    # The first sync is that of a new trail's id: where it fails, nothing starts.
    for at in range(2, whole.points + 1) if apart == ALL else (2, 9, 12):
        left = killed.run("with_a_failing_disk", at=at, how=How.FAIL_SYNCS)

        consents = [line for line in left.failed if line.startswith("consent ")]
        is_shut = any("could not be synced" in line for line in consents)
        if is_shut:
            first = int(consents[0].split()[1])
            assert [int(line.split()[1]) for line in consents] == list(range(first, ROUNDS))
            refused_after += len(consents) - 1
        await assert_all_is_kept(left, left.folder)
        await assert_all_is_kept(left, left.synced)
        assert [line for line in left.told if line.startswith("door ")] == [f"door {'red' if is_shut else 'green'}"]
        killed.forget(left)

    assert refused_after


@EVERY
@pytest.mark.parametrize("how", [How.FAIL_WRITES, How.FAIL_SYNCS], ids=["writes", "syncs"])
async def test_D3_whatever_fails_while_an_answer_is_archived_no_copy_is_given_that_was_not_answered(
    killed: Crashes, how: How, apart: int
) -> None:
    whole = killed.run("archiving_on_a_failing_disk", how=how)
    assert (whole.ends, len(whole.receipts)) == ((0,), ROUNDS * 2)
    failed = 0

    for at in (
        range(1, whole.points + 1) if apart == ALL else range(whole.points * 2 // 3, whole.points, whole.points // 4)
    ):
        left = killed.run("archiving_on_a_failing_disk", at=at, how=how)

        if left.ends == (0,):  # else the disk failed before anything was answered, and that ended the start
            assert len(left.receipts) + len([said for said in left.failed if said.startswith("entry")]) == ROUNDS * 2
        await assert_all_is_kept(left, left.folder)
        await assert_all_is_kept(left, left.synced)
        failed += len(left.failed)
        killed.forget(left)

    assert failed


async def test_D1_a_read_only_disk_keeps_the_gateway_from_starting_and_says_so(killed: Crashes) -> None:
    before = killed.run("everything")

    left = killed.run(
        "on_a_read_only_disk", after=before, at=1, until=FOR_EVER, how=How.FAIL_OPENS, error_number=errno.EROFS
    )

    assert len(left.failed) == 2
    assert all("Read-only file system" in line for line in left.failed)
    await assert_all_is_kept(before, before.folder)


@pytest.mark.parametrize("count", [15, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", KINDS)
async def test_D4_two_processes_that_change_the_store_at_once_lose_nothing(
    killed: Crashes, kind: str, count: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with empty(kind, request, tmp_path) as address:
        url = address.render_as_string()
        assert killed.run("upgrading", url=url).ends == (0,)

        left = killed.run("many_changes", url=url, writers=2, count=count)

        assert (left.ends, left.failed, len(left.consents)) == ((0, 0), [], 2 * count)
        await assert_consents_are_kept(left, StoreDoor(url))
