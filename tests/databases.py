"""The databases that a store's suite runs on: an SQLite file, and a database of its own on a real PostgreSQL, for each test.

A store joins with a line in a conftest or test module:

    archive = a_store(SqlViewArchive, memory=MemoryArchive)     # a fixture `archive`, of every kind there is
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL

from gateway.adapters.stores.engine import Database, embedded
from gateway.adapters.stores.schema import upgrade

KINDS = ("sqlite", "postgresql")


@asynccontextmanager
async def empty(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[URL]:
    """Gives the address of a database of that kind without any table."""
    if kind == "sqlite":
        yield embedded(tmp_path / "store.db")
        return
    socket = request.getfixturevalue("postgres_socket")
    name = f"test_{tmp_path.parent.name.lower()}_{tmp_path.name.lower()}".replace("-", "_")[:60]
    server = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        yield URL.create("postgresql+asyncpg", username="postgres", database=name, query={"host": socket})
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


@asynccontextmanager
async def right(url: URL) -> AsyncIterator[Database]:
    """Gives the database with the newest schema."""
    if url.database and url.get_backend_name() == "sqlite" and not Path(url.database).exists():
        shutil.copy(await _right_file(), url.database)
    made = Database(url, busy_s=300)  # a test of a thousand at once is not one of how long to wait
    try:
        await upgrade(made)
        yield made
    finally:
        await made.aclose()


async def _right_file() -> Path:
    """Gives an SQLite file with the newest schema, made once in a process: a tenth of a second for each test is spared."""
    file = Path(_files().name) / "right.db"
    if not file.exists():
        made = Database(embedded(file))
        try:
            await upgrade(made)
        finally:
            await made.aclose()
    return file


@cache
def _files() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="xinyidai-right-")


def a_store(make: Callable[[Database], object], *, memory: Callable[[], object] | None = None) -> Any:
    """Gives a fixture of a store on each database, and of its fake where there is one: one suite for them all."""

    @pytest.fixture(params=KINDS if memory is None else ("memory", *KINDS))
    async def given(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[object]:
        if memory is not None and request.param == "memory":
            yield memory()
            return
        async with empty(request.param, request, tmp_path) as url, right(url) as database:
            yield make(database)

    return given
