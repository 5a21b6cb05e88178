"""The trail as JSON lines in one file: one writer thread, group commit, and the answer waits for its fsync.

Entries that arrive while a batch is being written form the next batch, so that many queries share one fsync. When a write
fails, the batch is taken back (the file is cut to what is durable), every waiter is told, and the next batch tries again:
no torn line stays, and the trail recovers without repair. So a file has one writer, which a lock on it holds; a line that a
killed writer left half written is cut off by the next: nobody was answered on it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import msgspec

from gateway.domain.audit import AuditEntry
from gateway.domain.errors import StoreError
from gateway.domain.evidence import Receipt, ViewCopy

_LINGER_S: Final = 0.008
_BUSY_PER_S: Final = 250.0
"""A batch waits for company only where so many entries arrive: there queries queue for the processor anyway, and fewer syncs
serve all of them sooner (PostgreSQL's commit_delay and commit_siblings). Elsewhere the wait would be each query's own."""
_REMEMBERED_S: Final = 0.2
_CHUNK: Final = 64 * 1024
_CLOSED: Final = "the trail is closed; the gateway is shutting down"


class FileAuditLog:
    """Appends entries to a file; made on the running loop, closed by who made it."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the trail {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _cut_torn_line(self._file)
        except OSError as error:
            os.close(self._file)
            held = "another gateway writes it" if isinstance(error, BlockingIOError) else error.strerror
            raise StoreError(f"the trail {path} cannot be opened: {held}") from error
        self._encode = msgspec.json.Encoder().encode
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: list[tuple[bytes, asyncio.Future[Receipt | None]]] = []
        self._is_closing = False
        self._closing = threading.Event()
        self._durable_bytes = os.fstat(self._file).st_size
        self._thread = threading.Thread(target=self._write_batches, name="audit-writer", daemon=True)
        self._thread.start()

    def append(self, entry: AuditEntry, copy: ViewCopy | None = None) -> Awaitable[Receipt | None]:
        """Gives a future that is done once the entry is durable; it raises StoreError when it cannot be made so."""
        future: asyncio.Future[Receipt | None] = self._loop.create_future()
        line = self._encode(entry) + b"\n"
        with self._wake:
            if self._is_closing:
                raise StoreError(_CLOSED)
            self._waiting.append((line, future))
            if len(self._waiting) == 1:
                self._wake.notify()
        return future

    async def aclose(self) -> None:
        """Writes what waits, then closes the file."""
        with self._wake:
            self._is_closing = True
            self._closing.set()
            self._wake.notify()
        await self._loop.run_in_executor(None, self._thread.join)
        os.close(self._file)

    def _write_batches(self) -> None:
        pace = Pace(time.monotonic())
        while True:
            with self._wake:
                while not self._waiting and not self._is_closing:
                    self._wake.wait()
                if not self._waiting:
                    return
            if pace.is_busy:
                self._closing.wait(_LINGER_S)
            with self._wake:
                batch, self._waiting = self._waiting, []
            pace.note(len(batch), time.monotonic())
            failure = self._write(b"".join(line for line, _ in batch))
            self._loop.call_soon_threadsafe(_settle, [future for _, future in batch], failure)

    def _write(self, content: bytes) -> StoreError | None:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError as error:
            # What the failed batch left behind must not stand as half a line before the next one.
            try:
                os.ftruncate(self._file, self._durable_bytes)
            except OSError as second:
                return StoreError(f"the trail cannot be written nor taken back: {second.strerror}")
            return StoreError(f"the trail cannot be written: {error.strerror}")
        self._durable_bytes += len(content)
        return None


class Pace:
    """How many entries arrive a second, as far as the last fifth of one tells."""

    def __init__(self, now: float) -> None:
        self.per_s = 0.0
        self._noted_at = now

    @property
    def is_busy(self) -> bool:
        """Whether it is worth waiting for company."""
        return self.per_s >= _BUSY_PER_S

    def note(self, entries: int, now: float) -> None:
        """Takes in the entries that arrived since the last time."""
        elapsed_s = max(now - self._noted_at, 1e-6)
        self._noted_at = now
        self.per_s += (entries / elapsed_s - self.per_s) * min(1.0, elapsed_s / _REMEMBERED_S)


def _cut_torn_line(file: int) -> None:
    """Cuts off what stands after the last line end."""
    size = end = os.fstat(file).st_size
    while end:
        begin = max(0, end - _CHUNK)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(file, end)
        os.fsync(file)


def _settle(futures: list[asyncio.Future[Receipt | None]], failure: StoreError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
