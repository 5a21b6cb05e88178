"""The trail as JSON lines: one writer thread, group commit, and the answer waits for its fsync.

Entries that arrive while a batch is being written form the next batch, so that many queries share one fsync. Each commit, in
this order: take the batch; number and chain its entries; put its answers under one signed root; archive their copies; write
and sync the lines; tell who waits. Whatever fails, the batch is taken back (the file is cut to what is durable), every waiter
is told, and the next batch tries again: no torn line stays, and the trail recovers without repair.

An archived copy whose batch failed after it is an orphan: no entry speaks of it, and nobody was answered with it. It is
withdrawn with its batch, as soon as the archive can; what a crash leaves is found at the next start (`Archive.settle`), and
until then it is not given, since its root does not stand in the trail (`trail_roots`).

The writer looks at its disk now and then: the trail ails before the disk is full, and is well again when there is room. A
disk that neither writes nor fails, as one behind a network that is away, holds the writer: so the loop looks at the writer.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import msgspec
import structlog

from gateway.adapters.stores.trail_batch import Batch, Evidence, Proved, batch_of
from gateway.adapters.stores.trail_disk import Sync, TrailDisk
from gateway.domain.audit import AuditEntry
from gateway.domain.errors import StoreError
from gateway.domain.evidence import ArchivedView, Receipt, ViewCopy
from gateway.domain.trail import Link
from gateway.store_ports import ViewArchive

_LINGER_S: Final = 0.008
_BUSY_SHARE: Final = 0.6
"""A batch waits so long for company where the loop's thread computes for such a share of the time: there queries queue for
it anyway, and fewer commits serve all of them sooner (PostgreSQL's commit_delay). Elsewhere the wait would be each query's
own."""
_REMEMBERED_S: Final = 0.2
_MOST_ORPHANS: Final = 10_000
_NOTHING: Final = b"xinyidai-nothing-1"
"""What is signed to see whether the key can be used: no root, no head of a trail."""
_HANGS: Final = "its disk, or the archive's store, neither writes nor fails"
_CLOSED: Final = "the trail is closed; the gateway is shutting down"
_log = structlog.get_logger("gateway.trail")

_Waiting = tuple[bytes, Proved | None, "asyncio.Future[Receipt | None]", ArchivedView | None]
"""An entry as JSON, the answer it is of, who waits for it, and the copy, without its view, that it takes back."""


@dataclass(frozen=True, slots=True)
class TrailPolicy:
    """When the file is set aside as a full segment (0: never), and how much must be free for the trail to be well.

    What is under way for longer than `hangs_s` hangs.
    """

    segment_bytes: int = 1024 * 1024 * 1024
    least_free_bytes: int = 256 * 1024 * 1024
    least_free_percent: float = 1.0
    look_s: float = 2.0
    hangs_s: float = 5.0


class FileAuditLog:
    """Appends entries to a file; made on the running loop, closed by who made it.

    `changed` is called on the loop when the trail comes to ail, or is well again. With `evidence`, entries that come with
    their view's copy are given a receipt.
    """

    def __init__(
        self,
        path: Path,
        *,
        evidence: Evidence | None = None,
        policy: TrailPolicy = TrailPolicy(),
        changed: Callable[[], None] = lambda: None,
        sync: Sync = os.fdatasync,
    ) -> None:
        self.name = path.name
        self._evidence = evidence
        self._policy = policy
        self._changed = changed
        self._disk = TrailDisk(path, segment_bytes=policy.segment_bytes, sync=sync)
        self._encode = msgspec.json.Encoder().encode
        self._loop = asyncio.get_running_loop()
        # Put and taken in C: a condition variable costs several times as much to wake up by. None is the last to be put.
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._is_closing = False
        self._stopped_because = ""
        self._orphans: deque[ArchivedView] = deque(maxlen=_MOST_ORPHANS)
        self._failure = ""
        self._is_archive_away = False
        self._shortage = ""
        self._look_at = 0.0
        self._at_work_since: float | None = None
        self._hang = ""
        self._closing = threading.Event()
        self._loop_clock = time.pthread_getcpuclockid(threading.get_ident())
        self._thread = threading.Thread(target=self._write_batches, name="audit-writer", daemon=True)
        self._thread.start()
        self._timer = self._loop.call_later(policy.look_s, self._look_at_writer)

    @property
    def ails(self) -> str:
        """What is wrong with the trail: it cannot be written, signed or archived, its disk is full, or it is stopped."""
        return self._failure or self._shortage or self._hang or ("" if self._is_closing else self._stopped_because)

    @property
    def head(self) -> Link:
        """The end of what is durable."""
        return self._disk.link

    @property
    def id(self) -> str:
        """Names the trail where its copies are kept together with others'."""
        return self._disk.id

    def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Awaitable[Receipt | None]:
        """Gives a future that is done once the entry is durable; it raises StoreError when it cannot be made so.

        A copy that is taken back is withdrawn right after; where that fails, with those of the commits that failed.
        """
        if self._stopped_because:
            raise StoreError(self._stopped_because)
        if self._hang:
            raise StoreError("the trail cannot be written: what is being written does not end")
        future: asyncio.Future[Receipt | None] = self._loop.create_future()
        orphan = None if taken_back is None else self._orphan(entry, taken_back)
        self._waiting.put((self._encode(entry), Proved(entry, copy) if copy is not None else None, future, orphan))
        return future

    def stop(self, because: str) -> None:
        """Takes no more entries for that reason, so that nothing is answered; with none, takes them again."""
        if self._is_closing or because == self._stopped_because:
            return
        self._stopped_because = because
        self._changed()

    async def aclose(self) -> None:
        """Writes what waits, then closes the file."""
        # All on the loop, as `append` is: nothing is put after the last.
        self._is_closing = True
        self._stopped_because = _CLOSED
        self._closing.set()
        self._timer.cancel()
        self._waiting.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._disk.close()

    def _write_batches(self) -> None:
        self._at_work_since = time.monotonic()
        loop = Busyness(time.clock_gettime(self._loop_clock), self._at_work_since)
        self._look_if_due(is_idle=True)
        waiting = self._waiting
        while True:
            self._at_work_since = None
            try:
                first = waiting.get(timeout=self._policy.look_s)
            except Empty:
                self._at_work_since = time.monotonic()
                self._look_if_due(is_idle=True)
                continue
            if first is None:
                return
            self._at_work_since = time.monotonic()
            self._look_if_due(is_idle=False)
            if loop.is_busy:
                self._closing.wait(_LINGER_S)
            more = [waiting.get() for _ in range(waiting.qsize())]
            is_last = bool(more) and more[-1] is None
            loop.note(time.clock_gettime(self._loop_clock), time.monotonic())
            self._commit([first, *[each for each in more if each is not None]])
            if is_last:
                return

    def _look_at_writer(self) -> None:
        self._timer = self._loop.call_later(self._policy.look_s, self._look_at_writer)
        since = self._at_work_since
        hangs = since is not None and time.monotonic() - since > self._policy.hangs_s
        if hangs == bool(self._hang):
            return
        self._hang = _HANGS if hangs else ""
        if not (self._failure or self._shortage):
            (_log.error if hangs else _log.info)("trail.ails" if hangs else "trail.well", why=self._hang)
        self._changed()

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        receipts: Sequence[Receipt | None] = ()
        failure: StoreError | None = None
        archive = self._evidence.archive if self._evidence is not None else None
        made: Batch | None = None
        is_kept = False
        try:
            entries = [(entry, proved) for entry, proved, *_ in batch]
            made = batch_of(self._disk.link, entries, self._evidence, self._disk.id)
            if archive is not None and made.copies:
                self._is_archive_away = True
                archive.keep(made.copies)
                self._is_archive_away = False
                is_kept = True
            self._disk.write(made.content, made.link)
            receipts = made.receipts
        except StoreError as error:
            failure = error
        except Exception as error:  # the thread lives on: without it every query would wait for ever
            _log.exception("trail.fault", entries=len(batch))
            failure = StoreError(f"the trail cannot be written: {type(error).__name__}")
        if failure is not None or (self._failure and not self._is_archive_away):  # else it has nothing to be archived
            self._tell(str(failure) if failure is not None else "", self._shortage)
        self._loop.call_soon_threadsafe(_settle, [future for _, _, future, _ in batch], receipts, failure)
        if failure is not None and made is not None:
            # Even where it was the archive that failed: what it did not confirm it may have kept.
            self._orphans.extend(copy._replace(view=b"") for copy in made.copies)
        taken_back = [copy for *_, copy in batch if copy is not None] if failure is None else []
        self._orphans.extend(taken_back)
        if archive is not None and self._orphans and (is_kept or taken_back):
            self._withdraw(archive)  # not while it fails: the next commit would wait for that
        if failure is None:
            try:
                self._disk.set_aside_if_full()
            except OSError as error:
                _log.warning("trail.segment_not_set_aside", why=error.strerror)

    def _orphan(self, entry: AuditEntry, receipt: Receipt) -> ArchivedView:
        """Gives as much of an answer's copy as it takes to withdraw it."""
        at = datetime.fromisoformat(entry.time)
        return ArchivedView(entry.bank, entry.answer_id, "", b"", receipt, "", at, trail=self._disk.id)

    def _withdraw(self, archive: ViewArchive) -> None:
        """Takes back the copies of commits that failed, and of answers that were withheld after their entries.

        Where that fails too, it is tried again after the next answers.
        """
        try:
            archive.withdraw(tuple(self._orphans))
        except Exception as error:  # whatever it is, the writer goes on: what is left is not given, and is found later
            _log.warning("archive.orphans_left", copies=len(self._orphans), why=type(error).__name__)
            return
        self._orphans.clear()

    def _try_archive(self) -> None:
        """Sees whether an archive that failed can be written, by withdrawing what it may have kept; raises StoreError."""
        archive = self._evidence.archive if self._evidence is not None else None
        if archive is None or not self._is_archive_away:
            return
        try:
            archive.withdraw(tuple(self._orphans))
        except StoreError:
            raise
        except Exception as error:  # the thread lives on, as in a commit
            raise StoreError(f"answers cannot be archived: {type(error).__name__}") from error
        self._orphans.clear()
        self._is_archive_away = False

    def _look_if_due(self, *, is_idle: bool) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + self._policy.look_s
        failure, shortage = self._failure, self._shortage
        try:
            free_bytes, free_percent = self._disk.free()
            is_short = free_bytes < self._policy.least_free_bytes or free_percent < self._policy.least_free_percent
            shortage = f"{free_bytes // 1024**2} MiB ({free_percent:.1f} %) are left on its disk" if is_short else ""
            if failure and not is_short and (is_idle or self._is_archive_away):
                self._disk.make_sure()
                self._try_signer()
                self._try_archive()
                failure = ""  # as far as can be told without an entry; the next one will show
        except OSError as error:
            shortage = f"its disk cannot be asked: {error.strerror}"
        except StoreError as error:
            failure = str(error)
        except Exception as error:  # the thread lives on, as in a commit
            failure = f"the trail's disk cannot be looked at: {type(error).__name__}"
        self._tell(failure, shortage)

    def _try_signer(self) -> None:
        """Sees whether the key can be used, by signing what stands for nothing; raises StoreError."""
        if self._evidence is None:
            return
        try:
            self._evidence.signer.sign(_NOTHING)
        except StoreError:
            raise
        except Exception as error:  # the thread lives on, as in a commit
            raise StoreError(f"answers cannot be signed: {type(error).__name__}") from error

    def _tell(self, failure: str, shortage: str) -> None:
        was_well = not (self._failure or self._shortage)
        self._failure, self._shortage = failure, shortage
        why = failure or shortage
        if was_well == bool(why):
            (_log.error if why else _log.info)("trail.ails" if why else "trail.well", why=why)
            self._loop.call_soon_threadsafe(self._changed)


class Busyness:
    """For what share of the time a thread computes, as far as the last fifth of a second tells."""

    def __init__(self, cpu_s: float, now: float) -> None:
        """Takes the processor's time that the thread has had so far."""
        self.share = 0.0
        self._cpu_s = cpu_s
        self._noted_at = now

    @property
    def is_busy(self) -> bool:
        """Whether those who wait for the thread wait anyway."""
        return self.share >= _BUSY_SHARE

    def note(self, cpu_s: float, now: float) -> None:
        """Takes in the processor's time that the thread has had by now."""
        elapsed_s = max(now - self._noted_at, 1e-6)
        newest = (cpu_s - self._cpu_s) / elapsed_s
        self._cpu_s, self._noted_at = cpu_s, now
        self.share += (newest - self.share) * min(1.0, elapsed_s / _REMEMBERED_S)


def _settle(
    futures: Sequence[asyncio.Future[Receipt | None]],
    receipts: Sequence[Receipt | None],
    failure: StoreError | None,
) -> None:
    for number, future in enumerate(futures):
        if future.done():
            continue
        if failure is None:
            future.set_result(receipts[number])
        else:
            future.set_exception(failure)
