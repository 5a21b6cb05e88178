"""The trail's file as its one writer holds it: opened with its chain, written whole batches or nothing, full ones set aside.

After a failed sync the kernel may have forgotten what it could not write, and says so once. So that is treated as a crash:
the batch is taken back, and nothing more is written until what should be durable was read again from the disk, not from
memory, and is what it was. Until then the trail is read-only, and the gateway answers nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import new as new_digest
from pathlib import Path
from typing import Final

import msgspec

from gateway.adapters.stores.trail_files import (
    CHUNK,
    UNCHAINED,
    cut_torn_line,
    id_in,
    lines_of,
    lock_of,
    segment_name,
    segments_of,
    tail_of,
)
from gateway.domain.errors import StoreError
from gateway.domain.trail import BEGINNING, BeginEntry, Link, line_of, taken_apart

Sync = Callable[[int], None]
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT


class TrailDisk:
    """One trail on disk; every method but the first is the writer thread's.

    `link` is the end of what is durable; `id` names the trail wherever its copies are kept together with others'.
    """

    def __init__(self, path: Path, *, segment_bytes: int, sync: Sync = os.fdatasync) -> None:
        """Opens the trail and finds its end; raises StoreError when it is held, cannot be opened, or was changed."""
        self._path = path
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._is_in_doubt = False
        self.link: Link = BEGINNING
        self.bytes = 0
        self._first = 1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the trail {path} cannot be opened: {error.strerror}") from error
        self._file = -1
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.id = self._named()
            self._file = os.open(path, _OPEN, 0o600)
            cut_torn_line(self._file)
            self._begin()
        except BaseException as error:
            self.close()
            if not isinstance(error, OSError):
                raise
            held = "another gateway writes it" if isinstance(error, BlockingIOError) else error.strerror
            raise StoreError(f"the trail {path} cannot be opened: {held}") from error

    def write(self, content: bytes, link: Link) -> None:
        """Makes whole lines durable, the last of which ends the chain at `link`; raises StoreError and takes them back."""
        self.make_sure()
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._take_back()
            raise StoreError(f"the trail cannot be written: {error.strerror}") from error
        try:
            self._sync(self._file)
        except OSError as error:
            self._is_in_doubt = True
            self._take_back()
            raise StoreError(f"the trail cannot be made durable: {error.strerror}") from error
        self.bytes += len(content)
        self.link = link

    def make_sure(self) -> None:
        """Sees that what should be durable is, where that is in doubt; raises StoreError while it is not."""
        if not self._is_in_doubt:
            return
        try:
            os.ftruncate(self._file, self.bytes)
            self._sync(self._file)
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)  # read from the disk, not from memory
            found = tail_of(self._path.name, self._file).link if self.bytes else BEGINNING
            size = os.fstat(self._file).st_size
        except OSError as error:
            raise StoreError(f"the trail is read-only until its disk is well: {error.strerror}") from error
        if size != self.bytes or (self.bytes and found != self.link):
            raise StoreError("the trail is read-only: what was durable is not on its disk any more")
        self._is_in_doubt = False

    def set_aside_if_full(self) -> None:
        """Makes a segment of the file where it is large enough, and begins the next; raises OSError and goes on with it."""
        if not self._segment_bytes or self.bytes < self._segment_bytes:
            return
        following = self._path.with_name(f"{self._path.name}.next")
        opened = os.open(following, _OPEN | os.O_TRUNC, 0o600)
        segment = segment_name(self._path, self._first)
        try:
            self._path.rename(segment)
            try:
                following.rename(self._path)
            except OSError:
                segment.rename(self._path)
                raise
        except OSError:
            os.close(opened)
            raise
        os.close(self._file)
        self._file, self.bytes, self._first = opened, 0, self.link.sequence + 1
        self._sync_folder()

    def free(self) -> tuple[int, float]:
        """Gives the free bytes of the trail's disk, and their share of all in percent; raises OSError."""
        disk = os.fstatvfs(self._file)
        return disk.f_bavail * disk.f_frsize, 100.0 * disk.f_bavail / max(disk.f_blocks, 1)

    def close(self) -> None:
        """Closes the file and lets go of the trail."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)

    def _named(self) -> str:
        """Gives the id in the lock; writes a new one, durably, before any copy can name it."""
        found = id_in(os.pread(self._lock, 64, 0))
        if found:
            return found
        made = secrets.token_hex(16)
        os.pwrite(self._lock, made.encode(), 0)
        os.fsync(self._lock)
        self._sync_folder()
        return made

    def _begin(self) -> None:
        tail = tail_of(str(self._path), self._file)
        self.link = tail.link
        self.bytes = os.fstat(self._file).st_size
        if tail.is_unchained:
            self._cover_unchained()
        elif not self.bytes:
            full = segments_of(self._path)[:-1]
            if full:
                self.link = _end_of(full[-1])
        self._first = self._first_sequence() if self.bytes else self.link.sequence + 1

    def _first_sequence(self) -> int:
        first = next(lines_of(self._path), None)
        entry = taken_apart(first.content) if first is not None else None
        if entry is None:
            raise StoreError(f"{self._path}: line 1 is no entry of a chain; see `xinyidai audit verify`")
        return entry.sequence

    def _cover_unchained(self) -> None:
        """Sets a trail of before the chain aside, and begins a chain that names it with its digest."""
        old = self._path.with_name(self._path.name + UNCHAINED)
        if old.exists() and not old.samefile(self._path):  # the same: a crash came in between, below
            raise StoreError(f"{self._path} has no chain, and {old} is there already: move one of them away")
        digest = new_digest("sm3")
        at = 0
        while piece := os.pread(self._file, CHUNK, at):
            digest.update(piece)
            at += len(piece)
        at_now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = BeginEntry(time=at_now, event="begun", covers=old.name, covered_digest=digest.hexdigest())
        line, link = line_of(BEGINNING, msgspec.json.encode(entry))
        following = self._path.with_name(f"{self._path.name}.next")
        opened = os.open(following, _OPEN | os.O_TRUNC, 0o600)
        os.write(opened, line)
        os.fsync(opened)
        if not old.exists():
            os.link(self._path, old)
        following.rename(self._path)
        os.close(self._file)
        self._file, self.bytes, self.link = opened, len(line), link
        self._sync_folder()

    def _take_back(self) -> None:
        # What the failed batch left behind must not stand as half a line before the next one.
        try:
            os.ftruncate(self._file, self.bytes)
        except OSError:
            self._is_in_doubt = True

    def _sync_folder(self) -> None:
        with suppress(OSError):  # some file systems cannot
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _end_of(segment: Path) -> Link:
    file = os.open(segment, os.O_RDONLY)
    try:
        return tail_of(str(segment), file).link
    finally:
        os.close(file)
