"""What several commands share: options, the console, and how a command ends when it fails."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from gateway.cli.words import say

LOCAL: Final = "127.0.0.1:50051"

Address = Annotated[str, typer.Option("--address", help=say("Address of the gateway.", "网关地址。"))]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help=say("Folder whose files override the shipped ones.", "配置目录，逐文件覆盖内置配置。")
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help=say("Print JSON.", "输出 JSON。"))]


class InertConsole(Console):
    """A console that shows texts and is told nothing by them: they are platforms', callers' and other people's.

    Neither rich's own markup, such as [red], nor a terminal's control sequences in them have any effect: a text could hide
    another by either.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Gives what is printed, with a mark in the place of whatever is no character to be seen."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(_UNSEEN.sub("\ufffd", text), style)


_UNSEEN: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def console() -> Console:
    """Gives the terminal, or a page wide enough for tables where there is none: a pipe has no width of its own."""
    return InertConsole() if sys.stdout.isatty() else InertConsole(width=118)


def fail(lines: list[str], code: int) -> typer.Exit:
    """Prints what went wrong and gives what ends the command."""
    for line in lines:
        typer.echo(line, err=True)
    return typer.Exit(code)


def save(path: Path, raw: bytes) -> None:
    """Writes a response as it came, for nobody else to read; ends the command where that fails."""
    try:
        path.touch(mode=0o600)
        path.write_bytes(raw)
    except OSError as error:
        raise fail([f"{path}: {error.strerror}"], 2) from error
