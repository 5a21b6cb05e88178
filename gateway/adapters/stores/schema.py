"""The store's migrations: how a database gets to the schema that this version needs, and back.

All steps of one run stand or fall together, in one transaction, so that a gateway that is killed in the middle leaves the
schema as it was; several that start at once go one after another.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import structlog
from alembic import command
from alembic.util import CommandError
from sqlalchemy import Connection, text

from gateway.adapters.stores.consent_seal import Seal
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.standing import (
    SchemaState,
    Standing,
    complaint_of,
    config_for,
    revisions,
    scripts,
    state_of,
)
from gateway.domain.errors import ConfigError

_ONE_AT_A_TIME: Final = 0x78696E7A
"""The advisory lock of whoever migrates a PostgreSQL database; in SQLite a writer is alone anyway."""
NOTHING: Final = "base"
"""The revision before the first: no schema at all."""


class Loss(NamedTuple):
    """What is lost when a revision is taken back: in both languages, and how many rows of it there are now."""

    revision: str
    english: str
    chinese: str
    rows: int


async def schema_state(database: Database) -> SchemaState:
    """Gives how the database's schema stands; raises StoreUnavailableError."""
    async with database.reading() as connection:
        return await connection.run_sync(state_of)


async def make_right(database: Database, seal: Seal | None = None) -> None:
    """Brings an SQLite file to the newest schema, which nobody else can be at work on in another version.

    Raises ConfigError, saying what to do, when the schema is not the one this version needs.
    """
    was = state = await schema_state(database)
    if database.is_sqlite:
        state = await upgrade(database, seal=seal)
    if was.revision and state.revision != was.revision:
        note = "an older gateway refuses it now; xinyidai store downgrade takes it back"
        structlog.get_logger("gateway.store").warning("store.upgraded", was=was.revision, now=state.revision, note=note)
    complaint = complaint_of(state)
    if complaint:
        raise ConfigError([f"the store: {complaint}"])


def would_be_upgraded(database: Database, state: SchemaState) -> bool:
    """Whether a gateway that starts would bring the schema up by itself."""
    return database.is_sqlite and state.standing in (Standing.EMPTY, Standing.BEHIND)


async def upgrade(database: Database, revision: str = "head", *, seal: Seal | None = None) -> SchemaState:
    """Brings the schema to a revision, the newest by default; raises ConfigError for one that is broken or ahead.

    Rows that are sealed on the way are sealed with `seal`.
    """
    async with database.writing() as connection:
        await connection.run_sync(_alone)
        state = await connection.run_sync(state_of)
        _require_ours(state)
        if state.standing is Standing.RIGHT:
            return state
        await connection.run_sync(lambda c: command.upgrade(config_for(c, seal), revision))
        return await connection.run_sync(state_of)


async def downgrade(database: Database, revision: str) -> SchemaState:
    """Takes the schema back to an earlier revision, "base" for none; what later ones kept is lost. Raises ConfigError."""
    async with database.writing() as connection:
        await connection.run_sync(_alone)
        state = await connection.run_sync(state_of)
        _require_ours(state)
        _steps_back(state, revision)
        try:
            await connection.run_sync(lambda c: command.downgrade(config_for(c), revision))
        except CommandError as error:
            raise ConfigError([f"the store: {error}"]) from error
        return await connection.run_sync(state_of)


async def losses(database: Database, revision: str) -> tuple[Loss, ...]:
    """Gives what a downgrade to a revision would lose, the latest first. Raises ConfigError, StoreUnavailableError."""
    async with database.reading() as connection:
        state = await connection.run_sync(state_of)
        _require_ours(state)
        found = []
        for step in _steps_back(state, revision):
            english, chinese, counted = scripts().get_revision(step).module.LOST
            rows = (await connection.execute(text(f"SELECT count(*) FROM {counted}"))).scalar_one()
            found.append(Loss(step, english, chinese, int(rows)))
        return tuple(found)


def before(state: SchemaState) -> str:
    """Gives the revision before the one a schema stands at."""
    known = revisions()
    at = known.index(state.revision) if state.revision in known else 0
    return known[at - 1] if at else NOTHING


def _steps_back(state: SchemaState, revision: str) -> tuple[str, ...]:
    """Gives the revisions to take back, the latest first; raises ConfigError where there is no such way."""
    known = (NOTHING, *revisions())
    at = known.index(state.revision) if state.revision else 0
    if revision not in known[: at + 1]:
        earlier = ", ".join(known[:at]) or "none"
        raise ConfigError(
            [
                f"the store: no revision {revision} to go back to from {known[at]}; there is {earlier} "
                f"没有可回退的版本 {revision}"
            ]
        )
    return known[known.index(revision) + 1 : at + 1][::-1]


def _require_ours(state: SchemaState) -> None:
    if state.standing in (Standing.AHEAD, Standing.BROKEN, Standing.FOREIGN):
        raise ConfigError([f"the store: {complaint_of(state)}"])


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
