"""The trail's one writer: the chain it keeps over restarts and segments, and its signed roots."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.trail_files import lines_of, segments_of
from gateway.domain.errors import StoreError
from gateway.domain.evidence import Leaf
from gateway.domain.merkle import is_included, root_message
from gateway.domain.statement import sm3
from tests.adapters.archiving import COPY, Archive, check_of
from tests.adapters.test_audit_file import entry
from tests.domain.trails import KEY, KeySigner


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


@pytest.mark.parametrize(
    "last",
    [None, b"no entry\n", b'{"event":"\xff"}\n', b"[" * 10_000 + b"\n"],
    ids=["changed", "none", "no UTF-8", "nested"],
)
async def test_A13_nothing_goes_on_after_a_last_entry_that_was_changed(tmp_path: Path, last: bytes | None) -> None:
    path = tmp_path / "audit.jsonl"
    trail = FileAuditLog(path)
    await asyncio.gather(*(trail.append(entry(str(number))) for number in range(3)))
    await trail.aclose()
    changed = path.read_bytes().splitlines(keepends=True)
    changed[2] = changed[2].replace(b"bank-a", b"bank-b") if last is None else last
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
