"""The trail: durable before anything is told, whole lines only, and shut rather than silent."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.adapters.stores import audit_file
from gateway.adapters.stores.audit_file import Busyness, FileAuditLog
from gateway.domain.audit import AuditEntry
from gateway.domain.audit_entries import audit_entry
from gateway.domain.errors import StoreError
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",), bank="bank-a", operator="op-7")


def entry(answer_id: str, event: str = "answered") -> AuditEntry:
    return audit_entry(event, QUERY, None, (), answer_id=answer_id, at=datetime(2026, 11, 24, tzinfo=UTC))


async def test_an_entry_is_in_the_file_once_its_future_is_done(tmp_path: Path) -> None:
    trail = FileAuditLog(tmp_path / "sub" / "audit.jsonl")

    await trail.append(entry("a-1"))
    written = json.loads((tmp_path / "sub" / "audit.jsonl").read_text())

    await trail.aclose()
    assert (written["answer_id"], written["bank"], written["operator"], written["purpose"], written["categories"]) == (
        "a-1",
        "bank-a",
        "op-7",
        "PRE_LOAN",
        ["PENALTY"],
    )


async def test_a_thousand_entries_at_once_all_stand_in_whole_lines(tmp_path: Path) -> None:
    trail = FileAuditLog(tmp_path / "audit.jsonl")

    await asyncio.gather(*(trail.append(entry(str(n))) for n in range(1_000)))

    await trail.aclose()
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["answer_id"] for line in lines] == [str(n) for n in range(1_000)]


@pytest.mark.parametrize(
    ("cpu_share", "commits_per_s", "is_busy"), [(0.5, 100, False), (0.5, 10, False), (0.9, 100, True), (0.9, 20, True)]
)
def test_a_batch_waits_for_company_only_where_the_loop_is_busy(
    cpu_share: float, commits_per_s: int, is_busy: bool
) -> None:
    loop = Busyness(cpu_s=3.0, now=0.0)

    for commit in range(1, commits_per_s + 1):
        loop.note(3.0 + commit * cpu_share / commits_per_s, commit / commits_per_s)

    assert loop.is_busy is is_busy
    assert loop.share == pytest.approx(cpu_share, rel=0.05)
    loop.note(3.0 + cpu_share, now=10.0)
    assert not loop.is_busy  # after a silence


async def test_entries_that_come_while_a_busy_loop_computes_share_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_file, "_BUSY_SHARE", 0.0)
    monkeypatch.setattr(audit_file, "_LINGER_S", 3_600.0)  # it is the trail's closing, not the time, that ends the wait
    syncs: list[int] = []
    trail = FileAuditLog(tmp_path / "audit.jsonl", sync=syncs.append)
    before = len(syncs)
    waiting = [asyncio.ensure_future(trail.append(entry(str(n)))) for n in range(20)]
    _, not_yet = await asyncio.wait(waiting, timeout=0.05)

    await trail.aclose()

    await asyncio.gather(*waiting)
    assert (len(not_yet), len(syncs) - before) == (20, 1)


async def test_what_waits_is_written_when_the_trail_closes(tmp_path: Path) -> None:
    trail = FileAuditLog(tmp_path / "audit.jsonl")
    waiting = [trail.append(entry(str(n))) for n in range(50)]

    await trail.aclose()

    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == len(waiting)
    with pytest.raises(StoreError):
        trail.append(entry("late"))


async def test_D1_a_full_disk_fails_the_entry_leaves_no_torn_line_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = FileAuditLog(path)
    await trail.append(entry("before"))
    before = path.stat().st_size
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 20, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            await trail.append(entry("lost"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)

    assert path.stat().st_size == before
    await trail.append(entry("after"))
    await trail.aclose()
    assert [json.loads(line)["answer_id"] for line in path.read_text().splitlines()] == ["before", "after"]


async def test_a_place_that_cannot_be_written_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot be opened"):
        FileAuditLog(tmp_path / "file" / "audit.jsonl")


async def test_D2_a_line_that_a_killed_writer_left_torn_is_cut_off_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = FileAuditLog(path)
    await trail.append(entry("whole"))
    await trail.aclose()
    with path.open("ab") as file:
        file.write(b'{"answer_id": "torn' + b"x" * 100_000)

    again = FileAuditLog(path)
    await again.append(entry("next"))
    await again.aclose()

    assert [json.loads(line)["answer_id"] for line in path.read_text().splitlines()] == ["whole", "next"]


async def test_D2_a_trail_of_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"answer_id": "torn')

    trail = FileAuditLog(path)
    await trail.append(entry("first"))
    await trail.aclose()

    assert [json.loads(line)["answer_id"] for line in path.read_text().splitlines()] == ["first"]


async def test_D4_a_trail_has_one_writer_and_the_second_is_told(tmp_path: Path) -> None:
    trail = FileAuditLog(tmp_path / "audit.jsonl")

    with pytest.raises(StoreError, match="another gateway writes it"):
        FileAuditLog(tmp_path / "audit.jsonl")

    await trail.aclose()
    again = FileAuditLog(tmp_path / "audit.jsonl")
    await again.aclose()
