"""A bank's entries read off trails on disk that somebody changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.stores.trail_reader import FileTrailReader
from gateway.domain.errors import CorruptRecordError
from gateway.domain.trail import BEGINNING, line_of
from gateway.domain.trail_query import TrailQuery

ENTRY = b'{"time":"2026-11-26T00:00:00.000+00:00","event":"answered","bank":"bank-a","purpose":"%s"}'


@pytest.mark.parametrize(
    "content",
    [ENTRY % b"\xff", ENTRY.replace(b'"purpose":"%s"', b'"x":' + b"[" * 10_000 + b"]" * 10_000)],
    ids=["no UTF-8", "nested"],
)
async def test_an_entry_that_nobody_wrote_is_told_as_corrupt_though_its_hash_fits(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "audit.jsonl"
    line, _ = line_of(BEGINNING, content)
    path.write_bytes(line)
    told: list[str] = []
    reader = FileTrailReader(path, lambda: (path.name, 1), told.append)

    with pytest.raises(CorruptRecordError, match="entry 1"):
        [page async for page in reader.read(TrailQuery("bank-a"), None)]

    assert told == ["trail"]
