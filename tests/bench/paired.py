"""What trust adds to a view (mTLS, rights, consent, masking): the same gateway with it and without it, side by side.

Two medians of a busy machine differ by more than the budget, and so do two runs that follow each other: its pace changes
within seconds. So both gateways are driven in the very same seconds, each at platforms of its own, and what is told is the
median of the differences within these rounds, with an interval.

The budget is 60 µs on the machine where it was set. The naive peer runs beside them, so that the budget can be told as a
share of what that takes too: a machine half as fast owes no less and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.bench import questions
from tests.bench.cost import COLD, COLD_REALISTIC, NAIVE, NAIVE_WHERE_SET_US, ON
from tests.bench.driven import Entry, side_by_side
from tests.bench.fixture import ENTERPRISES, FOUR, PLAIN, REALISTIC
from tests.bench.interval import middle
from tests.bench.load import line
from tests.bench.questions import FAILURES, GATEWAY_REALISTIC, PEER, Target, gateway_plain
from tests.bench.report import Row, why
from tests.bench.stage import Size, Stage, Upstream

TRUSTED: Final = f"{COLD}, trusted"
TRUSTED_REALISTIC: Final = f"{COLD_REALISTIC}, trusted"
TITLES: Final = (TRUSTED, TRUSTED_REALISTIC)
METHOD: Final = (
    "Trusted rows: two gateways, with and without mTLS, rights, consents and masking, and the naive peer are driven in the same "
    "seconds, each at platforms of its own; what is owed is the median of the differences within these rounds. In brackets "
    "stands its interval by order statistics, which holds the true median with 95 % or, of less than six rounds, is all of their "
    "range. Where it straddles a budget, the verdict is that these runs cannot tell. What is owed in µs is told as a share of the "
    f"naive peer's {NAIVE_WHERE_SET_US:.0f} µs too, since this machine may be another than the one where the budget was set.",
)
_MOST_MORE_US: Final = 60.0
_HAS: Final = f"{ON}; mTLS, the bank by its certificate, rights by policies, a consent stated, masking"
_LEAST_ROUNDS: Final = 6
_LEAD: Final = 0.25
_SHOWN_PART: Final = 3
"""Of the rounds and of their calls, a view of many records has a third: nothing is owed there, and each costs more."""
_SHARES: Final = (1.0, 1.0, 2.0)
"""How many of a round's calls each makes, so that all take about as long: the naive peer's cost half as much."""


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives what trust adds to a view of twelve fields, which is owed, and to one of many records, which is shown."""
    upstreams = await asyncio.gather(*(stage.upstream("instant") for _ in _SHARES))
    rows = []
    for title, kind, off, on, owed, part, kept in (  # kept: rounds for which time is left to the row that follows
        (TRUSTED, PLAIN, gateway_plain(), questions.TRUSTED_PLAIN, _MOST_MORE_US, 1, 2 * _LEAST_ROUNDS),
        (TRUSTED_REALISTIC, REALISTIC, GATEWAY_REALISTIC, questions.TRUSTED_REALISTIC, None, _SHOWN_PART, 0),
    ):
        try:
            rows.append(await _row(stage, size, upstreams, title, kind, (on, off), owed, part, kept))
        except FAILURES as error:
            rows.append(Row(title, missing=why(error)))
    return rows


async def _row(
    stage: Stage,
    size: Size,
    upstreams: Sequence[Upstream],
    title: str,
    kind: str,
    targets: tuple[Target, Target],
    owed: float | None,
    part: int,
    kept: int,
) -> Row:
    of_trusted, of_plain, of_naive = (upstream.addresses[: len(FOUR)] for upstream in upstreams)
    (trusted, credentials), plain, naive = await asyncio.gather(
        stage.trusted(kind, of_trusted), stage.gateway(kind, of_plain), stage.naive(of_naive)
    )
    async with (
        line(trusted, targets[0], ENTERPRISES, credentials) as shown,
        line(plain, targets[1], ENTERPRISES) as bare,
        line(naive, PEER, ENTERPRISES) as peer,
    ):
        asked = ((shown, targets[0]), (bare, targets[1]), (peer, PEER))
        entries = [
            Entry(title, _HAS, driver, upstream, target.calls_per_view, share, _LEAD)
            for (driver, target), upstream, share in zip(asked, upstreams, _SHARES, strict=True)
        ]

        def goes_on(number: int, round_s: float) -> bool:  # on a slow day fewer rounds, and a wider interval
            return number < _LEAST_ROUNDS or stage.has_time_for(round_s * (1 + kept))

        rounds = max(min(size.beside, _LEAST_ROUNDS), size.beside // part)
        await side_by_side(entries, rounds, max(1, size.beside_calls // part), goes_on)
    with_it, without, naive_us = ([run.cpu_us for run in entry.runs] for entry in entries)
    return _told(title, with_it, without, naive_us, owed)


def _told(
    title: str, with_it: Sequence[float], without: Sequence[float], naive: Sequence[float], owed: float | None
) -> Row:
    more = [a - b for a, b in zip(with_it, without, strict=True)]
    share = [a / b for a, b in zip(more, naive, strict=True)]
    figures = {"µs": median(with_it), "µs without": median(without), "µs naive": median(naive), "rounds": len(more)}
    claims = (
        middle("µs more, side by side", more, owed),
        middle(f"× {NAIVE} more, side by side", share, owed and owed / NAIVE_WHERE_SET_US),
    )
    return Row(title, _HAS, figures, claims)
