"""Connections to a server that wait for it so long and no longer: to be had, to be answered, and to be closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import URL, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_S: Final = 5.0
COMMAND_S: Final = 5.0
_CONNECT_S: Final = 5.0
_CLOSE_S: Final = 2.0
_POOL: Final = 10
_OPENED: Final[WeakKeyDictionary[Engine, WeakSet[Any]]] = WeakKeyDictionary()
"""The driver's own connections of each engine."""


def server_engine(
    url: URL, busy_s: float = BUSY_S, command_s: float | None = COMMAND_S, pool_size: int = _POOL
) -> AsyncEngine:
    """Gives connections to a server that are waited for, and wait for it, so long and no longer; closed by `dispose`."""
    engine = create_async_engine(
        url,
        isolation_level="READ COMMITTED",  # whatever the database's own: statements here decide by what is committed
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_s,
        pool_pre_ping=True,
        connect_args={"timeout": _CONNECT_S, "command_timeout": command_s},
    )
    opened = _OPENED[engine.sync_engine] = WeakSet()

    @event.listens_for(engine.sync_engine, "connect")
    def note(connection: Any, _: object) -> None:
        opened.add(connection.driver_connection)

    return engine


async def dispose(engine: AsyncEngine, *, is_heard: bool = True) -> None:
    """Closes an engine's connections: a server is told of each, and where it does not answer they are dropped."""
    if is_heard:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await engine.dispose()
                return
    for connection in tuple(_OPENED.get(engine.sync_engine, ())):
        connection.terminate()
    await engine.dispose()
