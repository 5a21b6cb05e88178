"""The store's schema and its migrations: where a database stands, and how it gets to where this version needs it.

A database is right when Alembic's table names the newest revision and every table has its columns: the name alone would
believe a migration that was done by half, or by hand. All steps of one run stand or fall together, in one transaction, so
that a gateway that is killed in the middle leaves the schema as it was; several that start at once go one after another.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import Base
from gateway.domain.errors import ConfigError

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME: Final = 0x78696E7A
"""The advisory lock of whoever migrates a PostgreSQL database; in SQLite a writer is alone anyway."""
UPGRADE: Final = "run `xinyidai store upgrade` 请运行 xinyidai store upgrade"


class Standing(StrEnum):
    """Where a database's schema stands."""

    EMPTY = "EMPTY"
    BEHIND = "BEHIND"
    RIGHT = "RIGHT"
    AHEAD = "AHEAD"
    BROKEN = "BROKEN"


class SchemaState(NamedTuple):
    """How a schema stands, by its revision ("" for none) and the newest one; `detail` says what is broken."""

    standing: Standing
    revision: str
    newest: str
    detail: str = ""


async def schema_state(database: Database) -> SchemaState:
    """Gives how the database's schema stands; raises StoreUnavailableError."""
    async with database.reading() as connection:
        return await connection.run_sync(_state)


async def make_right(database: Database) -> None:
    """Brings an SQLite file to the newest schema, which nobody else can be at work on in another version.

    Raises ConfigError, saying what to do, when the schema is not the one this version needs.
    """
    state = await upgrade(database) if database.is_sqlite else await schema_state(database)
    complaint = complaint_of(state)
    if complaint:
        raise ConfigError([f"the store: {complaint}"])


def would_be_upgraded(database: Database, state: SchemaState) -> bool:
    """Whether a gateway that starts would bring the schema up by itself."""
    return database.is_sqlite and state.standing in (Standing.EMPTY, Standing.BEHIND)


def complaint_of(state: SchemaState) -> str:
    """Gives what is wrong with a schema and what to do, in both languages; nothing where all is well."""
    match state.standing:
        case Standing.RIGHT:
            return ""
        case Standing.EMPTY:
            return f"the database has no schema yet 数据库尚未初始化; {UPGRADE}"
        case Standing.BEHIND:
            return (
                f"the schema is at revision {state.revision}, this version needs {state.newest} "
                f"数据库结构落后于本版本; {UPGRADE}"
            )
        case Standing.AHEAD:
            return (
                f"the schema is at revision {state.revision}, which this version does not know: it was upgraded by a "
                "newer one; run that version 数据库结构由更新的版本升级，请运行该版本"
            )
        case Standing.BROKEN:
            return (
                f"the schema says it is at revision {state.revision or 'none'}, but {state.detail}: a migration was done "
                "by half or by hand; restore the last backup, then upgrade 数据库结构不完整，请恢复备份后再升级"
            )


async def upgrade(database: Database, revision: str = "head") -> SchemaState:
    """Brings the schema to a revision, the newest by default; raises ConfigError for one that is broken or ahead."""
    async with database.writing() as connection:
        await connection.run_sync(_alone)
        state = await connection.run_sync(_state)
        if state.standing in (Standing.AHEAD, Standing.BROKEN):
            raise ConfigError([f"the store: {complaint_of(state)}"])
        if state.standing is not Standing.RIGHT:
            await connection.run_sync(lambda c: command.upgrade(_config(c), revision))
        return await connection.run_sync(_state)


async def downgrade(database: Database, revision: str) -> SchemaState:
    """Takes the schema back to an earlier revision, "base" for none; what later ones kept is lost. Raises ConfigError."""
    async with database.writing() as connection:
        await connection.run_sync(_alone)
        state = await connection.run_sync(_state)
        if state.standing is Standing.AHEAD:
            raise ConfigError([f"the store: {complaint_of(state)}"])
        try:
            await connection.run_sync(lambda c: command.downgrade(_config(c), revision))
        except CommandError as error:
            raise ConfigError(
                [f"the store: no revision {revision} to go back to 没有可回退的版本 {revision}"]
            ) from error
        return await connection.run_sync(_state)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})


def _state(connection: Connection) -> SchemaState:
    scripts = ScriptDirectory.from_config(_config(connection))
    newest = scripts.get_current_head() or ""
    revision = MigrationContext.configure(connection).get_current_revision() or ""
    found = inspect(connection)
    tables = set(found.get_table_names())
    known = {script.revision for script in scripts.walk_revisions()}
    if revision and revision not in known:
        return SchemaState(Standing.AHEAD, revision, newest)
    ours = Base.metadata.tables
    if not revision:
        strangers = sorted(tables & ours.keys())
        if strangers:
            return SchemaState(Standing.BROKEN, revision, newest, f"the table {strangers[0]} is there")
        return SchemaState(Standing.EMPTY, revision, newest)
    if revision != newest:
        return SchemaState(Standing.BEHIND, revision, newest)
    for name, table in ours.items():
        if name not in tables:
            return SchemaState(Standing.BROKEN, revision, newest, f"the table {name} is missing")
        missing = sorted(set(table.columns.keys()) - {column["name"] for column in found.get_columns(name)})
        if missing:
            return SchemaState(Standing.BROKEN, revision, newest, f"{name}.{missing[0]} is missing")
    return SchemaState(Standing.RIGHT, revision, newest)
