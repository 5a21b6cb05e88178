"""`xinyidai store …`: the schema of the database in which consents are kept, and whether what it keeps is whole."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.adapters.stores.door import open_database
from gateway.cli.loop import run
from gateway.cli.options import AsJson, fail
from gateway.cli.words import say
from gateway.domain.errors import ConfigError, StoreError
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.adapters.stores.schema import Loss
    from gateway.adapters.stores.standing import SchemaState

T = TypeVar("T")

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

    _show(_told(main()), as_json=as_json)


@store.command(help=say("Where the schema stands.", "查看数据库结构版本。"))
def show(config: Config = None, as_json: AsJson = False) -> None:
    """Prints it; exits 1 when the gateway would not start with it."""

    async def main() -> tuple[SchemaState, str]:
        from gateway.adapters.stores.schema import schema_state, would_be_upgraded
        from gateway.adapters.stores.standing import complaint_of

        database = open_database(*_address(config))
        try:
            state = await schema_state(database)
            return state, "" if would_be_upgraded(database, state) else complaint_of(state)
        finally:
            await database.aclose()

    state, complaint = _told(main())
    _show(state, as_json=as_json)
    if complaint:
        raise fail([complaint], 1)


@store.command(
    help=say(
        "Take the schema back to an earlier revision, for an older version of the gateway. What is lost is told first.",
        "将数据库结构回退至较早版本，供旧版网关使用；先列出将丢失的内容。",
    )
)
def downgrade(
    config: Config = None,
    to: Annotated[
        str,
        typer.Option(
            help=say(
                'The revision to go back to, "base" for none; the one before if not stated.',
                "回退到的版本；base 为清空；缺省为上一版本。",
            )
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help=say("Do it, and lose that.", "确认执行并接受丢失。"))] = False,
    as_json: AsJson = False,
) -> None:
    """Prints what is lost; without --yes that is all, and it exits 1."""

    async def main() -> tuple[str, tuple[Loss, ...], SchemaState]:
        from gateway.adapters.stores import schema

        database = open_database(*_address(config), is_patient=True)
        try:
            state = await schema.schema_state(database)
            target = to or schema.before(state)
            lost = await schema.losses(database, target)
            return target, lost, await schema.downgrade(database, target) if yes else state
        finally:
            await database.aclose()

    target, lost, state = _told(main())
    if as_json:
        told = [{"revision": one.revision, "lost": say(one.english, one.chinese), "rows": one.rows} for one in lost]
        typer.echo(json.dumps({"to": target, "losses": told, "done": yes, **_as_dict(state)}, ensure_ascii=False))
    else:
        for one in lost:
            typer.echo(
                say(
                    f"revision {one.revision} is taken back: lost is {one.english}; rows now: {one.rows}",
                    f"回退版本 {one.revision}：将丢失{one.chinese}；现有 {one.rows} 行",
                )
            )
        if yes:
            _show(state, as_json=False)
    if not yes:
        raise fail(
            [
                say(
                    "nothing was done; stop the gateway, make a backup, then run it again with --yes",
                    "未执行任何操作；请先停止网关并备份，再加 --yes 运行",
                )
            ],
            1,
        )
    if not as_json:
        typer.echo(
            say(
                "start the older version of the gateway now: this one brings an SQLite file up again when it starts",
                "现在请启动旧版网关：本版本启动时会再次升级 SQLite 文件",
            )
        )


def _address(config: Path | None) -> tuple[str, str | None]:
    gateway = load_settings(config).gateway
    return gateway.store.resolved(gateway.audit.path)


def _told(main: Coroutine[Any, Any, T]) -> T:
    """Runs it, and ends the command with what went wrong."""
    try:
        return run(main)
    except ConfigError as error:
        raise fail(list(error.faults), 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error


def _as_dict(state: SchemaState) -> dict[str, str]:
    return {"standing": state.standing, "revision": state.revision, "newest": state.newest}


def _show(state: SchemaState, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_dict(state)))
        return
    typer.echo(
        say(
            f"{state.standing}: revision {state.revision or 'none'}, newest {state.newest}",
            f"{state.standing}：当前版本 {state.revision or '无'}，最新版本 {state.newest}",
        )
    )
