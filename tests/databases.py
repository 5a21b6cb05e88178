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
async def empty(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, *, template: str = "template1"
) -> AsyncIterator[URL]:
    """Gives the address of a database of that kind without any table, or with a template's."""
    if kind == "sqlite":
        yield embedded(tmp_path / "store.db")
        return
    socket = request.getfixturevalue("postgres_socket")
    name = f"test_{tmp_path.parent.name.lower()}_{tmp_path.name.lower()}".replace("-", "_")[:60]
    async with _server(socket) as server:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        yield _address(socket, name)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def right(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Gives a new database with the newest schema, copied from one that was made once in a process of tests."""
    template = await _right_on(request.getfixturevalue("postgres_socket")) if kind == "postgresql" else "template1"
    async with empty(kind, request, tmp_path, template=template) as url:
        if kind == "sqlite":
            shutil.copy(await _right_file(), str(url.database))
        made = Database(url, busy_s=300)  # a test of a thousand at once is not one of how long to wait
        try:
            yield made
        finally:
            await made.aclose()


async def _right_file() -> Path:
    """Gives an SQLite file with the newest schema, made once in a process: a tenth of a second for each test is spared."""
    file = Path(_files().name) / "right.db"
    if not file.exists():
        await _make_right(embedded(file))
    return file


async def _right_on(socket: str) -> str:
    """Gives the name of the server's database with the newest schema, made once: a third of a second is spared."""
    name = "right"
    async with _server(socket) as server:
        if not await server.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name):
            await server.execute(f'CREATE DATABASE "{name}"')
            await _make_right(_address(socket, name))
    return name


async def _make_right(url: URL) -> None:
    made = Database(url)
    try:
        await upgrade(made)
    finally:
        await made.aclose()


def _address(socket: str, name: str) -> URL:
    return URL.create("postgresql+asyncpg", username="postgres", database=name, query={"host": socket})


@asynccontextmanager
async def _server(socket: str) -> AsyncIterator[asyncpg.Connection]:
    server = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    try:
        yield server
    finally:
        await server.close()


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
        async with right(request.param, request, tmp_path) as database:
            yield make(database)

    return given
