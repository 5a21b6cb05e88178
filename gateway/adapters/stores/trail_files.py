"""The files of a trail: the one that is written, the segments before it, and what their ends say.

    audit.jsonl                       written
    audit.jsonl.lock                  held by its one writer; in it the trail's id, by which archived copies name it
    audit.jsonl.000000000000001       segments that are full, by the sequence number of their first entry
    audit.jsonl.unchained             what a version without chain wrote, if there was one

The chain goes on from segment to segment. Everything here reads piece by piece: a trail may be far larger than memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway.domain.errors import StoreError
from gateway.domain.trail import BEGINNING, LONGEST_LINE, Link, sequence_in, taken_apart

CHUNK: Final = 1024 * 1024
_TAIL: Final = 64 * 1024
_SEGMENT: Final = re.compile(r"\.([0-9]{15})")
UNCHAINED: Final = ".unchained"
_ID: Final = re.compile(rb"[0-9a-f]{32}")


class Line(NamedTuple):
    """One line without its end, and where in its file the next one begins."""

    content: bytes
    end: int


class Tail(NamedTuple):
    """The end of a trail: what the next entry is chained to, and whether what stands there has no chain."""

    link: Link
    is_unchained: bool = False


def segment_name(path: Path, first: int) -> Path:
    """Gives where the trail's segment that begins with that sequence number stands."""
    return path.with_name(f"{path.name}.{first:015d}")


def first_of(path: Path, segment: Path) -> int | None:
    """Gives the sequence number a segment of the trail begins with, by its name; None for the file that is written."""
    found = _SEGMENT.fullmatch(segment.name.removeprefix(path.name))
    return int(found[1]) if found else None


def segments_of(path: Path) -> Sequence[Path]:
    """Gives the files of a trail that are there, in order: its full segments, then the one that is written."""
    beside = path.parent.glob(f"{_escaped(path.name)}.*")
    full = sorted(each for each in beside if first_of(path, each) is not None)
    return [*full, path] if path.exists() else full


def trails_of(path: Path) -> Sequence[Path]:
    """Gives the trails at a path: that one, and those of the workers of one port (audit.1.jsonl, …), in order."""
    pattern = re.compile(_workers(path) + r"(\.[0-9]{15})?")
    numbers = {
        int(found[1])
        for each in path.parent.glob(f"{_escaped(path.stem)}.*")
        if (found := pattern.fullmatch(each.name))
    }
    own = [path] if segments_of(path) else []
    return own + [path.with_name(f"{path.stem}.{number}{path.suffix}") for number in sorted(numbers)]


def is_of_workers(path: Path, name: str) -> bool:
    """Whether a name is that of a worker's trail beside the one at a path."""
    return re.fullmatch(_workers(path), name) is not None


def _workers(path: Path) -> str:
    return re.escape(path.stem) + r"\.(0|[1-9][0-9]{0,8})" + re.escape(path.suffix)


def lock_of(path: Path) -> Path:
    """Gives where the file stands that a trail's writer holds."""
    return path.with_name(f"{path.name}.lock")


def id_in(lock: bytes) -> str:
    """Gives the trail's id that the lock's content states; "" where it states none."""
    return lock[:32].decode() if _ID.match(lock) else ""


def id_of(path: Path) -> str:
    """Gives the id of the trail at a path; "" where it has none. Raises OSError."""
    try:
        return id_in(lock_of(path).read_bytes())
    except FileNotFoundError:
        return ""


def entry_at(file: Path, sequence: int) -> bytes | None:
    """Gives the line of that number in a file of a trail, in some twenty reads however long it is; None if it has none.

    Raises OSError; a place that is no entry's ends the search without one.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        low, high = 0, os.fstat(descriptor).st_size
        while high - low > _TAIL:
            middle = (low + high) // 2
            begin = _line_after(descriptor, middle - 1, high)
            if begin is None:
                high = middle
                continue
            stated = sequence_in(os.pread(descriptor, 64, begin))
            if stated is None:
                return None
            low, high = (begin, high) if stated <= sequence else (low, middle)
    finally:
        os.close(descriptor)
    for line in lines_of(file, low):
        stated = sequence_in(line.content)
        if stated is None or stated >= sequence:
            return line.content if stated == sequence else None
    return None


def _line_after(file: int, at: int, end: int) -> int | None:
    """Gives where the first line begins whose predecessor's end is at a place or after it, before `end`."""
    while at < end:
        piece = os.pread(file, min(_TAIL, end - at), at)
        if not piece:
            return None
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1 if at + found + 1 < end else None
        at += len(piece)
    return None


def lines_of(file: Path, begin: int = 0, end: int | None = None) -> Iterator[Line]:
    """Yields the whole lines of a file between two places; what stands after the last line end is left out.

    A line that is longer than any entry comes as its beginning only, and is no entry. Raises OSError.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        at, kept, skipped = begin, b"", 0
        while end is None or at < end:
            read = os.pread(descriptor, CHUNK if end is None else min(CHUNK, end - at), at)
            if not read:
                return
            at += len(read)
            *whole, rest = (kept + read).split(b"\n")
            place = at - len(rest) - sum([len(line) + 1 for line in whole])
            for line in whole:
                place += len(line) + 1
                yield Line(line[:64] if skipped else line, place)
                skipped = 0
            kept = rest
            if len(kept) > LONGEST_LINE:
                skipped += len(kept) - 64
                kept = kept[:64]
    finally:
        os.close(descriptor)


def anchored_in(file: Path) -> Iterator[bytes]:
    """Yields the lines of a file of anchors; the last one also where a copy left its line end out. Raises OSError."""
    end = 0
    for line in lines_of(file):
        end = line.end
        yield line.content
    with file.open("rb") as rest:
        rest.seek(end)
        if last := rest.read(LONGEST_LINE):
            yield last


def cut_torn_line(file: int) -> None:
    """Cuts off what stands after the last line end: a killed writer's half line, which nobody was answered on."""
    size = end = os.fstat(file).st_size
    while end:
        begin = max(0, end - _TAIL)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(file, end)
        os.fsync(file)


def last_line(file: int, size: int) -> bytes:
    """Gives the last line of a file that ends with a line end, without it; nothing of an empty one."""
    begin, read = size, b""
    while begin and read.count(b"\n", 0, -1) == 0 and len(read) <= LONGEST_LINE:
        piece = min(_TAIL, begin)
        begin -= piece
        read = os.pread(file, piece, begin) + read
    return read[:-1].rpartition(b"\n")[2]


def tail_of(name: str, file: int) -> Tail:
    """Gives how the file of a trail ends; raises StoreError naming the line where what stands there is no sound entry."""
    size = os.fstat(file).st_size
    if not size:
        return Tail(BEGINNING)
    line = last_line(file, size)
    entry = taken_apart(line)
    if entry is not None and entry.is_sound:
        return Tail(entry.link)
    if entry is None and _is_unchained(line):
        return Tail(BEGINNING, is_unchained=True)
    what = "does not fit its hash" if entry is not None else "is no entry"
    raise StoreError(
        f"{name}: line {_line_count(file)}, the last one, {what}: the trail was changed, and nothing goes on after it; "
        "keep the file as evidence, see `xinyidai audit verify`, and move it away to begin a new trail"
    )


def _is_unchained(line: bytes) -> bool:
    try:
        entry = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # no UTF-8, or nested too deep
        return False
    return isinstance(entry, dict) and {"event", "time"} <= entry.keys() and "hash" not in entry


def _line_count(file: int) -> int:
    count = at = 0
    while piece := os.pread(file, CHUNK, at):
        count += piece.count(b"\n")
        at += len(piece)
    return count


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
