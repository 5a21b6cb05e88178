"""Options of commands by which two persons decide: who does, upon which version, and the day it counts from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

import typer
from google.type.date_pb2 import Date

from gateway.cli.words import say

DAY: Final = ["%Y-%m-%d"]
Operator = Annotated[str, typer.Option(help=say("Who decides; a second person confirms.", "经办人；须由另一人复核。"))]
Version = Annotated[
    int,
    typer.Option(
        "--version", min=0, help=say("Only if it is of this version; 0: any.", "仅当为该版本时；0 为任意版本。")
    ),
]
Decline = Annotated[bool, typer.Option("--decline", help=say("Decline it.", "退回。"))]


def day_of(stated: date) -> Date:
    """Gives the day as the contract writes it."""
    return Date(year=stated.year, month=stated.month, day=stated.day)
