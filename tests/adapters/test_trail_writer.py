"""The trail's one writer: the chain it keeps over restarts and segments, its signed roots, and what it does when its disk fails."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.trail_files import lines_of, segments_of
from gateway.domain.errors import SigningUnavailableError, StoreError, StoreUnavailableError
from gateway.domain.evidence import ArchivedView, Leaf, ViewCopy
from gateway.domain.merkle import is_included, root_message
from gateway.domain.statement import sm3
from gateway.domain.trail import TrailCheck
from tests.adapters.test_audit_file import entry
from tests.domain.trails import KEY, KeySigner

COPY = ViewCopy(b"the view", "91310115MA0TERT167", sm3(b"request"), "query")


def check_of(path: Path) -> TrailCheck:
    """Checks a whole trail, segment by segment."""
    check = TrailCheck()
    for segment in segments_of(path):
        for line in lines_of(segment):
            assert check.finding is None
            check.take(line.content)
    return check


class Archive:
    """An archive in memory, or one that cannot keep anything now."""

    def __init__(self) -> None:
        self.copies: list[ArchivedView] = []
        self.is_down = False

    def keep(self, copies: Sequence[ArchivedView]) -> None:
        if self.is_down:
            raise StoreUnavailableError("the archive is down")
        self.copies += copies

    def withdraw(self, copies: Sequence[ArchivedView]) -> None:
        if self.is_down:
            raise StoreUnavailableError("the archive is down")
        gone = {(copy.answer_id, copy.receipt.root.sequence) for copy in copies}
        self.copies = [copy for copy in self.copies if (copy.answer_id, copy.receipt.root.sequence) not in gone]

    async def since(self, trail: str, sequence: int) -> Sequence[ArchivedView]:
        raise NotImplementedError

    async def find(self, bank: str, answer_id: str) -> ArchivedView | None:
        raise NotImplementedError

    async def seal(self, uscc: str, because: str, at: datetime) -> int:
        raise NotImplementedError

    async def count_expired(self, now: datetime, *, limit: int) -> int:
        raise NotImplementedError

    async def delete_expired(self, now: datetime, *, limit: int) -> int:
        raise NotImplementedError


class LostSigner(KeySigner):
    """A signer whose key cannot be had while it is lost."""

    is_lost = True
    asked = 0

    def sign(self, message: bytes) -> bytes:
        self.asked += 1
        if self.is_lost:
            raise SigningUnavailableError("the key of the deployment cannot be used")
        return super().sign(message)


class Disk:
    """Syncs, or fails to."""

    def __init__(self) -> None:
        self.is_broken = False

    def __call__(self, file: int) -> None:
        if self.is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(file)


async def test_the_chain_goes_on_over_restarts_and_segments(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(3):
        trail = FileAuditLog(path, policy=TrailPolicy(segment_bytes=2_000))
        for number in range(10):
            await trail.append(entry(str(number)))
        await trail.aclose()

    check = check_of(path)

    segments = segments_of(path)
    assert (check.finding, check.link.sequence) == (None, 30)
    assert len(segments) > 5
    assert max(segment.stat().st_size for segment in segments) < 3_000
    assert [int(each.suffix[1:]) for each in segments[:-1]] == [
        json.loads(each.read_text().splitlines()[0])["sequence"] for each in segments[:-1]
    ]


@pytest.mark.parametrize("is_hashed", [True, False])
async def test_A13_nothing_goes_on_after_a_last_entry_that_was_changed(tmp_path: Path, is_hashed: bool) -> None:
    path = tmp_path / "audit.jsonl"
    trail = FileAuditLog(path)
    await asyncio.gather(*(trail.append(entry(str(number))) for number in range(3)))
    await trail.aclose()
    changed = path.read_bytes().splitlines(keepends=True)
    changed[2] = changed[2].replace(b"bank-a", b"bank-b") if is_hashed else b"no entry\n"
    path.write_bytes(b"".join(changed))

    with pytest.raises(StoreError, match=r"line 3, the last one, .* move it away to begin a new trail"):
        FileAuditLog(path)

    assert path.read_bytes() == b"".join(changed)


async def test_a_trail_of_before_the_chain_is_set_aside_and_named_by_the_chains_first_entry(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    old = b'{"time":"2026-11-01T00:00:00.000+00:00","event":"answered"}\n' * 3
    path.write_bytes(old)

    trail = FileAuditLog(path)
    await trail.append(entry("a-1"))
    await trail.aclose()

    begun, first = (json.loads(line) for line in path.read_text().splitlines())
    assert (tmp_path / "audit.jsonl.unchained").read_bytes() == old
    assert (begun["event"], begun["covers"], begun["covered_digest"]) == (
        "begun",
        "audit.jsonl.unchained",
        hashlib.new("sm3", old).hexdigest(),
    )
    assert first["answer_id"] == "a-1"
    assert check_of(path).finding is None


async def test_answers_of_one_commit_are_under_one_signed_root_and_each_has_its_receipt(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    archive = Archive()
    trail = FileAuditLog(path, evidence=Evidence(KeySigner(), "SM3", sm3, archive))

    told = await asyncio.gather(
        *(trail.append(entry(str(number)), COPY if number % 2 else None) for number in range(11))
    )
    await trail.aclose()

    check = check_of(path)
    written = [json.loads(line) for line in path.read_text().splitlines()]
    roots = {line["sequence"]: line for line in written if line["event"] == "root"}
    receipts = [receipt for receipt in told if receipt is not None]
    assert (check.finding, check.uncovered, check.root_count) == (None, 0, len(roots))
    assert [number for number, receipt in enumerate(told) if receipt is not None] == [1, 3, 5, 7, 9]
    assert sum(root["leaf_count"] for root in roots.values()) == 5
    for number, receipt in zip((1, 3, 5, 7, 9), receipts, strict=True):
        at = "2026-11-24T00:00:00.000+00:00"
        assert receipt.leaf == Leaf(str(number), "", sm3(COPY.view), COPY.request_digest, "bank-a", at)
        assert is_included(receipt, sm3)
        assert roots[receipt.root.sequence]["root"] == receipt.root.root.hex()
        KEY.public_key().verify(receipt.root.signature, root_message(receipt.root))
    assert [(each.answer_id, each.view, each.receipt) for each in archive.copies] == [
        (receipt.leaf.answer_id, COPY.view, receipt) for receipt in receipts
    ]
    assert all(each.kept_until > datetime(2031, 1, 1, tzinfo=UTC) for each in archive.copies)


async def test_A11_without_the_key_nothing_is_written_archived_or_answered(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    archive, signer = Archive(), LostSigner()
    trail = FileAuditLog(path, evidence=Evidence(signer, "SM3", sm3, archive))

    with pytest.raises(SigningUnavailableError):
        await trail.append(entry("a-1"), COPY)
    left = (path.read_bytes(), list(archive.copies), trail.ails)
    signer.is_lost = False
    receipt = await trail.append(entry("a-2"), COPY)

    await trail.aclose()
    assert left == (b"", [], "the key of the deployment cannot be used")
    assert receipt is not None
    assert check_of(path).link.sequence == 2
    assert trail.ails == ""


async def test_A11_a_trail_stays_red_while_the_key_cannot_be_had_though_nobody_asks(tmp_path: Path) -> None:
    turned = asyncio.Event()
    policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)
    signer = LostSigner()
    trail = FileAuditLog(
        tmp_path / "audit.jsonl", evidence=Evidence(signer, "SM3", sm3), policy=policy, changed=turned.set
    )
    with pytest.raises(SigningUnavailableError):
        await trail.append(entry("a-1"), COPY)
    await until(turned)

    before = signer.asked
    async with asyncio.timeout(5):
        while signer.asked < before + 3:
            await asyncio.sleep(0.01)
    red = trail.ails
    signer.is_lost = False
    await until(turned)

    await trail.aclose()
    assert red == "the key of the deployment cannot be used"
    assert trail.ails == ""


async def test_an_answer_that_cannot_be_archived_fails_with_its_whole_commit(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    archive = Archive()
    archive.is_down = True
    trail = FileAuditLog(path, evidence=Evidence(KeySigner(), "SM3", sm3, archive))

    with pytest.raises(StoreUnavailableError):
        await trail.append(entry("a-1"), COPY)
    archive.is_down = False
    await trail.append(entry("a-2"), COPY)

    await trail.aclose()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["answered", "root"]


async def test_D3_copies_of_a_commit_that_failed_are_withdrawn_as_soon_as_the_archive_can(tmp_path: Path) -> None:
    archive, disk = Archive(), Disk()
    trail = FileAuditLog(tmp_path / "audit.jsonl", evidence=Evidence(KeySigner(), "SM3", sm3, archive), sync=disk)

    def breaks(file: int) -> None:
        archive.is_down = True
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.is_broken = True
    with pytest.raises(StoreError):
        await trail.append(entry("withdrawn"), COPY)
    trail._disk._sync = breaks  # the archive is gone right after it kept the copy
    with pytest.raises(StoreError):
        await trail.append(entry("left"), COPY)
    trail._disk._sync = os.fdatasync
    archive.is_down = False
    await trail.append(entry("after"), COPY)

    await trail.aclose()
    assert [copy.answer_id for copy in archive.copies] == ["after"]
    assert {copy.trail for copy in archive.copies} == {trail.id}


async def test_D3_after_a_failed_sync_nothing_is_written_until_what_was_durable_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    disk = Disk()
    trail = FileAuditLog(path, sync=disk)
    await trail.append(entry("before"))
    durable = path.read_bytes()

    disk.is_broken = True
    with pytest.raises(StoreError, match="cannot be made durable"):
        await trail.append(entry("lost"))
    with pytest.raises(StoreError, match="read-only until its disk is well"):
        await trail.append(entry("refused"))
    left = path.read_bytes()
    disk.is_broken = False
    await trail.append(entry("after"))

    await trail.aclose()
    assert left == durable
    assert [json.loads(line)["answer_id"] for line in path.read_text().splitlines()] == ["before", "after"]
    assert check_of(path).finding is None


async def test_D3_what_the_disk_lost_keeps_the_trail_read_only(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    disk = Disk()
    trail = FileAuditLog(path, sync=disk)
    await trail.append(entry("before"))
    disk.is_broken = True
    with pytest.raises(StoreError):
        await trail.append(entry("lost"))

    disk.is_broken = False
    with path.open("r+b") as file:
        file.seek(10)
        file.write(b"\0" * 10)

    with pytest.raises(StoreError):
        await trail.append(entry("refused"))
    assert trail.ails
    await trail.aclose()


async def until(turned: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await turned.wait()
    turned.clear()


async def test_D1_health_turns_red_while_there_is_still_room_and_back_by_itself(tmp_path: Path) -> None:
    turned = asyncio.Event()
    room = os.statvfs(tmp_path)
    free = room.f_bavail * room.f_frsize
    short = FileAuditLog(
        tmp_path / "short.jsonl",
        policy=TrailPolicy(least_free_bytes=free * 2, look_s=0.01),
        changed=turned.set,
    )
    ample = FileAuditLog(
        tmp_path / "ample.jsonl", policy=TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)
    )

    await until(turned)
    said = short.ails
    await asyncio.gather(short.append(entry("a-1")), ample.append(entry("a-1")))
    short._policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)  # as if room was made
    await until(turned)

    await asyncio.gather(short.aclose(), ample.aclose())
    assert "are left on its disk" in said
    assert (short.ails, ample.ails) == ("", "")
    assert check_of(tmp_path / "short.jsonl").link.sequence == 1


async def test_D1_a_trail_that_failed_is_well_again_when_its_disk_is_though_nobody_asks(tmp_path: Path) -> None:
    turned = asyncio.Event()
    disk = Disk()
    policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)
    trail = FileAuditLog(tmp_path / "audit.jsonl", policy=policy, changed=turned.set, sync=disk)
    disk.is_broken = True
    with pytest.raises(StoreError):
        await trail.append(entry("lost"))
    await until(turned)
    red = trail.ails

    disk.is_broken = False
    await until(turned)

    await trail.append(entry("after"))
    await trail.aclose()
    assert red
    assert trail.ails == ""


async def test_a_trail_that_is_stopped_takes_nothing_until_it_is_let_go(tmp_path: Path) -> None:
    trail = FileAuditLog(tmp_path / "audit.jsonl")

    trail.stop("no anchor for an hour")
    red = trail.ails
    with pytest.raises(StoreError, match="no anchor for an hour"):
        trail.append(entry("refused"))
    trail.stop("")
    await trail.append(entry("taken"))

    assert (red, trail.ails) == ("no anchor for an hour", "")
    await trail.aclose()
    assert check_of(tmp_path / "audit.jsonl").link.sequence == 1


async def test_a_broken_signer_ends_no_writer(tmp_path: Path) -> None:
    class Broken(KeySigner):
        def sign(self, message: bytes) -> bytes:
            raise RuntimeError("a fault of ours")

    trail = FileAuditLog(tmp_path / "audit.jsonl", evidence=Evidence(Broken(), "SM3", sm3))

    with pytest.raises(StoreError, match="RuntimeError"):
        await trail.append(entry("a-1"), COPY)
    await trail.append(entry("a-2"))

    await trail.aclose()
    assert check_of(tmp_path / "audit.jsonl").link.sequence == 1


def test_a_line_longer_than_any_entry_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"a\n" + b"x" * (9 * 1024 * 1024) + b"\nb\ntorn")

    found = list(lines_of(path))

    assert [len(line.content) for line in found] == [1, 64, 1]
    assert [line.end for line in found] == [2, 9 * 1024 * 1024 + 3, 9 * 1024 * 1024 + 5]


async def test_a_trail_whose_setting_aside_a_crash_cut_off_is_set_aside_at_the_next_start(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", b'{"time":"2026-11-01T00:00:00.000+00:00","event":"answered"}\n'
    path.write_bytes(old)
    path.with_name("audit.jsonl.unchained").hardlink_to(path)

    trail = FileAuditLog(path)
    await trail.aclose()

    assert (tmp_path / "audit.jsonl.unchained").read_bytes() == old
    assert check_of(path).link.sequence == 1
    path.write_bytes(old)
    with pytest.raises(StoreError, match="move one of them away"):
        FileAuditLog(path)
