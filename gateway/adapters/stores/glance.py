"""Whether a log has anything new: what followers ask several times a second, and nearly always it has not.

Through the loop's pool and the driver's own thread each such look is a transaction of three turns. So an SQLite file is asked
by a connection kept for it, without a transaction, in a thread: a statement alone sees all that was committed before it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import suppress
from typing import Final

from sqlalchemy import Table

from gateway.adapters.stores.engine import Database, Told, prepare_sqlite


class Glance:
    """Looks at one log, a table whose rows bear marks in the order of commits; closed with its database."""

    def __init__(self, database: Database, log: Table) -> None:
        self._database = database
        self._sql: Final = f"SELECT EXISTS (SELECT 1 FROM {log.name} WHERE mark > ?)"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        database.closes_too(self._close)

    async def has_newer(self, mark: int) -> bool:
        """Whether there may be a row after a mark; a server is to be asked for them at once. Raises StoreUnavailableError."""
        if not self._database.is_sqlite:
            return True
        with Told(self._database):
            return await asyncio.get_running_loop().run_in_executor(None, self._look, mark)

    def _look(self, mark: int) -> bool:
        with self._lock:
            if self._is_closed:  # whoever asked has gone, and its look stood in the executor's queue
                return False
            try:
                connection = self._connection or self._opened()
                return bool(connection.execute(self._sql, (mark,)).fetchone()[0])
            except BaseException:
                self._let_go()
                raise

    def _opened(self) -> sqlite3.Connection:
        database = self._database
        self._connection = sqlite3.connect(
            database.url.database or "", timeout=database.busy_s, check_same_thread=False
        )
        prepare_sqlite(self._connection, database.busy_s)
        return self._connection

    def _let_go(self) -> None:
        opened, self._connection = self._connection, None
        if opened is not None:
            with suppress(sqlite3.Error):
                opened.close()

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._let_go()
