"""What was measured against what is owed, as a table on the terminal, as a page of the docs and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

_HEADINGS = ("row", "measured", "ratio", "owed", "holds", "stretch", "holds")


class Verdict(StrEnum):
    """Whether a budget is kept; a number whose interval straddles the budget says neither."""

    YES = "yes"
    NO = "NO"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Claim:
    """A number a budget is about: at most `owed`, better `stretch`; without them it is only shown.

    `interval` is where the number lies as far as the runs tell, both ends included; None for one that was measured once.
    """

    what: str
    measured: float
    owed: float | None = None
    stretch: float | None = None
    interval: tuple[float, float] | None = None

    def verdict(self, most: float | None) -> Verdict | None:
        """Gives whether it is at most so much; None where nothing is owed."""
        if most is None:
            return None
        least, greatest = self.interval or (self.measured, self.measured)
        if greatest <= most:
            return Verdict.YES
        return Verdict.NO if least > most else Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its figures by unit, what its budget is about, and what is on in it; `missing` says why it was not measured."""

    title: str
    has: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    missing: str = ""


def why(error: BaseException) -> str:
    """Gives the first cause in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    return " ".join((said or type(error).__name__).split())[:300]


def number(value: float) -> str:
    """Gives a number with about three digits that say something."""
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(row: Row) -> list[tuple[str, ...]]:
    """Gives the lines of a row in the table, one for each claim."""
    if row.missing:
        return [(row.title, f"NOT MEASURED: {row.missing}", "", "", "", "", "")]
    figures = ", ".join(f"{number(value)} {unit}" for unit, value in row.figures.items())
    lines = [
        (
            _said(claim),
            _most(claim.owed),
            claim.verdict(claim.owed) or "",
            _most(claim.stretch),
            claim.verdict(claim.stretch) or "",
        )
        for claim in row.claims
    ] or [("", "", "", "", "")]
    return [(row.title, figures, *lines[0]), *(("", "", *line) for line in lines[1:])]


def _most(value: float | None) -> str:
    return "" if value is None else f"≤ {number(value)}"


def _said(claim: Claim) -> str:
    if claim.interval is None:
        return f"{number(claim.measured)} {claim.what}"
    least, greatest = map(number, claim.interval)
    return f"{number(claim.measured)} [{least}, {greatest}] {claim.what}"


def summary(rows: Iterable[Row]) -> list[str]:
    """Gives what holds, in sentences."""
    rows = list(rows)
    lines = []
    for kind in ("owed", "stretch"):
        stated = [(row, claim) for row in rows for claim in row.claims if getattr(claim, kind) is not None]
        told: dict[Verdict | None, list[str]] = {}
        for row, claim in stated:
            told.setdefault(claim.verdict(getattr(claim, kind)), []).append(f"{row.title} ({_said(claim)})")
        lines.append(
            "; ".join(
                (
                    f"{kind}: {len(told.get(Verdict.YES, ()))} of {len(stated)} hold",
                    *(
                        f"{word}: {'; '.join(told[verdict])}"
                        for verdict, word in ((Verdict.NO, "not"), (Verdict.UNKNOWN, "cannot tell"))
                        if verdict in told
                    ),
                )
            )
        )
    missing = [row.title for row in rows if row.missing]
    if missing:
        lines.append(f"not measured: {'; '.join(missing)}")
    return lines


def show(console: Console, rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Prints the table, what each row has, and the notes."""
    table = Table()
    for index, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if index < 3 else "right", no_wrap=index != 1)
    for row in rows:
        for line in cells(row):
            table.add_row(*line)
    console.print(table)
    for note in (*summary(rows), *(f"{row.title}: {row.has}" for row in rows if row.has), *notes):
        console.print(note, highlight=False, soft_wrap=True)


def page(rows: Sequence[Row], machine: Mapping[str, str], method: Sequence[str]) -> str:
    """Gives the page of the docs."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, which measures everything side by side in one run; not edited by hand. Compare ratios of one",
        "run, never figures of two machines. Budgets are what a change must keep to (“owed”) and what is worth reaching",
        "(“stretch”).",
        "",
        "## Machine and versions",
        "",
        *(f"- {key}: {value}" for key, value in machine.items()),
        "",
        "## Results",
        "",
        *(f"- {line}" for line in summary(rows)),
        "",
        f"| {' | '.join(_HEADINGS)} |",
        "|---|---|---|---:|---|---:|---|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for row in rows for line in cells(row)),
        "",
        "## What each row has",
        "",
        *(f"- **{row.title}**: {row.has}" for row in rows if row.has),
        "",
        "## Method",
        "",
        *(f"- {line}" for line in method),
        "",
    ]
    return "\n".join(lines)


def document(rows: Sequence[Row], machine: Mapping[str, str], method: Sequence[str]) -> dict[str, Any]:
    """Gives the same for machines."""
    return {
        "machine": dict(machine),
        "method": list(method),
        "rows": [
            {
                "title": row.title,
                "has": row.has,
                "figures": dict(row.figures),
                "missing": row.missing,
                "claims": [
                    {
                        "what": claim.what,
                        "measured": claim.measured,
                        "owed": claim.owed,
                        "interval": claim.interval,
                        "owed_verdict": claim.verdict(claim.owed),
                        "stretch": claim.stretch,
                        "stretch_verdict": claim.verdict(claim.stretch),
                    }
                    for claim in row.claims
                ],
            }
            for row in rows
        ],
    }
