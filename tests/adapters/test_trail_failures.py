"""The trail's writer when its disk, its key or its archive fails: nothing half done, red while it lasts, well again by itself."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.domain.errors import SigningUnavailableError, StoreError, StoreUnavailableError
from gateway.domain.statement import sm3
from tests.adapters.archiving import COPY, Archive, check_of
from tests.adapters.test_audit_file import entry
from tests.domain.trails import KeySigner


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
    """Syncs, or fails to, or does neither while it hangs."""

    def __init__(self) -> None:
        self.is_broken = False
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self, file: int) -> None:
        self.answers.wait()
        if self.is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(file)


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


async def test_D4_a_trail_whose_archive_is_away_stays_red_though_refusals_are_written_and_is_well_again_by_itself(
    tmp_path: Path,
) -> None:
    turned = asyncio.Event()
    archive = Archive()
    archive.is_down = True
    policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)
    evidence = Evidence(KeySigner(), "SM3", sm3, archive)
    trail = FileAuditLog(tmp_path / "audit.jsonl", evidence=evidence, policy=policy, changed=turned.set)
    with pytest.raises(StoreUnavailableError):
        await trail.append(entry("a-1"), COPY)
    await until(turned)

    reds = []
    for number in range(20):
        await trail.append(entry(f"refused-{number}"))
        reds.append(bool(trail.ails))
        await asyncio.sleep(0)
    is_told_otherwise = turned.is_set()
    archive.is_down = False
    await until(turned)

    await trail.aclose()
    assert (reds, is_told_otherwise) == ([True] * 20, False)
    assert (trail.ails, archive.copies) == ("", [])


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


async def test_A7_the_copy_of_an_answer_that_was_withheld_after_its_entry_leaves_the_archive(tmp_path: Path) -> None:
    archive = Archive()
    trail = FileAuditLog(tmp_path / "audit.jsonl", evidence=Evidence(KeySigner(), "SM3", sm3, archive))
    await trail.append(entry("given"), COPY)
    receipt = await trail.append(entry("withheld"), COPY)

    await trail.append(entry("withheld", event="withheld"), taken_back=receipt)

    await trail.aclose()
    assert [copy.answer_id for copy in archive.copies] == ["given"]


async def test_A7_a_copy_that_cannot_be_taken_back_at_once_is_with_the_next_answer(tmp_path: Path) -> None:
    archive = Archive()
    trail = FileAuditLog(tmp_path / "audit.jsonl", evidence=Evidence(KeySigner(), "SM3", sm3, archive))
    receipt = await trail.append(entry("withheld"), COPY)

    archive.is_down = True
    await trail.append(entry("withheld", event="withheld"), taken_back=receipt)
    archive.is_down = False
    await trail.append(entry("given"), COPY)

    await trail.aclose()
    assert [copy.answer_id for copy in archive.copies] == ["given"]


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


@pytest.mark.parametrize("found", [b'{"event":"\xff"}\n', b"[" * 10_000 + b"\n"], ids=["no UTF-8", "nested"])
async def test_D3_whatever_a_disk_gives_back_ends_no_writer_and_keeps_the_trail_read_only(
    tmp_path: Path, found: bytes
) -> None:
    path = tmp_path / "audit.jsonl"
    disk = Disk()
    policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01)
    trail = FileAuditLog(path, policy=policy, sync=disk)
    await asyncio.gather(*(trail.append(entry("before" * 100)) for _ in range(20)))
    disk.is_broken = True
    with pytest.raises(StoreError):
        await trail.append(entry("lost"))

    with path.open("r+b") as file:
        file.seek(path.stat().st_size - len(found) - 1)
        file.write(b"\n" + found)
    disk.is_broken = False
    await asyncio.sleep(0.1)  # it looks at its disk meanwhile

    async with asyncio.timeout(5):
        with pytest.raises(StoreError, match="is no entry"):
            await trail.append(entry("refused"))
    assert "is no entry" in trail.ails
    await trail.aclose()


async def test_D3_a_fault_of_ours_in_a_look_at_the_disk_ends_no_writer(tmp_path: Path) -> None:
    turned = asyncio.Event()
    trail = FileAuditLog(tmp_path / "audit.jsonl", policy=TrailPolicy(look_s=0.01), changed=turned.set)

    def free() -> tuple[int, float]:
        raise RuntimeError("a fault of ours")

    trail._disk.free = free  # type: ignore[method-assign]
    await until(turned)
    said = trail.ails

    async with asyncio.timeout(5):
        await trail.append(entry("a-1"))
    await trail.aclose()
    assert "RuntimeError" in said
    assert check_of(tmp_path / "audit.jsonl").link.sequence == 1


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


async def test_D3_a_disk_that_neither_writes_nor_fails_is_told_and_nothing_more_waits_for_it(tmp_path: Path) -> None:
    turned = asyncio.Event()
    disk = Disk()
    policy = TrailPolicy(least_free_bytes=0, least_free_percent=0.0, look_s=0.01, hangs_s=0.02)
    trail = FileAuditLog(tmp_path / "audit.jsonl", policy=policy, changed=turned.set, sync=disk)

    with capture_logs() as logs:
        disk.answers.clear()
        waits = asyncio.ensure_future(trail.append(entry("waits")))
        await until(turned)
        red = trail.ails
        with pytest.raises(StoreError, match="does not end"):
            trail.append(entry("refused"))
        disk.answers.set()
        await until(turned)
    await waits
    await trail.append(entry("after"))
    await trail.aclose()

    assert "neither writes nor fails" in red
    assert trail.ails == ""
    assert [log["event"] for log in logs] == ["trail.ails", "trail.well"]
    assert check_of(tmp_path / "audit.jsonl").link.sequence == 2


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
