"""Who gets an archived answer back, and what the trail says of it; by the shipped policies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_GREEN_REVIEW
from gateway.adapters.stores.purge import ArchivePurge
from gateway.application.archive import SMALL, Archive
from gateway.domain.audit import AuditEntry
from gateway.domain.caller import Caller, Role
from gateway.domain.consent import Permit
from gateway.domain.errors import AnswerNotFoundError, PolicyDeniedError, StoreError
from gateway.domain.evidence import (
    ArchivedView,
    Receipt,
    RootStanding,
    SignedRoot,
    ViewCopy,
    kept_until,
    retention_class,
)
from gateway.ports import Rights
from tests.adapters.evidence import DEMO, NOON, archived, leaf_of, receipts, view_of
from tests.adapters.policies import caller, rights
from tests.adapters.simulated import MovedClock, simulated


class MemoryViews:
    """Keeps copies in memory."""

    def __init__(self, *copies: ArchivedView) -> None:
        self.copies = {(copy.bank, copy.answer_id): copy for copy in copies}

    def keep(self, copies: Sequence[ArchivedView]) -> None:
        self.copies |= {(copy.bank, copy.answer_id): copy for copy in copies}

    def withdraw(self, copies: Sequence[ArchivedView]) -> None:
        for copy in copies:
            del self.copies[copy.bank, copy.answer_id]

    async def since(self, trail: str, sequence: int, *, limit: int) -> Sequence[ArchivedView]:
        found = [copy for copy in self.copies.values() if copy.trail == trail and copy.receipt.root.sequence > sequence]
        return sorted(found, key=lambda copy: copy.receipt.root.sequence)[:limit]

    async def find(self, bank: str, answer_id: str) -> ArchivedView | None:
        return self.copies.get((bank, answer_id))

    async def seal(self, uscc: str, because: str, at: datetime) -> int:
        found = [copy for copy in self.copies.values() if copy.uscc == uscc and not copy.sealed_because]
        self.keep([copy._replace(sealed_because=because) for copy in found])
        return len(found)

    async def count_expired(self, now: datetime, *, limit: int) -> int:
        return len([copy for copy in self.copies.values() if copy.kept_until <= now][:limit])

    async def delete_expired(self, now: datetime, *, limit: int) -> int:
        due = [key for key, copy in self.copies.items() if copy.kept_until <= now][:limit]
        for key in due:
            del self.copies[key]
        return len(due)


class Trail:
    """Notes entries, unless it cannot be written."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.is_broken = False

    async def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Receipt | None:
        if self.is_broken:
            raise StoreError("the trail cannot be written")
        self.entries.append(entry)
        return None


class Roots:
    """Holds the roots of some answers."""

    def __init__(self, *missing: ArchivedView) -> None:
        self._missing = {copy.receipt.root for copy in missing}

    async def standing(self, trail: str, root: SignedRoot) -> RootStanding:
        return RootStanding.MISSING if root in self._missing else RootStanding.HELD


class Stopped:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


def archive(
    *copies: ArchivedView, orphans: Sequence[ArchivedView] = (), decided: Rights | None = None
) -> tuple[Archive, Trail, MemoryViews]:
    trail, views = Trail(), MemoryViews(*copies, *orphans)
    return Archive(views, trail, Stopped(), decided or rights(), Roots(*orphans)), trail, views


SEALED = archived(sealed_because="REPAIR")


@pytest.mark.parametrize(
    ("who", "copy", "is_given"),
    [
        (caller(Role.BANK_QUERY), archived(), True),
        (caller(Role.BANK_AUDITOR), archived(), True),
        (caller(Role.BANK_QUERY), SEALED, False),
        (caller(Role.BANK_AUDITOR), SEALED, True),
        (caller(Role.BANK_AUDITOR, bank="bank-b"), SEALED, False),
        (caller(Role.BANK_QUERY), archived(kept_until=NOON), False),
        (caller(Role.BANK_QUERY), archived(answer_id="a-2"), False),
    ],
)
async def test_a_copy_is_given_to_whom_it_is_for_and_reads_like_none_to_others(
    who: Caller, copy: ArchivedView, is_given: bool
) -> None:
    asked, trail, _ = archive(copy)

    try:
        given: ArchivedView | str = await asked.get(who, "a-1")
    except AnswerNotFoundError as error:
        given = str(error)

    assert given == (copy if is_given else "no such answer of this bank")
    assert [(entry.event, entry.bank, entry.answer_id, entry.reason) for entry in trail.entries] == [
        ("archive_read", who.bank, "a-1", "" if is_given else "ANSWER_NOT_FOUND")
    ]


