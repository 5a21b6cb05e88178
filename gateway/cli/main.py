"""The command's table of contents: each command stands in a module of its own, which is loaded when it is called.

So that `xinyidai query` need not load what serves: the server's parts take longer to load than a query takes to answer.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from gateway.cli.words import say


class _Place(NamedTuple):
    """Where a command is: `app` is a Typer of the module, of which the command is one, or which it is."""

    module: str
    app: str
    help: str


_COMMANDS: Final = {
    "serve": _Place("up", "app", say("Serve gRPC until SIGTERM.", "启动 gRPC 服务，直至收到 SIGTERM。")),
    "sandbox": _Place("up", "app", say("Start the simulated platforms and keep them up.", "启动模拟平台并保持运行。")),
    "up": _Place(
        "up", "app", say("Sandbox and gateway together, until SIGTERM.", "模拟平台与网关一同启动，直至收到 SIGTERM。")
    ),
    "query": _Place("query", "app", say("Ask a running gateway about one enterprise.", "向运行中的网关查询一家企业。")),
    "verify": _Place("verify", "app", say("Check an answer's evidence, offline.", "离线核验应答的证据。")),
    "archive": _Place(
        "archive", "archive", say("Answers as they were sent, kept as evidence.", "已归档的应答，作为证据留存。")
    ),
    "check-config": _Place(
        "check", "app", say("Check the configuration, list every fault.", "检查配置，列出所有错误。")
    ),
    "demo": _Place(
        "demo_command", "app", say("Show it all once and check it, then end.", "演示一遍并自行核对，然后结束。")
    ),
    "access": _Place("access", "access", say("Who may do what, by the policies.", "权限策略查询。")),
    "audit": _Place(
        "audit", "audit", say("The trail: verify it, export a bank's own part of it.", "留痕：核验，导出本行记录。")
    ),
    "certs": _Place(
        "certs",
        "certs",
        say(
            "Certificates of a development authority: make, issue, list, rotate.",
            "开发用证书机构：建立、签发、列出、更换证书。",
        ),
    ),
    "consent": _Place(
        "consents",
        "consents",
        say("Consents of enterprises and persons, at a running gateway.", "运行中网关的企业与个人授权。"),
    ),
    "green": _Place(
        "green",
        "green",
        say("The green review of an enterprise, at a running gateway.", "运行中网关的企业绿色信贷审查。"),
    ),
    "keys": _Place("keys", "keys", say("Keys of evidence: make, rotate, show.", "存证密钥：生成、更换、查看。")),
    "lists": _Place(
        "joint_lists",
        "lists",
        say("Joint lists at a running gateway.", "运行中网关的联合奖惩名单。"),
    ),
    "repairs": _Place(
        "repairs",
        "repairs",
        say("Repairs of records, and stale copies of them.", "记录的信用修复，及其过期副本。"),
    ),
    "store": _Place("store", "store", say("The database of consents: its schema.", "授权数据库及其结构。")),
    "platforms": _Place(
        "operator",
        "platforms",
        say("Platforms of a running gateway, and what is in force around them.", "运行中网关的平台及其生效设置。"),
    ),
    "cache": _Place("operator", "cache", say("What a running gateway keeps of answers.", "运行中网关的应答缓存。")),
}


class Commands(TyperGroup):
    """Knows every command by name and help, and loads the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Gives the called command itself in place of its entry."""
        name, entry, rest = super().resolve_command(ctx, args)
        return name, entry if entry is None or name is None else _load(name), rest


def _load(name: str) -> Any:
    place = _COMMANDS[name]
    group: Any = typer.main.get_group(getattr(import_module(f"gateway.cli.{place.module}"), place.app))
    loaded = group.commands.get(name, group)
    loaded.help = place.help
    return loaded


app = Commands(
    name="xinyidai",
    help=say(
        "Xinyidai interconnection gateway: one question about one enterprise, all platforms, one merged view.",
        "信易贷互联网关：一次查询，所有平台，一个统一信用视图。",
    ),
    no_args_is_help=True,
    commands={name: TyperCommand(name, help=place.help) for name, place in _COMMANDS.items()},
)


def main() -> None:
    """Runs the command line."""
    _hold_standard_streams()
    # A container's first process: the kernel drops a signal that it has no handler for, so that it would start and serve.
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)
    app()


def _end(number: int, _: FrameType | None) -> None:
    """Ends the command as the signal would anywhere else; `serve` puts its drain in the place of this."""
    sys.exit(128 + number)


def _hold_standard_streams() -> None:
    """Opens those that were closed on the null device: the next file, such as the trail, would be taken for one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
