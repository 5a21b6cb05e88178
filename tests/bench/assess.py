"""What a green assessment costs when views are at hand: facts read, rules judged, explanation made, digest taken.

python -m tests.bench.assess
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from rich.console import Console

from tests.bench.report import Claim, Row, show
from tests.bench.stage import Size, Stage
from tests.domain.green_worlds import assessor, drawn, view_of

TITLES: Final = ("green assessments, views at hand",)
METHOD: Final = (
    "Green assessments: CPU time of one core over views drawn at random, most with grades, penalties or lists, a part of the "
    "platforms silent; each round begins with an assessor that has judged nothing yet.",
)
_TURNS: Final = 10
_MOST_US: Final = 1e6 / 3_000


def row(count: int, rounds_run: int) -> Row:
    """Measures the row over so many different views."""
    views = [view_of(drawn(seed)) for seed in range(count)]
    rounds, first = [], []
    for _ in range(rounds_run):
        judging = assessor()
        began = time.process_time()
        for view in views:
            judging.assess(view)
        first.append((time.process_time() - began) / count * 1e6)
        for _ in range(_TURNS - 1):
            for view in views:
                judging.assess(view)
        rounds.append((time.process_time() - began) / (count * _TURNS) * 1e6)
    spent = statistics.median(rounds)
    figures = {
        "assessments/s per core": 1e6 / spent,
        "µs each while every combination of facts is new": statistics.median(first),
    }
    return Row(TITLES[0], figures=figures, claims=(Claim("µs CPU per assessment", spent, _MOST_US),))


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives the row to `make bench`; it starts no process."""
    await asyncio.sleep(0)  # where its time is up already, it ends here
    return [row(6 * size.calls, min(size.runs, 3))]


def main() -> None:
    """Prints the row."""
    show(Console(width=150), [row(600, 3)], METHOD)


if __name__ == "__main__":
    main()