@pytest.mark.parametrize(
    ("who", "view", "denied_by"),
    [
        (caller(Role.BANK_QUERY), view_of(CATEGORY_PENALTY), ""),
        (caller(Role.BANK_QUERY), view_of(CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT), "no-tax"),
        (caller(Role.BANK_AUDITOR), view_of(CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT), ""),
        (caller(Role.BANK_QUERY), view_of(CATEGORY_PENALTY, purpose=PURPOSE_GREEN_REVIEW), "deny-by-default"),
        (caller(Role.BANK_AUDITOR), view_of(CATEGORY_PENALTY, purpose=PURPOSE_GREEN_REVIEW), ""),
    ],
)
async def test_whoever_may_not_ask_today_for_all_that_a_copy_says_is_refused_it_whole(
    tmp_path: Path, who: Caller, view: bytes, denied_by: str
) -> None:
    own = '@id("no-tax") forbid (principal, action, resource is Credit) when { resource.category == Category::"TAX_PAYMENT" };'
    asked, trail, _ = archive(archived(view), decided=rights(tmp_path, own=own))

    try:
        given: bytes | str = (await asked.get(who, "a-1")).view
    except PolicyDeniedError as error:
        given = error.policy

    assert given == (denied_by or view)
    assert [(entry.event, entry.answer_id, entry.reason, entry.policy) for entry in trail.entries] == [
        ("archive_read", "a-1", "POLICY_DENIED" if denied_by else "", denied_by)
    ]


async def test_D2_a_copy_that_nobody_was_answered_with_reads_like_none() -> None:
    asked, trail, _ = archive(orphans=[archived()])

    with pytest.raises(AnswerNotFoundError):
        await asked.get(caller(Role.BANK_AUDITOR), "a-1")

    assert [(entry.event, entry.reason) for entry in trail.entries] == [("archive_read", "ANSWER_NOT_FOUND")]


async def test_D2_what_a_crash_left_is_withdrawn_at_the_next_start_and_told() -> None:
    answered, orphan = (archived(answer_id=name, trail="t-1") for name in ("answered", "orphan"))
    theirs = archived(answer_id="theirs", trail="t-2")
    asked, trail, views = archive(answered, theirs, orphans=[orphan])

    counts = [await asked.settle("t-1", 7) for _ in range(2)]

    assert counts == [1, 0]
    assert [(entry.event, entry.count) for entry in trail.entries] == [
        ("archive_withdrawing", 1),
        ("archive_withdrawn", 1),
    ]
    assert list(views.copies.values()) == [answered, theirs]


@pytest.mark.parametrize(("roots", "is_cut"), [((7, 7), False), ((7, 8), False), ((7, 9), True), ((7, 9, 11), True)])
async def test_A13_copies_that_a_trail_which_was_cut_knows_no_more_are_not_taken_back(
    roots: Sequence[int], is_cut: bool
) -> None:
    orphans = [
        archived(answer_id=name, trail="t-1", receipt=receipts(leaf_of(b"the view", answer_id=name), sequence=root)[0])
        for name, root in zip("abc", roots, strict=False)
    ]
    asked, trail, views = archive(orphans=orphans)

    if is_cut:
        with pytest.raises(StoreError, match="after its last entry, 5: it was cut, or an older one was put back"):
            await asked.settle("t-1", 5)
    else:
        assert await asked.settle("t-1", 5) == len(orphans)

    assert (list(views.copies.values()), bool(trail.entries)) == ((orphans, False) if is_cut else ([], True))


@pytest.mark.parametrize("is_anchored", [True, False])
async def test_A13_copies_of_one_commit_that_anchors_know_to_have_been_written_are_not_taken_back(
    is_anchored: bool,
) -> None:
    orphan = archived(trail="t-1", receipt=receipts(leaf_of(b"the view", answer_id="a-1"), sequence=7)[0])
    asked, trail, views = archive(orphans=[orphan])

    if is_anchored:
        with pytest.raises(StoreError, match="after its last entry, 5: it was cut"):
            await asked.settle("t-1", 5, lambda: True)
    else:
        assert await asked.settle("t-1", 5, lambda: False) == 1

    assert (list(views.copies.values()), bool(trail.entries)) == (([orphan], False) if is_anchored else ([], True))


async def test_nothing_is_given_when_the_reading_cannot_be_written_down() -> None:
    asked, trail, _ = archive(archived())
    trail.is_broken = True

    with pytest.raises(StoreError):
        await asked.get(caller(Role.BANK_QUERY), "a-1")


