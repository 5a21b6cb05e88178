"""Whether a root stands in the trails on disk: found by its number in files of any length, and compared as a whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.trail_files import entry_at, id_of, lines_of, segments_of
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.domain.errors import CorruptRecordError
from gateway.domain.evidence import RootStanding, SignedRoot, ViewCopy
from gateway.domain.statement import sm3
from gateway.domain.trail import sequence_in
from tests.adapters.test_audit_file import entry
from tests.domain.trails import KeySigner

COPY = ViewCopy(b"the view", "91310115MA0TERT167", sm3(b"request"), "query")


async def written(path: Path, count: int = 6, *, segment_bytes: int = 0) -> list[SignedRoot]:
    """Writes a trail with a root every second entry, and gives the roots."""
    policy = TrailPolicy(segment_bytes=segment_bytes)
    trail = FileAuditLog(path, evidence=Evidence(KeySigner(), "SM3", sm3), policy=policy)
    receipts = [await trail.append(entry(str(number)), COPY) for number in range(count)]
    await trail.aclose()
    return [receipt.root for receipt in receipts if receipt is not None]


@pytest.mark.parametrize("segment_bytes", [0, 1_500])
async def test_every_root_is_found_in_its_trail_and_no_other_of_its_number(tmp_path: Path, segment_bytes: int) -> None:
    path = tmp_path / "audit.jsonl"
    roots = await written(path, segment_bytes=segment_bytes)
    look = FileTrailRoots(path)

    held = [await look.standing(id_of(path), root) for root in roots]
    others = [await look.standing(id_of(path), root._replace(signature=b"another")) for root in roots]
    beyond = await look.standing(id_of(path), roots[-1]._replace(sequence=99))

    assert held == [RootStanding.HELD] * 6
    assert others == [RootStanding.MISSING] * 6
    assert beyond is RootStanding.MISSING
    assert len(segments_of(path)) == (1 if not segment_bytes else 4)


async def test_what_is_written_but_not_durable_yet_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    roots = await written(path)

    look = FileTrailRoots(path, lambda: (path.name, roots[2].sequence))

    standing = [await look.standing(id_of(path), root) for root in roots]
    assert standing == [RootStanding.HELD] * 3 + [RootStanding.MISSING] * 3


async def test_of_another_machines_trail_or_a_segment_moved_away_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    roots = await written(path, segment_bytes=1_500)
    segments_of(path)[0].unlink()
    look = FileTrailRoots(path)

    assert await look.standing(id_of(path), roots[0]) is RootStanding.ELSEWHERE
    assert await look.standing("another", roots[0]) is RootStanding.ELSEWHERE
    assert await look.standing("", roots[-1]) is RootStanding.HELD
    assert await FileTrailRoots(tmp_path / "none").standing("", roots[-1]) is RootStanding.ELSEWHERE


async def test_the_trails_of_all_workers_are_looked_at(tmp_path: Path) -> None:
    one, two = [await written(tmp_path / f"audit.{number}.jsonl") for number in (1, 2)]
    look = FileTrailRoots(tmp_path / "audit.jsonl")
    names = [id_of(tmp_path / f"audit.{number}.jsonl") for number in (1, 2)]

    assert await look.standing(names[0], one[0]) is RootStanding.HELD
    assert await look.standing(names[1], one[0]) is RootStanding.MISSING
    assert await look.standing("", two[3]) is RootStanding.HELD
    assert len(set(names)) == 2


async def test_D4_an_altered_root_is_told_and_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    roots = await written(path)
    path.write_bytes(path.read_bytes().replace(roots[1].root.hex().encode(), b"0" * 64))

    with pytest.raises(CorruptRecordError, match=f"entry {roots[1].sequence}"):
        await FileTrailRoots(path).standing(id_of(path), roots[1])


async def test_the_id_of_a_trail_outlives_its_writers(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    ids = []
    for _ in range(2):
        trail = FileAuditLog(path)
        ids.append(trail.id)
        await trail.aclose()

    assert ids == [id_of(path)] * 2
    assert len(ids[0]) == 32


async def test_any_entry_of_a_long_file_is_found_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = FileAuditLog(path)
    await asyncio.gather(*(trail.append(entry("x" * (number % 7 * 400))) for number in range(700)))
    await trail.aclose()

    found = [entry_at(path, sequence) for sequence in range(1, 701)]

    assert path.stat().st_size > 8 * 64 * 1024
    assert found == [line.content for line in lines_of(path)]
    assert [sequence_in(line or b"") for line in found] == list(range(1, 701))
    assert entry_at(path, 701) is None
