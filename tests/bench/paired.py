"""What trust adds to a view (mTLS, rights, consent, masking): the same gateway with it and without it, run by run in pairs.

Two medians of a busy machine differ by more than the budget, so the difference is taken within a pair of runs that follow
each other, and what is told is the median of these with an interval. The order is turned from pair to pair (on, off, off,
on …), so that a machine that grows slower or faster is no part of the difference; many short pairs tell more than a few long
ones, since what disturbs the machine for a second is then in both halves of a pair, or in few pairs. Not too short, though: a
process finds its pace only after some tenths of a second.

The budget is 60 µs on the machine where it was set. The naive peer runs in the same turns, so that the budget can be told as
a share of what that takes too: a machine half as fast owes no less and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.bench import questions
from tests.bench.cost import COLD, COLD_REALISTIC, NAIVE, NAIVE_WHERE_SET_US, ON
from tests.bench.driven import Entry, in_turns
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
    "Trusted rows: two gateways are up at once, with and without mTLS, rights, consents and masking, and take turns (on, off, "
    "off, on …); what is owed is the median of the differences within the pairs. In brackets stands its interval by order "
    "statistics, which holds the true median with 95 % or, of less than six pairs, is all of their range. Where it straddles a "
    "budget, the verdict is that these runs cannot tell. The naive peer takes its turn with them: what is owed in µs is told as "
    f"a share of its {NAIVE_WHERE_SET_US:.0f} µs too, since this machine may be another than the one where the budget was set.",
)
_MOST_MORE_US: Final = 60.0
_HAS: Final = f"{ON}; mTLS, the bank by its certificate, rights by policies, a consent stated, masking"
_LEAST_PAIRS: Final = 6


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives what trust adds to a view of twelve fields, which is owed, and to one of many records, which is shown."""
    upstream = await stage.upstream("instant")
    rows = []
    for title, kind, off, on, owed, kept in (  # kept: pairs for which time is left to the row that follows
        (TRUSTED, PLAIN, gateway_plain(), questions.TRUSTED_PLAIN, _MOST_MORE_US, 3 * _LEAST_PAIRS),
        (TRUSTED_REALISTIC, REALISTIC, GATEWAY_REALISTIC, questions.TRUSTED_REALISTIC, None, 0),
    ):
        try:
            rows.append(await _row(stage, size, upstream, title, kind, (on, off), owed, kept))
        except FAILURES as error:
            rows.append(Row(title, missing=why(error)))
    return rows


async def _row(
    stage: Stage,
    size: Size,
    upstream: Upstream,
    title: str,
    kind: str,
    targets: tuple[Target, Target],
    owed: float | None,
    kept: int,
) -> Row:
    addresses = upstream.addresses[: len(FOUR)]
    (trusted, credentials), plain, naive = await asyncio.gather(
        stage.trusted(kind, addresses), stage.gateway(kind, addresses), stage.naive(addresses)
    )
    async with (
        line(trusted, targets[0], ENTERPRISES, credentials) as shown,
        line(plain, targets[1], ENTERPRISES) as bare,
        line(naive, PEER, ENTERPRISES) as peer,
    ):
        entries = [
            Entry(title, _HAS, driver, upstream, target.calls_per_view)
            for driver, target in zip((shown, peer, bare), (targets[0], PEER, targets[1]), strict=True)
        ]

        def goes_on(number: int, round_s: float) -> bool:  # on a slow day fewer pairs, and a wider interval
            return number < _LEAST_PAIRS or stage.has_time_for(round_s * (1 + kept))

        await in_turns(entries, size.pairs, size.pair_calls, goes_on)
    with_it, naive_us, without = ([run.cpu_us for run in entry.runs] for entry in entries)
    return _told(title, with_it, naive_us, without, owed)


def _told(
    title: str, with_it: Sequence[float], naive: Sequence[float], without: Sequence[float], owed: float | None
) -> Row:
    more = [a - b for a, b in zip(with_it, without, strict=True)]
    share = [a / b for a, b in zip(more, naive, strict=True)]
    figures = {"µs": median(with_it), "µs without": median(without), "µs naive": median(naive), "pairs": len(more)}
    claims = (
        middle("µs more, by pairs", more, owed),
        middle(f"× {NAIVE} more, by turns", share, owed and owed / NAIVE_WHERE_SET_US),
    )
    return Row(title, _HAS, figures, claims)