async def test_sealing_tells_the_trail_who_why_and_how_many() -> None:
    asked, trail, views = archive(archived(), archived(bank="bank-b"), archived(answer_id="a-2", uscc="other"))

    count = await asked.seal(caller(Role.PLATFORM_OPERATOR, bank=""), DEMO, "LEGAL_DELETION")

    before, entry = trail.entries
    assert count == 2
    assert (before.event, before.uscc, before.reason, before.count) == ("archive_sealing", DEMO, "LEGAL_DELETION", None)
    assert (entry.event, entry.uscc, entry.reason, entry.count) == ("archive_sealed", DEMO, "LEGAL_DELETION", 2)
    assert sorted(copy.sealed_because for copy in views.copies.values()) == ["", "LEGAL_DELETION", "LEGAL_DELETION"]


async def test_expired_copies_are_deleted_in_small_parts_each_in_the_trail() -> None:
    due = [archived(answer_id=f"a-{number}", kept_until=NOON) for number in range(SMALL + 3)]
    asked, trail, views = archive(*due, archived(answer_id="kept", kept_until=NOON + timedelta(seconds=1)))
    purge = ArchivePurge(asked.delete_expired, every_s=3_600, pause_s=0)

    await purge.run_once()

    assert [(entry.event, entry.count) for entry in trail.entries] == [
        ("archive_deleting", SMALL),
        ("archive_deleted", SMALL),
        ("archive_deleting", 3),
        ("archive_deleted", 3),
    ]
    assert list(views.copies) == [("bank-a", "kept")]


def test_a_purge_goes_on_after_a_fault_that_nobody_thought_of() -> None:
    async def story() -> tuple[int, list[str]]:
        asked, _, views = archive(archived(kept_until=NOON))
        raised: list[Exception] = [AttributeError("a fault of a driver")]

        async def delete_some() -> int:
            if raised:
                raise raised.pop()
            return await asked.delete_expired()

        purge = ArchivePurge(delete_some, every_s=60, pause_s=0)
        with capture_logs() as logs:
            purge.start()
            await asyncio.sleep(61)
            await purge.aclose()
        return len(views.copies), [line["event"] for line in logs]

    left, logged = simulated(story())

    assert (left, logged) == (0, ["loop.failed", "archive.purged", "loop.back"])


async def test_a_purge_ends_only_after_the_copies_it_deletes_are_told_of() -> None:
    asked, trail, views = archive(archived(kept_until=NOON))
    goes_on = asyncio.Event()

    async def delete_slowly() -> int:
        await goes_on.wait()
        return await asked.delete_expired()

    purge = ArchivePurge(delete_slowly, every_s=3_600)
    purge.start()
    await asyncio.sleep(0)
    closing = asyncio.create_task(purge.aclose())
    for _ in range(10):
        await asyncio.sleep(0)
    was_closed = closing.done()
    goes_on.set()
    await closing

    assert not was_closed
    assert [entry.event for entry in trail.entries] == ["archive_deleting", "archive_deleted"]
    assert views.copies == {}


async def test_a_clock_that_was_moved_deletes_nothing_until_it_is_right_again() -> None:
    clock = MovedClock(NOON)
    views = MemoryViews(archived(answer_id="due", kept_until=NOON), archived(kept_until=NOON + timedelta(days=1_800)))
    asked = Archive(views, Trail(), clock, rights(), Roots())

    clock.began += timedelta(days=2_500)
    with pytest.raises(StoreError, match="the clock was moved"):
        await asked.delete_expired()
    kept = len(views.copies)
    clock.began -= timedelta(days=2_500)
    deleted = await asked.delete_expired()

    assert (kept, deleted) == (2, 1)


async def test_no_copy_is_sealed_or_deleted_that_the_trail_does_not_know_of() -> None:
    asked, trail, views = archive(archived(), archived(answer_id="due", kept_until=NOON))
    trail.is_broken = True

    with pytest.raises(StoreError):
        await asked.seal(caller(Role.PLATFORM_OPERATOR, bank=""), DEMO, "REPAIR")
    with pytest.raises(StoreError):
        await asked.delete_expired()

    assert [copy.sealed_because for copy in views.copies.values()] == ["", ""]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-24T04:00:00+00:00", "2031-11-24T04:00:00+00:00"),
        ("2028-02-29T23:59:59+00:00", "2033-02-28T23:59:59+00:00"),
    ],
)
def test_copies_are_kept_for_five_years_by_the_calendar(at: str, until: str) -> None:
    assert kept_until({}, "enterprise", datetime.fromisoformat(at)) == datetime.fromisoformat(until)


def test_an_answer_that_shows_a_person_is_of_the_personal_class() -> None:
    masked = Permit(kind="consent", categories=(1,), is_masked=True)
    lifted = Permit(kind="consent", categories=(1,), is_masked=True, persons=frozenset({(1, "p-1")}))
    unmasked = Permit(kind="development", categories=(1,))

    assert [retention_class(permit) for permit in (masked, lifted, unmasked)] == ["enterprise", "personal", "personal"]
