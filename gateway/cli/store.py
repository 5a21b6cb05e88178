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
from gateway.gateway_file import StoreSettings
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.adapters.stores.consent_seal import Seal
    from gateway.adapters.stores.engine import Database
    from gateway.adapters.stores.schema import Loss
    from gateway.adapters.stores.standing import SchemaState
    from gateway.adapters.stores.wholeness import Checked

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

        database, now = _opened(config), _seal(config)
        try:
            return await bring(database, seal=now)
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

        database = _opened(config)
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


@store.command(
    help=say(
        "Look at every page of the file and at every consent's seal. Exits 1 when something was altered.",
        "逐页检查数据库文件并逐条核验授权；发现改动时以 1 退出。",
    )
)
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Prints how many consents are whole, and names those that are not."""

    async def main() -> Checked:
        from gateway.adapters.stores import wholeness

        database, now = _opened(config), _seal(config)
        try:
            await _require_right(database)
            return await wholeness.check(database, now)
        finally:
            await database.aclose()

    _tell_checked(_told(main()), as_json=as_json)


@store.command(
    help=say(
        "Seal every consent anew, after store.seal_key was set or changed; stop the gateway first.",
        "设置或更换 store.seal_key 后重新加校验；请先停止网关。",
    )
)
def seal(
    config: Config = None,
    before: Annotated[
        str,
        typer.Option(
            help=say(
                "Reference of the key before (env:NAME, file:/path); none if there was none.",
                "原密钥引用（env:NAME、file:/path）；原无密钥则不填。",
            )
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Prints how many there are, and names those that neither key sealed: they are not honoured, and stay as they are."""

    async def main() -> Checked:
        from gateway.adapters.stores import wholeness
        from gateway.adapters.stores.consent_seal import Seal

        try:
            old = StoreSettings(seal_key=before).resolved_seal_key()
        except ValueError as error:
            raise ConfigError(["--before: write a reference (env:NAME, file:/path) 请填写密钥引用"]) from error
        database, now = _opened(config), _seal(config)
        try:
            await _require_right(database)
            return await wholeness.reseal(database, Seal(old), now)
        finally:
            await database.aclose()

    _tell_checked(_told(main()), as_json=as_json)


def _tell_checked(checked: Checked, *, as_json: bool) -> None:
    if as_json:
        corrupt = [{"bank": bank, "consent_id": consent_id} for bank, consent_id in checked.corrupt]
        typer.echo(json.dumps({"consents": checked.consents, "corrupt": corrupt, "file": checked.file}))
    else:
        typer.echo(say(f"{checked.consents} consents", f"授权 {checked.consents} 份"))
    if checked.corrupt or checked.file:
        lines = [say(f"the file is damaged: {line}", f"数据库文件已损坏：{line}") for line in checked.file]
        lines += [
            say(
                f"bank {bank}: consent {consent_id} is not what was registered; it is not honoured",
                f"银行 {bank}：授权 {consent_id} 与登记时不符，不予采用",
            )
            for bank, consent_id in checked.corrupt
        ]
        raise fail(lines, 1)


async def _require_right(database: Database) -> None:
    from gateway.adapters.stores.schema import schema_state
    from gateway.adapters.stores.standing import complaint_of

    complaint = complaint_of(await schema_state(database))
    if complaint:
        raise ConfigError([f"the store: {complaint}"])


def _opened(config: Path | None) -> Database:
    return open_database(*_address(config), is_patient=True)


def _seal(config: Path | None) -> Seal:
    from gateway.adapters.stores.consent_seal import Seal

    return Seal(load_settings(config).gateway.store.resolved_seal_key())


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
