"""Standard error as the log's lines go to it: whatever becomes of them, nobody who logs is failed or held up by it.

    a full disk, a reader that is gone   the line is lost, and counted
    a reader that does not read          is waited for, once; lines are lost from then on until it reads again

Once lines can be written again, one says how many were not. Until then nothing but a metric can tell.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from datetime import UTC, datetime
from typing import Final

WHOLE_BYTES: Final = 4_096
"""What a pipe takes in one piece (PIPE_BUF): workers share one, and lines of two must not run into each other."""


class LogStream:
    """Writes whole lines to a descriptor; of any thread, and raises nothing."""

    def __init__(self, descriptor: int, *, patience_ms: int = 1_000) -> None:
        """Takes how long a reader is waited for."""
        self._descriptor = descriptor
        self._patience_ms = patience_ms
        self._lock = threading.Lock()
        self._untold = 0
        self._is_torn = False
        self.lost = 0
        """How many lines were lost so far."""

    def write(self, text: str) -> int:
        """Writes lines or loses them; gives how many characters it was given."""
        content = text.encode(errors="backslashreplace")
        with self._lock:
            told = self._telling() if self._untold else b""
            before = b"\n" if self._is_torn else b""
            try:
                self._put(before + told + content)
            except OSError:
                count = content.count(b"\n")
                self.lost += count
                self._untold += count
            else:
                self._untold = 0
        return len(text)

    def flush(self) -> None:
        """Does nothing: nothing is kept back."""

    def _put(self, content: bytes) -> None:
        rest = memoryview(content)
        # A file takes all at once, and a pipe what it has room for: more would wait for its reader.
        piece = len(rest) if stat.S_ISREG(os.fstat(self._descriptor).st_mode) else WHOLE_BYTES
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        while rest:
            if not room.poll(0 if self._untold else self._patience_ms):
                raise TimeoutError
            rest = rest[os.write(self._descriptor, rest[:piece]) :]
            self._is_torn = bool(rest)

    def _telling(self) -> bytes:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = f'{{"event":"log.lost","level":"warning","timestamp":"{at}","lines":{self._untold}}}\n'
        return line.encode()


STANDARD_ERROR: Final = LogStream(2)
"""One for the process, as the descriptor is."""
