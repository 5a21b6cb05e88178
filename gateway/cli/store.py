"""`xinyidai store …`: the schema of the database in which consents are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.adapters.stores.door import open_database
from gateway.cli.loop import run
from gateway.cli.options import AsJson, fail
from gateway.cli.words import say
from gateway.domain.errors import ConfigError, StoreError
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.adapters.stores.schema import SchemaState

store = typer.Typer(name="store", no_args_is_help=True, add_completion=False)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help=say("Folder whose files override the shipped ones.", "配置目录，逐文件覆盖内置配置。")
    ),
]


@store.command(help=say("Bring the schema to the newest revision.", "将数据库结构升级至最新版本。"))
def upgrade(config: Config = None, as_json: AsJson = False) -> None:
    """Prints where the schema stands then; exits 2 when it cannot be brought there."""

    async def main() -> SchemaState:
        from gateway.adapters.stores.schema import upgrade as bring

        database = open_database(*_address(config), is_patient=True)
        try:
            return await bring(database)
        finally:
            await database.aclose()

    try:
        _show(run(main()), as_json=as_json)
    except ConfigError as error:
        raise fail(list(error.faults), 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error


@store.command(help=say("Where the schema stands.", "查看数据库结构版本。"))
def show(config: Config = None, as_json: AsJson = False) -> None:
    """Prints it; exits 1 when the gateway would not start with it."""

    async def main() -> tuple[SchemaState, str]:
        from gateway.adapters.stores.schema import complaint_of, schema_state, would_be_upgraded

        database = open_database(*_address(config))
        try:
            state = await schema_state(database)
            return state, "" if would_be_upgraded(database, state) else complaint_of(state)
        finally:
            await database.aclose()

    try:
        state, complaint = run(main())
    except ConfigError as error:
        raise fail(list(error.faults), 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error
    _show(state, as_json=as_json)
    if complaint:
        raise fail([complaint], 1)


def _address(config: Path | None) -> tuple[str, str | None]:
    gateway = load_settings(config).gateway
    return gateway.store.resolved(gateway.audit.path)


def _show(state: SchemaState, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"standing": state.standing, "revision": state.revision, "newest": state.newest}))
        return
    typer.echo(
        say(
            f"{state.standing}: revision {state.revision or 'none'}, newest {state.newest}",
            f"{state.standing}：当前版本 {state.revision or '无'}，最新版本 {state.newest}",
        )
    )
