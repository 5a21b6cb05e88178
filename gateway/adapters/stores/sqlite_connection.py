"""Connections to an SQLite file that can be given up in the middle of anything, and leave no task behind.

A call that is cancelled in the middle of a statement has SQLAlchemy close its connection in a task of its own; cancelled once
more, as at a shutdown, it has the connection stopped too. aiosqlite (0.22) then queues a second end for a thread that has
ended at the first, and the task waits for it for ever: the loop that waits for its tasks would never close.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, Final

import aiosqlite

_ROWS_AT_ONCE: Final = 64


class SqliteConnection(aiosqlite.Connection):
    """A connection that ends once, however often it is asked to: whoever asks again waits for the first end."""

    _ending: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        """Ends the connection and its thread; gives what is done then, nothing where no loop runs."""
        if self._running:
            self._ending = super().stop()
        return self._ending


def sqlite_connection(database: str, **options: Any) -> SqliteConnection:
    """Gives a connection that opens when it is awaited; its thread keeps no process alive."""
    connection = SqliteConnection(lambda: sqlite3.connect(database, **options), _ROWS_AT_ONCE)
    connection._thread.daemon = True
    return connection
