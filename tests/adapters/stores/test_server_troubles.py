"""A server that falls silent, is read-only or has a table locked: who waits, for how long, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import bindparam, delete, text
from structlog.testing import capture_logs

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import ArchivedViewRow
from gateway.adapters.stores.thread_writer import thread_writer
from gateway.domain.consent import ConsentState
from gateway.domain.errors import StoreUnavailableError
from tests.adapters.roads import road_to
from tests.adapters.stores.consents import NOON, consent
from tests.databases import right

_POOL = 10


async def test_D4_of_a_server_that_falls_silent_nobody_waits_once_it_was_noticed(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    async with right("postgresql", request, tmp_path) as there, road_to(socket, tmp_path) as road:
        database = Database(there.url.set(query={"host": str(tmp_path)}), look_s=0.2)
        store = SqlConsentStore(database)
        kept = await store.register(consent())
        assert await database.ping()

        road.is_free.clear()
        with capture_logs() as logs:
            looks = [await database.ping(), await database.ping()]
            taken = road.taken
            for _ in range(20):
                with pytest.raises(StoreUnavailableError, match="does not answer"):
                    await store.get("bank-a", kept.consent_id)
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)
            taken_by_calls = road.taken - taken
            road.is_free.set()
            async with asyncio.timeout(30):
                while not await database.ping():
                    await asyncio.sleep(0)
        found = await store.get("bank-a", kept.consent_id)
        await database.aclose()

    assert (looks, taken_by_calls, found) == ([False, False], 0, kept)
    assert [line["event"] for line in logs] == ["store.unreachable", "store.back"]


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_D11_a_server_that_does_not_answer_holds_up_no_end(
    request: pytest.FixtureRequest, tmp_path: Path, is_noticed: bool
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    async with right("postgresql", request, tmp_path) as there, road_to(socket, tmp_path) as road:
        database = Database(there.url.set(query={"host": str(tmp_path)}), command_s=None, look_s=0.2)
        store = SqlConsentStore(database)
        await asyncio.gather(*(store.get("bank-a", "c-1") for _ in range(_POOL)))

        road.is_free.clear()
        if is_noticed:
            await database.ping()
        async with asyncio.timeout(30):
            await database.aclose()

        assert database.is_silent is is_noticed


async def test_D1_a_server_that_is_read_only_is_told_once_though_it_can_be_read_and_is_back_when_it_takes_a_change(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with right("postgresql", request, tmp_path) as database:
        store = SqlConsentStore(database)
        kept = await store.register(consent())
        name = database.url.database
        async with database.writing() as connection:
            await connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
        other = Database(database.url)
        store = SqlConsentStore(other)

        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(StoreUnavailableError, match=r"read-only"):
                    await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)
                assert await store.get("bank-a", kept.consent_id) == kept
                assert not await other.ping()
            was_reachable = other.is_reachable
            async with database.writing() as connection:
                await connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
            is_back = await other.ping()
            changed = await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)
        await other.aclose()

    assert (was_reachable, is_back, changed.state) == (False, True, ConsentState.REVOKED)
    assert [line["event"] for line in logs] == ["store.unreachable", "store.back"]


async def test_D4_a_table_that_is_locked_keeps_nobody_waiting_who_needs_it_not_and_is_no_lost_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with right("postgresql", request, tmp_path) as there:
        database = Database(there.url, busy_s=0.3)
        store = SqlConsentStore(database)
        kept = await store.register(consent())
        async with there.writing() as locking:
            await locking.execute(text("LOCK TABLE consents IN ACCESS EXCLUSIVE MODE"))
            asking = [asyncio.create_task(store.get("bank-a", kept.consent_id)) for _ in range(_POOL)]
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while (await locking.execute(waiting)).scalar_one() < _POOL:
                await asyncio.sleep(0.01)

            views = ArchivedViewRow.metadata.tables["archived_views"]
            withdraw = delete(views).where(views.c.answer_id == bindparam("of_id"))
            with capture_logs() as logs:
                await asyncio.to_thread(thread_writer(database).write, withdraw, [{"of_id": "none"}])
                for _ in range(3):
                    with pytest.raises(StoreUnavailableError):
                        await store.get("bank-a", kept.consent_id)
                    is_heard = database.is_reachable and await database.ping()

        found = await asyncio.gather(*asking)
        await database.aclose()

    assert is_heard
    assert [line["event"] for line in logs] == ["store.slow"]
    assert found == [kept] * _POOL


async def test_A9_whatever_a_database_is_set_to_uses_are_taken_by_what_is_committed(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with right("postgresql", request, tmp_path) as there:
        async with there.writing() as connection:
            setting = f"ALTER DATABASE \"{there.url.database}\" SET default_transaction_isolation = 'serializable'"
            await connection.execute(text(setting))
        database = Database(there.url)
        store = SqlConsentStore(database)
        kept = await store.register(consent(max_uses=5))
        uses = [store.use("bank-a", kept.consent_id, 1, kept.valid_from) for _ in range(8)]

        left = await asyncio.gather(*uses)
        await database.aclose()

    assert [one.uses for one in left if one is not None] == [1]
