"""Anchors heads in an append-only file on another path: another disk, a mount that only takes appends, a WORM volume.

Each head is one line, appended by one write and synced. Several processes may append to the same file: every head names its
trail. A disk that is not mounted any more leaves its folder behind, and what is written there is nobody's anchor: so no head
is taken where the folder is on another disk than before. At the start that cannot be told; a file that is made anew is.

Each head is written in a thread of its own, which nobody waits for at the end of the process: a disk across a network whose
server is gone lets go of no thread, and those of the loop's executor are others' too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from gateway.domain.anchor import TrailHead, head_line
from gateway.domain.errors import StoreError


class FileAnchor:
    """Appends heads to a file, which is opened anew each time: it may be moved away and back while the gateway runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._disk: int | None = None

    async def publish(self, head: TrailHead) -> None:
        """Appends the head durably; raises StoreError."""
        try:
            await _in_a_thread(partial(self._append, head_line(head)))
        except OSError as error:
            raise StoreError(f"the anchors {self._path} cannot be written: {error.strerror}") from error

    async def aclose(self) -> None:
        """Does nothing: no file is kept open."""

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        disk = self._path.parent.stat().st_dev
        if self._disk not in (None, disk):
            raise OSError(0, "they are on another disk than before; mount it, or restart the gateway if that is meant")
        is_new = not self._path.exists()
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(file, line) != len(line):
                os.write(file, b"\n")  # what half of it says is no head, and the next stands on a line of its own
                raise OSError(0, "only a part was written")
            os.fsync(file)
        finally:
            os.close(file)
        self._disk = disk
        if is_new:
            structlog.get_logger("gateway.trail").warning("anchor.made", file=str(self._path))


async def _in_a_thread(write: Callable[[], None]) -> None:
    """Runs it in a thread that holds up no end of the process; raises what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():  # whoever waited has gone
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        failure: Exception | None = None
        try:
            write()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="anchor", daemon=True).start()
    await done
