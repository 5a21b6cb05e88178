"""Where a database's schema stands, read off the database: Alembic's table, and whether what it says is there.

A database is right when Alembic's table names the newest revision and every table has its columns: the name alone would
believe a migration that was done by half, or by hand.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from gateway.adapters.stores.consent_seal import Seal
from gateway.adapters.stores.models import Base
from gateway.domain.errors import ConfigError

_SCRIPTS: Final = Path(__file__).parent / "migrations"
UPGRADE: Final = "run `xinyidai store upgrade` 请运行 xinyidai store upgrade"


class Standing(StrEnum):
    """Where a database's schema stands."""

    EMPTY = "EMPTY"
    BEHIND = "BEHIND"
    RIGHT = "RIGHT"
    AHEAD = "AHEAD"
    BROKEN = "BROKEN"
    FOREIGN = "FOREIGN"


class SchemaState(NamedTuple):
    """How a schema stands, by its revision ("" for none) and the newest one; `detail` says what is broken."""

    standing: Standing
    revision: str
    newest: str
    detail: str = ""


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
                "newer one; run that version, or take the schema back with that version's `xinyidai store downgrade` "
                "数据库结构由更新的版本升级，请运行该版本，或用该版本的 xinyidai store downgrade 回退"
            )
        case Standing.BROKEN:
            return (
                f"the schema says it is at revision {state.revision or 'none'}, but {state.detail}: a migration was done "
                "by half or by hand; restore the last backup, then upgrade 数据库结构不完整，请恢复备份后再升级"
            )
        case Standing.FOREIGN:
            return (
                f"the database is another program's: its migrations are at {state.revision}, and no table is ours; "
                "give the gateway a database of its own 该数据库属于其他程序，请为网关另设数据库"
            )


def state_of(connection: Connection) -> SchemaState:
    """Gives how the schema of a connection's database stands; raises ConfigError for one that cannot hold Chinese texts."""
    _require_unicode(connection)
    newest = scripts().get_current_head() or ""
    stated = MigrationContext.configure(connection).get_current_heads()
    found = inspect(connection)
    tables = set(found.get_table_names())
    ours = Base.metadata.tables
    if len(stated) > 1:
        both = " and ".join(sorted(stated))
        return SchemaState(Standing.BROKEN, both, newest, "there can be one revision only")
    revision = stated[0] if stated else ""
    strangers = sorted(tables & ours.keys())
    if revision and revision not in revisions():
        return SchemaState(Standing.AHEAD if strangers else Standing.FOREIGN, revision, newest)
    if not revision:
        if strangers:
            return SchemaState(Standing.BROKEN, revision, newest, f"the table {strangers[0]} is there")
        return SchemaState(Standing.EMPTY, revision, newest)
    if revision != newest:
        if not strangers:
            return SchemaState(Standing.BROKEN, revision, newest, "none of its tables is there")
        return SchemaState(Standing.BEHIND, revision, newest)
    for name, table in ours.items():
        if name not in tables:
            return SchemaState(Standing.BROKEN, revision, newest, f"the table {name} is missing")
        missing = sorted(set(table.columns.keys()) - {column["name"] for column in found.get_columns(name)})
        if missing:
            return SchemaState(Standing.BROKEN, revision, newest, f"{name}.{missing[0]} is missing")
    return SchemaState(Standing.RIGHT, revision, newest)


def _require_unicode(connection: Connection) -> None:
    """Raises ConfigError for a server's database whose encoding has no Chinese, or counts bytes for characters.

    There a consent could be registered, and not be revoked for a reason in Chinese.
    """
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise ConfigError(
            [
                f"the store: the database's encoding is {encoding}; give the gateway one in UTF8 "
                "(CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0) 数据库编码须为 UTF8"
            ]
        )


def config_for(connection: Connection | None = None, seal: Seal | None = None) -> Config:
    """Gives Alembic's configuration, with the connection that a migration is to run on and what it seals rows with."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["seal"] = seal
    return config


@lru_cache(maxsize=1)
def scripts() -> ScriptDirectory:
    """Gives the migrations of this version, read once."""
    return ScriptDirectory.from_config(config_for())


def revisions() -> tuple[str, ...]:
    """Gives the revisions this version knows, oldest first."""
    return tuple(script.revision for script in scripts().walk_revisions())[::-1]
