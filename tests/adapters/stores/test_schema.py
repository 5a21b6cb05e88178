"""The schema: brought up and taken back with what is kept, and what is not right keeps a gateway from starting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Column, Connection, MetaData, column, insert, select, table, text, types

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import Base
from gateway.adapters.stores.schema import before, downgrade, losses, make_right, schema_state, upgrade
from gateway.adapters.stores.standing import Standing, complaint_of, revisions
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentEvent
from gateway.domain.errors import ConfigError, StoreUnavailableError
from tests.adapters.stores.consents import NOON, consent


async def run(database: Database, statement: str) -> None:
    async with database.writing() as connection:
        await connection.execute(text(statement))


async def test_what_the_migrations_make_is_what_the_tables_say(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_upgrade_keeps_consents_and_begins_their_log_and_a_downgrade_keeps_them_too(empty_url: URL) -> None:
    database = Database(empty_url)
    store = SqlConsentStore(database)
    consents = Base.metadata.tables["consents"]
    unsaid = {"document_ref": "", "institution_code": "", "signed_at": None}  # what has come later
    kept = [
        consent(1, **unsaid),
        consent(2, state=ConsentState.REVOKED, version=4, revocation_reason="withdrawn", **unsaid),
    ]
    try:
        assert (await upgrade(database, "0001")).standing is Standing.BEHIND
        async with database.writing() as connection:
            for one in kept:
                values = {name: getattr(one, name) for name in Consent.__dataclass_fields__.keys() - unsaid}
                columns = (column(name, consents.c[name].type) for name in (*values, "request_digest"))
                await connection.execute(insert(table("consents", *columns)).values(**values, request_digest=b""))

        assert (await upgrade(database)).standing is Standing.RIGHT
        assert await store.list("bank-a", "", after="", limit=9) == kept
        logged = await store.versions_since(0)
        used = await store.use("bank-a", kept[0].consent_id, 1, NOON)

        assert (await downgrade(database, "0001")).revision == "0001"
        assert (await upgrade(database)).standing is Standing.RIGHT
        assert await store.list("bank-a", "", after="", limit=9) == [used, kept[1]]
    finally:
        await database.aclose()

    assert [(change.consent_id, change.version, change.event) for change in logged] == [
        (kept[0].consent_id, 1, ConsentEvent.REGISTERED),
        (kept[1].consent_id, 4, ConsentEvent.REVOKED),
    ]


async def test_going_back_to_nothing_leaves_nothing_and_going_forth_again_makes_it_right(database: Database) -> None:
    assert (await downgrade(database, "base")).standing is Standing.EMPTY
    async with database.reading() as connection:
        found = MetaData()
        await connection.run_sync(found.reflect)
    assert not found.tables.keys() & Base.metadata.tables.keys()

    assert (await upgrade(database)).standing is Standing.RIGHT


async def test_D6_a_schema_that_is_behind_is_named_with_what_to_do(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        await upgrade(database, "0001")
        state = await schema_state(database)
    finally:
        await database.aclose()

    assert (state.standing, state.revision, state.newest) == (Standing.BEHIND, "0001", revisions()[-1])
    assert "xinyidai store upgrade" in complaint_of(state)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("DROP TABLE consent_changes", "consent_changes is missing"),
        ("ALTER TABLE consents DROP COLUMN channel", "consents.channel is missing"),
        ("DELETE FROM alembic_version", "the table archived_views is there"),
        ("INSERT INTO alembic_version VALUES ('0001')", "there can be one revision only"),
    ],
)
async def test_D6_a_half_done_migration_keeps_the_gateway_from_starting(
    database: Database, damage: str, word: str
) -> None:
    await run(database, damage)

    with pytest.raises(ConfigError) as raised:
        await make_right(database)
    with pytest.raises(ConfigError):
        await upgrade(database)

    assert word in raised.value.faults[0]
    assert "restore the last backup" in raised.value.faults[0]


async def test_D6_a_schema_of_a_newer_version_is_left_alone(database: Database) -> None:
    await run(database, "UPDATE alembic_version SET version_num = '9999'")

    for touch in (make_right(database), upgrade(database), downgrade(database, "0001")):
        with pytest.raises(ConfigError, match="9999, which this version does not know"):
            await touch


async def test_D6_another_program_s_database_is_left_alone(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        await run(database, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        await run(database, "INSERT INTO alembic_version VALUES ('a1b2c3')")
        await run(database, "CREATE TABLE orders (n INTEGER)")

        for touch in (make_right(database), upgrade(database), downgrade(database, "base"), losses(database, "base")):
            with pytest.raises(ConfigError, match="another program's"):
                await touch
    finally:
        await database.aclose()


async def test_D6_tables_of_others_are_no_hindrance_and_stay(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        await run(database, "CREATE TABLE orders (n INTEGER)")
        await run(database, "INSERT INTO orders VALUES (7)")

        assert (await upgrade(database)).standing is Standing.RIGHT
        assert (await downgrade(database, "base")).standing is Standing.EMPTY
        async with database.reading() as connection:
            assert (await connection.execute(text("SELECT n FROM orders"))).scalar_one() == 7
    finally:
        await database.aclose()


async def test_D6_a_revision_whose_tables_are_gone_is_not_built_upon(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        await upgrade(database, "0001")
        await run(database, "DROP TABLE consents")

        with pytest.raises(ConfigError, match="none of its tables is there"):
            await upgrade(database)
    finally:
        await database.aclose()


async def test_D6_a_step_that_fails_half_way_leaves_the_schema_as_it_was(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        # The first step makes its table, then an index, in whose way this stands.
        await run(database, "CREATE TABLE ix_consents_bank_uscc_consent_id (n INTEGER)")
        with pytest.raises(StoreUnavailableError):
            await upgrade(database)
        assert (await schema_state(database)).standing is Standing.EMPTY

        await run(database, "DROP TABLE ix_consents_bank_uscc_consent_id")
        assert (await upgrade(database)).standing is Standing.RIGHT
    finally:
        await database.aclose()


async def test_several_that_start_at_once_upgrade_once(empty_url: URL) -> None:
    databases = [Database(empty_url) for _ in range(4)]
    try:
        states = await asyncio.gather(*(upgrade(database) for database in databases))
    finally:
        for database in databases:
            await database.aclose()

    assert {state.standing for state in states} == {Standing.RIGHT}


async def test_a_revision_that_is_none_cannot_be_gone_back_to(database: Database) -> None:
    with pytest.raises(ConfigError, match="no revision 7777"):
        await downgrade(database, "7777")

    assert (await schema_state(database)).standing is Standing.RIGHT


async def test_a_later_revision_cannot_be_gone_back_to(empty_url: URL) -> None:
    database = Database(empty_url)
    try:
        await upgrade(database, "0001")
        with pytest.raises(ConfigError, match="no revision 0002 to go back to from 0001; there is base"):
            await downgrade(database, "0002")
    finally:
        await database.aclose()


async def test_what_a_downgrade_loses_is_told_beforehand(database: Database) -> None:
    store = SqlConsentStore(database)
    for number in range(3):
        await store.register(consent(number))

    state = await schema_state(database)
    lost = await losses(database, "base")

    assert [one.revision for one in lost] == list(revisions())[::-1]
    assert before(state) == revisions()[-2]
    assert (lost[-1].english, lost[-1].chinese, lost[-1].rows) == (
        "every consent of every bank",
        "所有银行的全部授权",
        3,
    )


async def test_every_step_up_and_down_keeps_whatever_both_sides_know(empty_url: URL) -> None:
    database = Database(empty_url)
    known = revisions()
    try:
        for revision in known:
            was = await everything_in(database)
            await upgrade(database, revision)
            assert lost_of(was, await everything_in(database)) == []
            await fill(database)
        full = await everything_in(database)
        assert all(full[name] for name in Base.metadata.tables)
        for revision in known[-2::-1]:
            was = await everything_in(database)
            await downgrade(database, revision)
            assert lost_of(was, await everything_in(database)) == []
        was = await everything_in(database)
        assert (await upgrade(database)).standing is Standing.RIGHT
        assert lost_of(was, await everything_in(database)) == []
    finally:
        await database.aclose()


Rows = list[dict[str, Any]]


async def everything_in(database: Database) -> dict[str, Rows]:
    """Gives every row of every table of ours that there is."""

    def read(connection: Connection) -> dict[str, Rows]:
        found = MetaData()
        found.reflect(connection)
        return {
            name: [dict(row) for row in connection.execute(select(found.tables[name])).mappings()]
            for name in found.tables.keys() & Base.metadata.tables.keys()
        }

    async with database.reading() as connection:
        return await connection.run_sync(read)


def lost_of(was: dict[str, Rows], now: dict[str, Rows]) -> list[tuple[str, Any]]:
    """Gives the rows that are no more as they were, in the columns that both sides know of tables that both know."""
    lost = []
    for name in was.keys() & now.keys():
        columns = was[name][0].keys() & now[name][0].keys() if was[name] and now[name] else set()
        left = [{column: row[column] for column in columns} for row in now[name]]
        lost += [(name, row) for row in was[name] if {column: row[column] for column in columns} not in left]
    return lost


async def fill(database: Database) -> None:
    """Puts a row into each table of ours that has none, whatever its columns at this revision."""

    def put(connection: Connection) -> None:
        found = MetaData()
        found.reflect(connection)
        for kept in found.sorted_tables:
            if kept.name in Base.metadata.tables and connection.execute(select(kept)).first() is None:
                connection.execute(insert(kept).values({one.name: filling(one) for one in kept.columns}))

    async with database.writing() as connection:
        await connection.run_sync(put)


def filling(column: Column[Any]) -> Any:
    """Gives a value that a column takes."""
    if column.name in FILLINGS:
        return FILLINGS[column.name]
    match column.type:
        case types.JSON():
            return [1]
        case types.LargeBinary():
            return b"b"
        case types.DateTime():
            return NOON
        case types.Boolean():
            return True
        case types.Integer():
            return 1
        case _:
            return "x"


FILLINGS: Final[Mapping[str, Any]] = {
    "state": "ACTIVE",
    "event": "REGISTERED",
    "valid_to": consent().valid_to,
    "uscc": consent().uscc,
}
"""What rules of the tables, or of who reads them, ask for."""
