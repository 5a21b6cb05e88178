"""`xinyidai certs`: a development authority on this machine, and how long certificates have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.adapters.identity.authority import (
    CA,
    CA_DAYS,
    DAYS,
    SERVER,
    Authority,
    AuthorityError,
    Issued,
    san_of,
)
from gateway.adapters.identity.kinds import Kind
from gateway.cli.options import AsJson, Config, console, fail
from gateway.cli.reach import FOLDER, certs_folder
from gateway.cli.words import say
from gateway.domain.errors import ConfigError
from gateway.identity_bootstrap import tls_expiries, tls_faults
from gateway.settings import Settings, load_settings

_WARN_DAYS = 30
_TABLES = {
    Kind.BANK: ("banks", "bank-query"),
    Kind.REVIEWER: ("banks", "bank-green-reviewer"),
    Kind.AUDITOR: ("banks", "bank-auditor"),
    Kind.OPERATOR: ("operators", "platform-operator"),
}

certs = typer.Typer(name="certs", no_args_is_help=True, add_completion=False)


@dataclass(frozen=True, slots=True)
class _Shown:
    """One line of the list; files only of what the authority issued, so that a key's place is not told of others."""

    name: str
    kind: str
    names: tuple[str, ...]
    not_after: datetime
    fingerprint: str = ""
    cert: str = ""
    key: str = ""


Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", envvar=FOLDER, help=say("Where they stand, by default var/certs.", "证书目录，默认 var/certs。")
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help=say("Name or address of the server beside localhost.", "服务器的其他域名或地址（localhost 之外）。"),
    ),
]
Days = Annotated[int, typer.Option("--days", min=1, max=CA_DAYS, help=say("Days it is valid.", "有效天数。"))]


@certs.command(
    "init",
    help=say(
        "Make the authority, and certificates of a server, a demonstration bank and an operator.",
        "建立证书机构，并签发服务器、演示银行与运维证书。",
    ),
)
def init(folder: Folder = None, host: Hosts = None, as_json: AsJson = False) -> None:
    """Makes all that `xinyidai serve` and `xinyidai query` need on one machine; exits 1 where there is one already."""
    authority = _authority(folder)
    try:
        made = authority.init(host or ())
    except (AuthorityError, OSError) as error:
        raise fail([str(error)], 1) from error
    _print(_shown(made, authority), str(authority.folder), as_json=as_json)
    if not as_json:
        typer.echo(say("Next: xinyidai serve, and xinyidai query", "下一步：xinyidai serve 与 xinyidai query"))


@certs.command("issue", help=say("Issue a certificate.", "签发证书。"))
def issue(
    kind: Annotated[Kind, typer.Argument(help=say("Whose.", "证书种类。"))],
    holder: Annotated[
        str,
        typer.Argument(
            help=say(
                "Id of the bank or operator as in banks.toml, or a server's name.",
                "银行或运维的标识 （同 banks.toml）， 或服务器名。",
            )
        ),
    ],
    folder: Folder = None,
    host: Hosts = None,
    days: Days = DAYS,
    as_json: AsJson = False,
) -> None:
    """Issues a certificate with a new key, a server's or a client's, and says what banks.toml must say of it."""
    authority = _authority(folder)
    try:
        issued = authority.issue(kind, holder, hosts=host or (), days=days)
    except (AuthorityError, OSError, ValueError) as error:
        raise fail([str(error)], 1) from error
    _print(_shown([issued], authority), str(authority.folder), as_json=as_json)
    if kind in _TABLES and not as_json:
        table, role = _TABLES[kind]
        typer.echo(
            say(
                f"Add to certificates of [{table}.{holder}] in banks.toml, beside what stands there:",
                f"在 banks.toml 的 [{table}.{holder}] 的 certificates 中添加（保留已有各项）：",
            )
        )
        typer.echo(f'  {{ san = "URI:{san_of(kind, holder)}", roles = ["{role}"] }},')


@certs.command("list", help=say("List certificates and how long they have.", "列出证书及其剩余期限。"))
def list_(folder: Folder = None, config: Config = None, as_json: AsJson = False) -> None:
    """Prints every certificate of the folder, and those that the configuration names."""
    authority = _authority(folder)
    try:
        found = [*_shown(authority.list(), authority), *_configured(load_settings(config))]
    except (AuthorityError, ConfigError) as error:
        raise fail([str(error)], 1) from error
    if not found:
        raise fail(
            [
                say(
                    f"{authority.folder} holds no certificate; run xinyidai certs init",
                    f"{authority.folder} 中没有证书；请运行 xinyidai certs init",
                )
            ],
            1,
        )
    _print(found, str(authority.folder), as_json=as_json)


@certs.command(
    "rotate",
    help=say(
        "Issue certificates anew with new keys; a running gateway takes its own without a restart.",
        "以新密钥重新签发证书； 运行中的网关无须重启即可换用。",
    ),
)
def rotate(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            help=say(
                f"Names as listed, by default {SERVER}; {CA} renews the authority and then all.",
                f"所列名称，默认 {SERVER}；{CA} 为更换机构并重新签发全部证书。",
            )
        ),
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Rotates; after the authority's own renewal the old one stays trusted until it is renewed again."""
    authority = _authority(folder)
    try:
        wanted = name or [SERVER]
        if CA in wanted:
            wanted = [one.name for one in authority.list()]
        rotated = [authority.rotate(each) for each in wanted]
    except (AuthorityError, OSError) as error:
        raise fail([str(error)], 1) from error
    _print(_shown(rotated, authority), str(authority.folder), as_json=as_json)


def _configured(settings: Settings) -> list[_Shown]:
    """Gives the certificates named by [server.tls]; raises ConfigError where they cannot serve."""
    faults = tls_faults(settings)
    if faults:
        raise ConfigError(faults)
    return [
        _Shown(f"server.tls {expiry.name}", "configured", (), expiry.not_after) for expiry in tls_expiries(settings)
    ]


def _authority(folder: Path | None) -> Authority:
    return Authority(folder or certs_folder())


def _shown(issued: Sequence[Issued], authority: Authority) -> list[_Shown]:
    return [
        _Shown(
            one.name,
            one.kind,
            one.names,
            one.not_after,
            one.fingerprint,
            str(authority.folder / f"{one.name}.pem"),
            str(authority.folder / f"{one.name}.key"),
        )
        for one in issued
    ]


def _print(found: Sequence[_Shown], title: str, *, as_json: bool) -> None:
    now = datetime.now(UTC)
    if as_json:
        shown = [
            {
                **asdict(one),
                "not_after": one.not_after.isoformat(),
                "seconds_left": int((one.not_after - now).total_seconds()),
            }
            for one in found
        ]
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    table = Table(expand=True, title=title)
    for column in ("证书 certificate", "种类 kind", "名称 names", "有效期至 until", "剩余天数 days left"):
        table.add_column(column, overflow="fold")
    for one in found:
        left = (one.not_after - now).days
        mark = " ⚠" if left < _WARN_DAYS else ""
        names = Text("\n".join(one.names))  # plain: a table's own markup makes pictures of words between colons
        table.add_row(one.name, one.kind, names, f"{one.not_after:%F}", f"{left}{mark}")
    console().print(table)
