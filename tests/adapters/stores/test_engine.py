"""The database behind the stores: bounded waits, failures told once, and nothing of a row in an error."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import URL, MetaData, Table, text
from structlog.testing import capture_logs

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.engine import Database, embedded, parse_url
from gateway.adapters.stores.glance import Glance
from gateway.adapters.stores.schema import upgrade
from gateway.adapters.stores.standing import revisions
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import ConfigError, StoreUnavailableError
from tests.adapters.stores.consents import NOON, consent


async def test_sqlite_syncs_each_commit_logs_ahead_and_holds_its_foreign_keys(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    try:
        async with database.reading() as connection:
            said = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
    finally:
        await database.aclose()

    assert said == ["wal", 2, 1, 5000]


async def test_D4_a_writer_that_finds_the_file_locked_waits_so_long_and_no_longer_and_loses_nothing(
    tmp_path: Path,
) -> None:
    database = Database(embedded(tmp_path / "store.db"), busy_s=0.2)
    store = SqlConsentStore(database)
    try:
        await upgrade(database)
        kept = await store.register(consent())
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailableError):
            await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON, "secret words")
        assert await store.get("bank-a", kept.consent_id) == kept
        other.execute("ROLLBACK")
        other.close()

        assert (await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)).version == 2
    finally:
        await database.aclose()


@pytest.mark.parametrize("ends", [True, False])
async def test_D4_a_file_that_another_opens_for_the_first_time_too_is_waited_for(tmp_path: Path, ends: bool) -> None:
    other = sqlite3.connect(tmp_path / "restored.db", isolation_level=None)
    other.execute("CREATE TABLE kept (value)")  # by a rollback journal, as a copy is
    other.execute("BEGIN IMMEDIATE")
    database = Database(embedded(tmp_path / "restored.db"), busy_s=5 if ends else 0.1)

    async def opened() -> str:
        async with database.reading() as connection:
            return str((await connection.execute(text("PRAGMA journal_mode"))).scalar_one())

    try:
        opening = asyncio.create_task(opened())
        await asyncio.wait([opening], timeout=0.05)
        assert not opening.done()
        if ends:
            other.execute("COMMIT")
            assert await opening == "wal"
        else:
            with pytest.raises(StoreUnavailableError, match="busy"):
                await opening
    finally:
        await database.aclose()
        other.close()


async def test_D1_a_file_that_may_have_no_more_pages_is_said_to_be_full_and_goes_on_once_it_may(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    store = SqlConsentStore(database)
    await upgrade(database)
    kept: list[Consent] = []

    async def fill() -> None:
        for number in range(1_000):
            kept.append(await store.register(consent(number)))

    async def allow(pages: int) -> None:
        async with database.reading() as connection:
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    await allow(1)  # SQLite takes what there are
    with pytest.raises(StoreUnavailableError, match=r"no room left.*SQLITE_FULL"):
        await fill()
    was_reachable = database.is_reachable
    found = await store.list("bank-a", "", after="", limit=1_000)
    await allow(1_000)
    kept.append(await store.register(consent(2_000)))
    after = await store.list("bank-a", "", after="", limit=1_000)
    await database.aclose()

    assert (was_reachable, found, after) == (False, kept[:-1], kept)


async def test_D1_a_file_that_is_read_only_is_read_and_its_changes_are_refused_by_that_name(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    await upgrade(database)
    kept = await SqlConsentStore(database).register(consent())
    store = SqlConsentStore(database)
    async with database.reading() as connection:
        await connection.execute(text("PRAGMA query_only = ON"))

    with pytest.raises(StoreUnavailableError, match=r"read-only.*SQLITE_READONLY"):
        await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)
    found = await store.get("bank-a", kept.consent_id)
    await database.aclose()

    assert found == kept


async def test_a_server_out_of_reach_is_told_once_and_so_is_its_return(tmp_path: Path) -> None:
    lost = URL.create(
        "postgresql+asyncpg", username="u", password="s3cret", database="d", query={"host": str(tmp_path)}
    )
    database = Database(lost)
    try:
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(StoreUnavailableError) as raised:
                    async with database.reading():
                        pass
    finally:
        await database.aclose()

    assert not database.is_reachable
    assert [line["event"] for line in logs] == ["store.unreachable"]
    assert "s3cret" not in f"{raised.value} {logs} {database.url}"


async def test_what_a_server_says_while_connecting_is_a_failure_of_the_store_too(
    request: pytest.FixtureRequest,
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    absent = URL.create("postgresql+asyncpg", username="postgres", database="nowhere", query={"host": socket})
    database = Database(absent)

    try:
        with pytest.raises(StoreUnavailableError, match="InvalidCatalogNameError"):
            async with database.reading():
                pass
    finally:
        await database.aclose()


async def test_a_store_that_cannot_be_opened_is_red_and_a_call_says_so(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    told: list[bool] = []
    door = StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'var' / 'store.db'}", changed=lambda: told.append(door.is_red))

    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="cannot be opened"):
                await door.consents()
    (tmp_path / "var").unlink()
    await door.consents()
    await door.aclose()

    assert told == [True, False]
    assert "store.url" in logs[0]["why"]


async def test_an_error_shows_nothing_of_the_row_it_is_about(database: Database) -> None:
    store = SqlConsentStore(database)
    await store.register(consent(signatory_ref="canary-7531"))

    with pytest.raises(StoreUnavailableError) as raised, capture_logs() as logs:
        await store.register(consent(signatory_ref="canary-7531"))

    assert database.is_reachable
    assert "canary" not in f"{raised.value} {raised.value.__cause__} {logs}"
    assert "IntegrityError" in str(raised.value) or "UniqueViolation" in str(raised.value)


async def test_a_text_that_a_database_has_no_place_for_does_not_pass_for_its_failure(database: Database) -> None:
    store = SqlConsentStore(database)

    with capture_logs() as logs, suppress(StoreUnavailableError):  # SQLite looks for it and finds none
        await store.get("bank-a", "c\0")

    assert database.is_reachable
    assert logs == []


async def test_a_store_that_is_not_needed_is_not_made(tmp_path: Path) -> None:
    door = StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'var' / 'store.db'}")

    await door.check()
    before = list(tmp_path.iterdir())
    with capture_logs() as logs:
        await (await door.consents()).register(consent())
    await door.aclose()

    assert before == []
    assert [line["event"] for line in logs] == ["store.made"]
    assert (tmp_path / "var" / "store.db").stat().st_mode & 0o077 == 0


async def test_a_store_that_cannot_be_looked_at_for_a_fault_of_ours_is_red_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.adapters.stores.door._LOOK_S", 0.001)
    told: asyncio.Queue[bool] = asyncio.Queue()
    door = StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", changed=lambda: told.put_nowait(door.is_red))

    async def broken(_: Database) -> bool:
        raise AttributeError("a fault of a driver")

    async with asyncio.timeout(20):
        with capture_logs() as logs:
            with monkeypatch.context() as patch:
                patch.setattr(Database, "ping", broken)
                await door.consents()
                failed = await told.get()
            well = await told.get()
        await door.aclose()

    assert (failed, well) == (True, False)
    assert [(line["event"], line["loop"]) for line in logs[1:]] == [
        ("loop.failed", "store.look"), ("loop.back", "store.look"),
    ]  # fmt: skip


async def test_D9_a_file_that_is_replaced_while_in_use_is_red_and_told_once(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    door = StoreDoor(f"sqlite+aiosqlite:///{file}")
    await door.consents()
    await door.look()
    was_red = door.is_red

    with capture_logs() as logs:
        file.rename(tmp_path / "away")
        await door.look()
        gone = door.is_red
        file.touch()
        await door.look()
        replaced = door.is_red
        (tmp_path / "away").rename(file)
        await door.look()
        back = door.is_red
    await door.aclose()

    assert (was_red, gone, replaced, back) == (False, True, True, False)
    assert [line["event"] for line in logs] == ["store.lost"]


async def test_D6_an_sqlite_file_that_is_behind_is_brought_up_when_it_is_opened_and_told(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    await upgrade(database, "0001")
    await database.aclose()
    door = StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")

    try:
        with capture_logs() as logs:
            await door.check()
        kept = await (await door.consents()).register(consent())

        assert [(line["event"], line["was"], line["now"]) for line in logs] == [
            ("store.upgraded", "0001", revisions()[-1])
        ]
        assert await (await door.consents()).newest_mark() == 1
        assert kept == consent()
        assert not door.is_red
    finally:
        await door.aclose()


async def test_D6_a_server_whose_schema_is_behind_keeps_the_gateway_from_starting(
    request: pytest.FixtureRequest,
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    door = StoreDoor(f"postgresql+asyncpg://postgres@/postgres?host={socket}")

    try:
        with pytest.raises(ConfigError, match="xinyidai store upgrade"):
            await door.check()
    finally:
        await door.aclose()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_server_that_cannot_hold_chinese_texts_keeps_the_gateway_from_starting_and_is_not_upgraded(
    request: pytest.FixtureRequest, encoding: str
) -> None:
    socket = request.getfixturevalue("postgres_socket")
    server = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    name = f"in_{encoding.lower()}"
    await server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    url = f"postgresql+asyncpg://postgres@/{name}?host={socket}"
    door, database = StoreDoor(url), Database(parse_url(url))

    try:
        with pytest.raises(ConfigError, match=f"encoding is {encoding}.*UTF8"):
            await door.check()
        with pytest.raises(ConfigError, match=f"encoding is {encoding}.*UTF8"):
            await upgrade(database)
    finally:
        await door.aclose()
        await database.aclose()
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


@pytest.mark.parametrize("url", ["mysql+aiomysql://h/d", "postgresql+psycopg://h/d", "nonsense"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url"):
        parse_url(url)


async def test_a_look_that_waited_for_its_thread_opens_nothing_once_the_database_is_closed(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    await upgrade(database)
    glance = Glance(database, Table("consent_changes", MetaData()))
    assert not await glance.has_newer(0)

    await database.aclose()
    before = len(list(Path("/proc/self/fd").iterdir()))

    assert not await glance.has_newer(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_D11_a_call_that_is_cancelled_twice_in_a_statement_leaves_no_task_waiting(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    count_far = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"

    async def ask() -> None:
        async with database.reading() as connection:
            await connection.execute(text(count_far))

    others = asyncio.all_tasks()
    asking = asyncio.create_task(ask())
    while not database.engine.pool.checkedout():  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    closing = asyncio.all_tasks() - others

    _, waiting = await asyncio.wait(closing, timeout=20)

    assert waiting == set()
    await database.aclose()
