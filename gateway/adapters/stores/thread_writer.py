"""Writes from a thread of its own, whole transactions at a time: what the trail's writer thread archives copies with.

An SQLite file is written by a connection of that thread, with one prepared statement: through the loop, its pool and the
driver's own thread the same takes some twenty times as long, and the loop answers nobody meanwhile. A server is written
through the loop, where its connections live.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as WaitedTooLongError
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Delete, Insert
from sqlalchemy.dialects import sqlite

from gateway.adapters.stores.engine import Database, Told, prepare_sqlite
from gateway.adapters.stores.failures import Trouble
from gateway.domain.errors import StoreUnavailableError

Rows: TypeAlias = Sequence[Mapping[str, Any]]
_LONGEST_S: Final = 30.0
"""How long a server may take: it bounds itself far below, and no thread waits without end."""
_DIALECT: Final = sqlite.dialect(paramstyle="named")


class ThreadWriter(Protocol):
    """Whoever writes for a thread."""

    def write(self, statement: Insert | Delete, rows: Rows) -> None:
        """Runs a statement for every row, durably or not at all; raises StoreUnavailableError."""
        ...


def thread_writer(database: Database) -> ThreadWriter:
    """Gives what writes to a database; called on the loop, closed with the database."""
    if database.is_sqlite:
        return _FileWriter(database)
    return _LoopWriter(database, asyncio.get_running_loop())


class _FileWriter:
    """One connection to an SQLite file; it takes turns with the process's other writers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        database.closes_too(self._close)

    def write(self, statement: Insert | Delete, rows: Rows) -> None:
        """Runs it."""
        database = self._database
        if database.is_read_only:
            raise StoreUnavailableError(f"the store {Trouble.NOT_SYNCED}")
        sql, processors = _compiled(statement)
        values = [
            {key: processors[key](value) if key in processors else value for key, value in row.items()} for row in rows
        ]
        with Told(database, writes=True):
            if not database.turn.acquire(timeout=database.busy_s):
                raise TimeoutError
            try:
                self._run(sql, values)
            finally:
                database.turn.release()

    def _run(self, sql: str, values: Sequence[Mapping[str, Any]]) -> None:
        connection = self._connection or self._opened()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(sql, values)
            connection.execute("COMMIT")
        except BaseException:
            self._close()  # undoes what was begun, whatever state the failure left it in
            raise

    def _opened(self) -> sqlite3.Connection:
        made = sqlite3.connect(
            self._database.url.database or "", timeout=self._database.busy_s, check_same_thread=False
        )
        try:
            prepare_sqlite(made, self._database.busy_s)
        except BaseException:
            made.close()
            raise
        self._connection = made
        return made

    def _close(self) -> None:
        opened, self._connection = self._connection, None
        if opened is not None:
            with suppress(sqlite3.Error):
                opened.close()


class _LoopWriter:
    """The server's connections, which belong to the loop."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop

    def write(self, statement: Insert | Delete, rows: Rows) -> None:
        """Runs it on the loop, and waits."""
        written = asyncio.run_coroutine_threadsafe(self._write(statement, rows), self._loop)
        try:
            written.result(_LONGEST_S)
        except WaitedTooLongError:
            written.cancel()
            raise StoreUnavailableError(f"the store was not written to within {_LONGEST_S:g} s") from None

    async def _write(self, statement: Insert | Delete, rows: Rows) -> None:
        async with self._database.writing(aside=True) as connection:
            await connection.execute(statement, list(rows))


@lru_cache(maxsize=16)
def _compiled(statement: Insert | Delete) -> tuple[str, Mapping[str, Callable[[Any], Any]]]:
    """Gives SQLite's text of a statement, and what makes its values of ours."""
    compiled = statement.compile(dialect=_DIALECT)
    processors = {
        name: make
        for name, bound in compiled.binds.items()
        if (make := bound.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) is not None
    }
    return str(compiled), processors
