"""The databases of the store's tests: an SQLite file, and a database of its own on a real PostgreSQL, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import URL

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database, embedded
from gateway.adapters.stores.schema import upgrade
from gateway.ports import ConsentStore
from tests.adapters.memory_consents import MemoryConsents
from tests.postgres import postgres

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Starts the server when a test first asks for it; a server that cannot start fails the test."""
    with postgres() as folder:
        yield folder


@asynccontextmanager
async def empty(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[URL]:
    """Gives the address of a database of that kind without any table."""
    if kind == "sqlite":
        yield embedded(tmp_path / "store.db")
        return
    socket = request.getfixturevalue("postgres_socket")
    name = f"test_{tmp_path.name.lower()}".replace("-", "_")[:60]
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
    made = Database(url, busy_s=300)  # a test of a thousand at once is not one of how long to wait
    try:
        await upgrade(made)
        yield made
    finally:
        await made.aclose()


@pytest.fixture(params=KINDS)
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[URL]:
    async with empty(request.param, request, tmp_path) as url:
        yield url


@pytest.fixture
async def database(empty_url: URL) -> AsyncIterator[Database]:
    async with right(empty_url) as made:
        yield made


@pytest.fixture(params=("memory", *KINDS))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ConsentStore]:
    """Gives a store of consents, of every kind there is."""
    if request.param == "memory":
        yield MemoryConsents()
        return
    async with empty(request.param, request, tmp_path) as url, right(url) as made:
        yield SqlConsentStore(made)
