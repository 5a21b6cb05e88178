"""What trust adds to a view (mTLS, rights, consent, masking): the same gateway with it and without it, run by run in pairs.

Two medians of a busy machine differ by more than the budget, so the difference is taken within a pair of runs that follow
each other, and what is told is the median of these with an interval. The order is turned from pair to pair (on, off, off,
on …), so that a machine that grows slower or faster is no part of the difference; many short pairs tell more than a few long
ones, since what disturbs the machine for a second is then in both halves of a pair, or in few pairs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from math import comb
from statistics import median
from typing import Final

from tests.bench import questions
from tests.bench.cost import COLD, COLD_REALISTIC, ON
from tests.bench.driven import Entry
from tests.bench.fixture import ENTERPRISES, FOUR, PLAIN, REALISTIC
from tests.bench.load import line
from tests.bench.questions import FAILURES, GATEWAY_REALISTIC, Target, gateway_plain
from tests.bench.report import Claim, Row, why
from tests.bench.stage import Size, Stage, Upstream

TRUSTED: Final = f"{COLD}, trusted"
TRUSTED_REALISTIC: Final = f"{COLD_REALISTIC}, trusted"
TITLES: Final = (TRUSTED, TRUSTED_REALISTIC)
METHOD: Final = (
    "Trusted rows: two gateways are up at once, with and without mTLS, rights, consents and masking, and take turns (on, off, "
    "off, on …); what is owed is the median of the differences within the pairs. In brackets stands its interval by order "
    "statistics, which holds the true median with 95 % or, of less than six pairs, is all of their range. Where it straddles a "
    "budget, the verdict is that these runs cannot tell.",
)
_MOST_MORE_US: Final = 60.0
_HAS: Final = f"{ON}; mTLS, the bank by its certificate, rights by policies, a consent stated, masking"
_SURE: Final = 0.95
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
    (trusted, credentials), plain = await asyncio.gather(stage.trusted(kind, addresses), stage.gateway(kind, addresses))
    async with (
        line(trusted, targets[0], ENTERPRISES, credentials) as shown,
        line(plain, targets[1], ENTERPRISES) as bare,
    ):
        on, off = (
            Entry(title, _HAS, driver, upstream, target.calls_per_view)
            for driver, target in zip((shown, bare), targets, strict=True)
        )
        for entry in (on, off):  # every enterprise once, and what is compiled when it is first needed
            await entry.drive(max(len(ENTERPRISES), size.pair_calls))
        began = time.monotonic()
        for number in range(size.pairs):
            if number >= _LEAST_PAIRS and number % 2 == 0:
                pair_s = (time.monotonic() - began) / number
                if not stage.has_time_for(pair_s * (2 + kept)):
                    break  # on a slow day fewer pairs, and a wider interval
            for entry in (on, off) if number % 2 == 0 else (off, on):
                entry.runs.append(await entry.drive(size.pair_calls))
    return _told(title, on, off, owed)


def _told(title: str, on: Entry, off: Entry, owed: float | None) -> Row:
    with_it, without = ([run.cpu_us for run in entry.runs] for entry in (on, off))
    more = [a - b for a, b in zip(with_it, without, strict=True)]
    figures = {"µs": median(with_it), "µs without": median(without), "pairs": len(more)}
    return Row(title, _HAS, figures, (Claim("µs more, by pairs", median(more), owed, interval=interval(more)),))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Gives the ends of what holds the median of where the values come from, at 95 %: two of the values (the sign test's).

    Nothing is supposed of how they are spread. Less than six values cannot be so sure: of these it is the whole range.
    """
    ordered = sorted(values)
    count, cut, missed = len(ordered), 0, 2 / 2 ** len(ordered)
    for inner in range(1, count // 2):
        missed += 2 * comb(count, inner) / 2**count
        if missed > 1 - _SURE:
            break
        cut = inner
    return ordered[cut], ordered[count - 1 - cut]
