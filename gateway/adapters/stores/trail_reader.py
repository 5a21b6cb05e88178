"""Reads trails on disk for those whose entries they are: in a thread, piece by piece, never more than a page in memory.

Entries of this process's own trail are given once they are durable. An entry whose hash does not fit is not given, and ends
the export: what comes after it cannot be trusted either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from gateway.adapters.stores.trail_files import lines_of, segments_of, trails_of
from gateway.domain.errors import CorruptRecordError, InvalidRequestError, StoreUnavailableError
from gateway.domain.trail import taken_apart
from gateway.domain.trail_query import FoundRecord, TrailPosition, TrailQuery, TrailRecord

_PAGE: Final = 200
_LINES: Final = 5_000
"""How many lines a thread looks at before it looks up: a caller who is gone is noticed then."""
_OUT_OF_ORDER: Final = timedelta(minutes=10)
"""Entries are written as they come, and say when they happened: by so much a file's first one may be the later."""
_decode = msgspec.json.Decoder(TrailRecord).decode


class FileTrailReader:
    """Reads the trails at a path; `durable` gives the name of this process's own and the number of its last entry.

    `corrupt` is told, on the loop, of an entry that was changed.
    """

    def __init__(
        self,
        path: Path,
        durable: Callable[[], tuple[str, int]],
        corrupt: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._path = path
        self._durable = durable
        self._corrupt = corrupt

    async def read(self, asked: TrailQuery, after: TrailPosition | None) -> AsyncIterator[Sequence[FoundRecord]]:
        """Yields pages of entries, empty ones too; raises InvalidRequestError for a position that is in no trail here."""
        loop = asyncio.get_running_loop()
        pages = self._pages(asked, after)
        try:
            while (page := await loop.run_in_executor(None, next, pages, None)) is not None:
                yield page
        except CorruptRecordError:
            self._corrupt("trail")
            raise

    def _pages(self, asked: TrailQuery, after: TrailPosition | None) -> Iterator[Sequence[FoundRecord]]:
        trails = list(trails_of(self._path))
        if after is not None:
            names = [trail.name for trail in trails]
            if after.trail not in names:
                raise InvalidRequestError("after_position", "is of no trail of this gateway")
            trails = trails[names.index(after.trail) :]
        own, last = self._durable()
        try:
            for trail in trails:
                begin = after.sequence + 1 if after is not None and after.trail == trail.name else 1
                end = last if trail.name == own else None
                yield from _pages_of(trail, asked, begin, end)
        except OSError as error:
            raise StoreUnavailableError(f"the trail cannot be read: {error.strerror}") from error


def _pages_of(trail: Path, asked: TrailQuery, begin: int, end: int | None) -> Iterator[Sequence[FoundRecord]]:
    wanted = b'"bank":%b' % msgspec.json.encode(asked.bank)
    page: list[FoundRecord] = []
    seen = 0
    for segment in _segments(trail, asked, begin):
        for line, _ in lines_of(segment):
            seen += 1
            if wanted in line:
                record = _record(trail, line)
                if end is not None and record.sequence > end:
                    break
                if record.sequence >= begin and asked.takes(record):
                    page.append(FoundRecord(TrailPosition(trail.name, record.sequence), record, line))
            if len(page) >= _PAGE or seen >= _LINES:
                yield page
                page, seen = [], 0
    yield page


def _record(trail: Path, line: bytes) -> TrailRecord:
    entry = taken_apart(line)
    try:
        if entry is not None and entry.is_sound:
            return _decode(line)
    except (ValueError, RecursionError):  # no UTF-8, or nested too deep
        pass
    where = f"entry {entry.sequence}" if entry is not None else "an entry that cannot be read"
    raise CorruptRecordError(f"the trail {trail.name} was changed at {where}; see `xinyidai audit verify`")


def _segments(trail: Path, asked: TrailQuery, begin: int) -> Sequence[Path]:
    """Gives the files that may have what is asked for: by the number and the time that the next one begins with."""
    files = list(segments_of(trail))
    wanted = []
    for segment, following in zip(files, [*files[1:], None], strict=True):
        first = _first(following) if following is not None else None
        if first is not None:
            if first.sequence <= begin - 1:
                continue
            if asked.since is not None and datetime.fromisoformat(first.time) < asked.since - _OUT_OF_ORDER:
                continue
        own = _first(segment)
        if own is not None and asked.until is not None:
            latest = asked.until.astimezone(UTC) + _OUT_OF_ORDER
            if datetime.fromisoformat(own.time) > latest:
                break
        wanted.append(segment)
    return wanted


def _first(segment: Path) -> TrailRecord | None:
    line = next(lines_of(segment), None)
    try:
        return _decode(line.content) if line is not None else None
    except (ValueError, RecursionError):  # no UTF-8, or nested too deep
        return None
