"""The database behind the stores: its address, its connections, and how a failure of it becomes ours.

SQLite is one file with a write-ahead log, synced at every commit. A writer takes the file's lock when it begins (BEGIN
IMMEDIATE): a transaction that reads first and wants to write later would be refused without waiting. Writers of one process
queue in the process, since SQLite's own waiting is by sleeping longer and longer; between processes its busy timeout holds.

A server may fall silent, paused or behind a broken network: nothing refuses, and whoever asks waits. So each wait for it ends
well before a query's usual deadline, and once a look at it has found it silent, nobody else waits until a look is answered.
What looks, and what writes for the trail, has connections of its own: a table that somebody locks lets those of the queries
run out, and would else keep from being answered what needs no such table.

A sync that fails is treated as a crash: the kernel may have dropped what it could not write and tell so once only, so a later
sync that succeeds would prove nothing. The database takes no more changes then until the gateway is started again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as NoneFreeError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.adapters.stores.failures import FAILURES, Trouble, cause_of, is_of_values, trouble_of
from gateway.adapters.stores.server_connections import BUSY_S, COMMAND_S, dispose, server_engine
from gateway.adapters.stores.sqlite_connection import sqlite_connection
from gateway.domain.errors import ConfigError, StoreUnavailableError

SQLITE: Final = "sqlite"
_LOOK_S: Final = 3.0
_POOL_ASIDE: Final = 2
_TURN_S: Final = 0.001
_TOLD_EVERY_S: Final = 60.0
_WAL_S: Final = 0.01
_PRIMARY: Final = 0xFF  # what is above it only says more about the same failure
_LATE: Final = (TimeoutError, NoneFreeError)
_WRITES: Final = "xinyidai_writes"
# What is asked is kept in the database: a constant, SQLite would give without its file.
_ASK: Final = text("SELECT version_num FROM alembic_version")
_TOUCH: Final = text("UPDATE alembic_version SET version_num = version_num")


class Database:
    """Connections to one database; closed by who made it. Nothing is opened before it is needed."""

    def __init__(
        self, url: URL, *, busy_s: float = BUSY_S, command_s: float | None = COMMAND_S, look_s: float = _LOOK_S
    ) -> None:
        """Takes how long to wait for other writers and a connection, and how long a server's command or a look may take."""
        self.url = url
        self.is_sqlite = url.get_backend_name() == SQLITE
        self._engine = _sqlite(url, busy_s) if self.is_sqlite else server_engine(url, busy_s, command_s)
        self._aside = self._engine if self.is_sqlite else server_engine(url, busy_s, command_s, _POOL_ASIDE)
        self.busy_s = busy_s
        self._longest_look_s = None if self.is_sqlite else look_s
        self._closes_too: list[Callable[[], None]] = []
        self._writing = asyncio.Lock() if self.is_sqlite else None
        self.turn = threading.Lock()
        """Held by whoever writes an SQLite file in this process, on the loop or in the trail's thread."""
        self.is_reachable = True
        """Whether the last attempt reached it; true before the first. What failed to write is back when it is written to."""
        self.slowness_told_at = float("-inf")
        """When a server that answers looks was last told to be slow."""
        self.refuses_writes = False
        """Whether it is out of reach for a change that failed: that it can be read says nothing then."""
        self.trouble: Trouble | None = None
        """What the last failure meant."""
        self.is_silent = False
        """Whether the last look at a server was not answered in time."""
        self.damage_told_at = float("-inf")
        """When it was last told to be damaged: some pages can be read then and some not, so that it comes and goes."""
        self.is_read_only = False
        """Whether a sync failed, after which nothing may be changed any more."""

    @property
    def engine(self) -> AsyncEngine:
        """The connections, for whoever translates failures itself."""
        return self._engine

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction that only reads; raises StoreUnavailableError for whatever goes wrong."""
        self._require_heard()
        with Told(self):
            async with self._connected(self._engine) as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, *, aside: bool = False) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction that is durable when the block ends, and undone when it raises.

        One that is set aside is not of those that queries wait for. Raises StoreUnavailableError for whatever goes wrong, a
        wait for other writers or for a connection beyond the busy timeout included.
        """
        self._require_heard()
        if self.is_read_only:
            raise StoreUnavailableError(f"the store {Trouble.NOT_SYNCED}")
        with Told(self, writes=True):
            async with self._changing(self._aside if aside else self._engine) as connection:
                yield connection

    async def ping(self) -> bool:
        """Whether the database answers in time, and takes a change where the last one failed."""
        writes = self.refuses_writes and not self.is_read_only
        with suppress(StoreUnavailableError), Told(self, writes=writes, looks=True):
            try:
                async with asyncio.timeout(self._longest_look_s):
                    if self.trouble is Trouble.READ_ONLY and not self.is_sqlite:
                        await self._dispose()  # a session stays what the server was when it began
                    async with (self._changing if writes else self._connected)(self._aside) as connection:
                        await connection.execute(_TOUCH if writes else _ASK)
            except FAILURES as error:
                self.is_silent = isinstance(error, TimeoutError) and not self.is_sqlite
                raise
            self.is_silent = False
            return True
        return False

    def _require_heard(self) -> None:
        if self.is_silent:
            raise StoreUnavailableError(f"the store {Trouble.UNREACHABLE} (it does not answer)")

    @asynccontextmanager
    async def _changing(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with _turn(self._writing, self.turn, self.busy_s), self._connected(engine) as plain:
            connection = await plain.execution_options(**{_WRITES: True})
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """Gives a connection, within the busy timeout where it is to a server, one that must be made anew included."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(None if self.is_sqlite else self.busy_s):
                connection = await stack.enter_async_context(engine.connect())
            yield connection

    async def aclose(self) -> None:
        """Closes every connection."""
        for close in self._closes_too:
            close()
        await self._dispose()

    async def _dispose(self) -> None:
        await dispose(self._engine, is_heard=not self.is_silent)
        if self._aside is not self._engine:
            await dispose(self._aside, is_heard=not self.is_silent)

    def closes_too(self, close: Callable[[], None]) -> None:
        """Takes what closes a connection that was opened beside these."""
        self._closes_too.append(close)


class Told:
    """Translates a failure of the database, and tells once when it is gone and once when it is back.

    Of a damaged one it tells once a minute, and nothing of what can be read between.
    """

    def __init__(self, database: Database, *, writes: bool = False, looks: bool = False) -> None:
        """Takes whether that is a change, and whether it is a look: of a server, what else is late says nothing."""
        self._database = database
        self._writes = writes
        self._looks = looks

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        database = self._database
        if isinstance(error, FAILURES):
            trouble, cause = trouble_of(error), cause_of(error)
            database.is_read_only |= trouble is Trouble.NOT_SYNCED
            if isinstance(error, _LATE) and not (database.is_sqlite or self._looks):
                self._is_slow(cause)
            elif not is_of_values(error):
                self._is_gone(trouble, cause)
            # What the database says may hold values of the row, so the cause is named by its class and code only.
            raise StoreUnavailableError(f"the store {trouble} ({cause})") from None
        if error is None and not database.is_reachable and (self._writes or not database.refuses_writes):
            database.is_reachable, database.refuses_writes, database.trouble = True, False, None
            if not self._was_damage_told():
                _logger().warning("store.back", database=database.url.get_backend_name())

    def _is_slow(self, cause: str) -> None:
        database, now = self._database, time.monotonic()
        if database.is_reachable and now - database.slowness_told_at >= _TOLD_EVERY_S:
            database.slowness_told_at = now
            note = "a command or a connection came too late: a table that is locked, a server that is busy?"
            _logger().warning("store.slow", cause=cause, note=note)

    def _is_gone(self, trouble: Trouble, cause: str) -> None:
        database = self._database
        database.refuses_writes |= self._writes
        database.trouble = trouble
        if not database.is_reachable:
            return
        database.is_reachable = False
        if trouble is Trouble.DAMAGED:
            if self._was_damage_told():
                return
            database.damage_told_at = time.monotonic()
        _logger().error(
            "store.unreachable", cause=cause, trouble=trouble.name, database=database.url.get_backend_name()
        )

    def _was_damage_told(self) -> bool:
        return time.monotonic() - self._database.damage_told_at < _TOLD_EVERY_S


def _logger() -> Any:
    """Gives the log as it is set up now: failures are rare, and a logger made at import keeps the first set-up for good."""
    return structlog.get_logger("gateway.store")


@asynccontextmanager
async def _turn(lock: asyncio.Lock | None, thread_lock: threading.Lock, longest_s: float) -> AsyncIterator[None]:
    """Waits for the turn to write, at most so long, where writers take turns: on the loop, then with the trail's thread."""
    if lock is None:
        yield
        return
    until = asyncio.get_running_loop().time() + longest_s
    async with asyncio.timeout_at(until):
        await lock.acquire()
    try:
        async with asyncio.timeout_at(until):
            # The thread holds it for one transaction; to wait in another thread would lose it to a call that is cancelled.
            while not thread_lock.acquire(blocking=False):  # noqa: ASYNC110
                await asyncio.sleep(_TURN_S)
        try:
            yield
        finally:
            thread_lock.release()
    finally:
        lock.release()


def parse_url(url: str) -> URL:
    """Reads an address; raises ConfigError when it is none, or of a database that is not served."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(["gateway.toml: store.url: is no address of a database"]) from error
    if parsed.drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise ConfigError(
            [f"gateway.toml: store.url: {parsed.drivername} is not served; use sqlite+aiosqlite or postgresql+asyncpg"]
        )
    return parsed


def embedded(path: Path) -> URL:
    """Gives the address of an SQLite file."""
    return URL.create("sqlite+aiosqlite", database=str(path))


def prepare_sqlite(connection: Any, busy_s: float, sleep: Callable[[float], object] = time.sleep) -> None:
    """Sets a new connection to an SQLite file up, whichever driver's it is."""
    connection.isolation_level = None  # transactions are begun by us: the driver's own begin too late
    cursor = connection.cursor()
    _turn_to_wal(cursor, busy_s, sleep)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={busy_s * 1000:.0f}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _turn_to_wal(cursor: Any, busy_s: float, sleep: Callable[[float], object]) -> None:
    """Has the file keep a write-ahead log, as most do already.

    Where several processes at once open a file that does not (a new one, a restored copy), SQLite tells all but one that it
    is busy, without waiting as it does elsewhere.
    """
    ends = time.monotonic() + busy_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= ends:
                raise
        sleep(_WAL_S)


def _sqlite(url: URL, busy_s: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=5,
        max_overflow=0,
        pool_timeout=busy_s,
        connect_args={"timeout": busy_s, "async_creator_fn": sqlite_connection},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        prepare_sqlite(connection, busy_s, lambda s: connection.run_async(lambda _: asyncio.sleep(s)))

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
