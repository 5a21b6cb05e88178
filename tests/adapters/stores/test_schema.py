"""The schema: brought up and taken back with what is kept, and what is not right keeps a gateway from starting."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, MetaData, insert, text

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import Base
from gateway.adapters.stores.schema import Standing, complaint_of, downgrade, make_right, schema_state, upgrade
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
    kept = [consent(1), consent(2, state=ConsentState.REVOKED, version=4, revocation_reason="withdrawn")]
    try:
        assert (await upgrade(database, "0001")).standing is Standing.BEHIND
        async with database.writing() as connection:
            for one in kept:
                values = {name: getattr(one, name) for name in Consent.__dataclass_fields__}
                await connection.execute(insert(Base.metadata.tables["consents"]).values(**values, request_digest=b""))

        assert (await upgrade(database)).standing is Standing.RIGHT
        assert await store.list("bank-a", "", after="", limit=9) == kept
        logged = await store.versions_since(0)
        used = await store.use("bank-a", kept[0].consent_id, 1, NOON)

        assert (await downgrade(database, "0001")).revision == "0001"
        assert await store.list("bank-a", "", after="", limit=9) == [used, kept[1]]
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

    assert (state.standing, state.revision, state.newest) == (Standing.BEHIND, "0001", "0002")
    assert "xinyidai store upgrade" in complaint_of(state)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("DROP TABLE consent_changes", "consent_changes is missing"),
        ("ALTER TABLE consents DROP COLUMN channel", "consents.channel is missing"),
        ("DELETE FROM alembic_version", "the table consent_changes is there"),
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
