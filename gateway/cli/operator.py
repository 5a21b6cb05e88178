"""Commands of the operator at a running gateway: its platforms, what is in force around them, what it keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.table import Table
from typer.core import TyperGroup

from gateway._pb.xinyidai.gateway.v1.admin_service_pb2 import ShowPlatformResponse, WrapperFact
from gateway._pb.xinyidai.gateway.v1.platform_service_pb2 import PlatformHealth
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import called
from gateway.cli.client import list_platforms, purge_answers, show_platform
from gateway.cli.options import AsJson, console, fail
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

_WRAPPERS = {
    "cache": "应答缓存 cache",
    "quota": "配额 quota",
    "breaker": "熔断 breaker",
    "bulkhead": "隔舱 bulkhead",
    "retry": "重试 retry",
    "hedge": "对冲 hedge",
}


class _ListsByDefault(TyperGroup):
    """Takes what is no command as arguments of `list`: `platforms` lists all, `platforms shanghai` one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_told = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if is_told else ["list", *args])


platforms = typer.Typer(name="platforms", cls=_ListsByDefault, add_completion=False)
cache = typer.Typer(name="cache", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help=say("Id of the platform.", "平台标识。"))]


@platforms.command("list", help=say("Coverage, limits, health.", "覆盖、限额、健康状况。"))
@connecting(Kind.OPERATOR)
def list_(
    platform: Annotated[str | None, typer.Argument(help=say("Only this one.", "仅此平台。"))] = None,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints what the gateway is connected to."""
    found = [p for p in called(list_platforms(at), at) if platform in (None, p.platform)]
    if not found:
        raise fail([say(f"no platform {platform!r}", f"没有平台 {platform!r}")], 1)
    if as_json:
        for one in found:
            _print_json(one)
        return
    table = Table(expand=True)
    for column in ("平台 platform", "名称 title", "接口 dialect", "覆盖 covers", "健康 health"):
        table.add_column(column, overflow="fold")
    for one in found:
        verdict = PlatformHealth.Name(one.health.health).removeprefix("PLATFORM_HEALTH_")
        table.add_row(
            one.platform, one.title_zh, one.dialect, str(len(one.coverage)), f"{verdict} ({one.health.call_count})"
        )
    console().print(table)


@platforms.command(
    "show", help=say("What is in force around one, wrapper by wrapper.", "某一平台各层的生效设置与当前状态。")
)
@connecting(Kind.OPERATOR)
def show(
    platform: Name,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the wrappers around a platform's connector, the outermost first."""
    shown = called(show_platform(at, platform), at)
    if as_json:
        _print_json(shown, is_whole=True)  # "is_active": false is what some look for
        return
    console().print(_wrappers(shown))


@cache.command("purge", help=say("Forget what is kept about an enterprise.", "清除某一企业的缓存应答。"))
@connecting(Kind.OPERATOR)
def purge(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))],
    platform: Annotated[str, typer.Option(help=say("Of this platform only.", "仅限此平台。"))] = "",
    *,
    at: Reach,
) -> None:
    """Prints how many answers were forgotten; of several processes on one port, that of the one that was met."""
    count = called(purge_answers(at, uscc, platform), at)
    typer.echo(say(f"{count} kept answers were forgotten", f"已清除 {count} 份缓存应答"))


def _wrappers(shown: ShowPlatformResponse) -> Table:
    table = Table(title=shown.platform, expand=True, show_lines=True)
    columns = ("层 wrapper", "生效设置 in force", "当前状态 now")
    for column, ratio in zip(columns, (2, 6, 4), strict=True):
        table.add_column(column, ratio=ratio, overflow="fold")
    for wrapper in shown.wrappers:
        name = _WRAPPERS.get(wrapper.wrapper, wrapper.wrapper)
        now = _lines(wrapper.state) if wrapper.is_active else f"{say('off', '未启用')}: {wrapper.inactive_because}"
        table.add_row(name, _lines(wrapper.settings), now)
    return table


def _lines(facts: Iterable[WrapperFact]) -> str:
    return "\n".join(f"{fact.key} = {fact.value or '–'}" for fact in facts)


def _print_json(message: Message, *, is_whole: bool = False) -> None:
    typer.echo(
        json_format.MessageToJson(
            message,
            preserving_proto_field_name=True,
            ensure_ascii=False,
            always_print_fields_with_no_presence=is_whole,
        )
    )
