"""What was measured against what is owed, as a table on the terminal, as a page of the docs and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

_HEADINGS = ("row", "measured", "ratio", "owed", "holds", "stretch", "holds")


@dataclass(frozen=True, slots=True)
class Claim:
    """A number a budget is about: at most `owed`, better `stretch`; without them it is only shown."""

    what: str
    measured: float
    owed: float | None = None
    stretch: float | None = None

    def holds(self, most: float | None) -> bool | None:
        """Whether it is at most so much; None where nothing is owed."""
        return None if most is None else self.measured <= most


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
            f"{number(claim.measured)} {claim.what}",
            _most(claim.owed),
            _verdict(claim.holds(claim.owed)),
            _most(claim.stretch),
            _verdict(claim.holds(claim.stretch)),
        )
        for claim in row.claims
    ] or [("", "", "", "", "")]
    return [(row.title, figures, *lines[0]), *(("", "", *line) for line in lines[1:])]


def _most(value: float | None) -> str:
    return "" if value is None else f"≤ {number(value)}"


def _verdict(holds: bool | None) -> str:
    return "" if holds is None else "yes" if holds else "NO"


def summary(rows: Iterable[Row]) -> list[str]:
    """Gives what holds, in sentences."""
    rows = list(rows)
    lines = []
    for kind in ("owed", "stretch"):
        stated = [(row, claim) for row in rows for claim in row.claims if getattr(claim, kind) is not None]
        missed = [
            f"{row.title} ({number(claim.measured)} {claim.what})" for row, claim in stated if not _met(claim, kind)
        ]
        lines.append(
            f"{kind}: {len(stated) - len(missed)} of {len(stated)} hold"
            + (f"; not: {'; '.join(missed)}" if missed else "")
        )
    missing = [row.title for row in rows if row.missing]
    if missing:
        lines.append(f"not measured: {'; '.join(missing)}")
    return lines


def _met(claim: Claim, kind: str) -> bool:
    return bool(claim.holds(getattr(claim, kind)))


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
                        "owed_holds": claim.holds(claim.owed),
                        "stretch": claim.stretch,
                        "stretch_holds": claim.holds(claim.stretch),
                    }
                    for claim in row.claims
                ],
            }
            for row in rows
        ],
    }
