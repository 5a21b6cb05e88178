"""What evidence adds to a view: two gateways with identity, rights and consents, one that signs and archives its answers too.

They take turns, cold and with every answer kept, and what is told is the median of the differences within pairs of runs that
follow each other, in an order that is turned from pair to pair; with the kept ones the floor takes its turn, a server of
grpc.aio that does nothing. Side by side, as the trusted rows are (`paired.py`), they would not be at full load, and the
budget is for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.bench import questions
from tests.bench.cost import COLD, GRPC_FLOOR, HIT, ON
from tests.bench.driven import Entry, in_turns
from tests.bench.fixture import ENTERPRISES, FOUR, PLAIN
from tests.bench.interval import middle
from tests.bench.load import line
from tests.bench.questions import FAILURES, FLOOR, Target
from tests.bench.report import Row, why
from tests.bench.stage import Size, Stage

PROVEN: Final = f"{COLD}, trusted, proven"
PROVEN_HIT: Final = f"{HIT}, trusted, proven"
TITLES: Final = (PROVEN, PROVEN_HIT)
METHOD: Final = (
    "Proven rows: two trusted gateways, one that signs and archives each answer (chained trail, Merkle tree, Ed25519, "
    "AES-256-GCM, SQLite, one group commit) and one that keeps its trail only, take turns (on, off, off, on …); what is told is "
    "the median of the differences within the pairs. Every receipt is checked. The kept ones are held against the floor's run of "
    "the same turn.",
)
_HAS: Final = (
    "mTLS, the bank by its certificate, rights, a consent stated, masking; chained trail, signed evidence, archive"
)
_OWED, _STRETCH = 2.4, 1.9


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives what evidence adds to a cold view, and to one of kept answers, which is held against the floor."""
    upstream = await stage.upstream("instant")
    addresses = upstream.addresses[: len(FOUR)]
    # One after the other: each registers its consents durably before it serves.
    proven, shows = await stage.trusted(PLAIN, addresses, "--proven")
    trusted, also_shows = await stage.trusted(PLAIN, addresses)
    floor = await stage.peer("tests.bench.peers.floor")
    rows = []
    for title, with_it, without in (
        (PROVEN, questions.PROVEN_PLAIN, questions.TRUSTED_PLAIN),
        (PROVEN_HIT, questions.PROVEN_KEPT, questions.TRUSTED_KEPT),
    ):
        is_kept = not with_it.calls_per_view
        try:
            async with (
                line(proven, with_it, ENTERPRISES, shows) as on,
                line(trusted, without, ENTERPRISES, also_shows) as off,
                line(floor, FLOOR, ENTERPRISES) as bare,
            ):

                def entry(driver: object, target: Target, title: str = title) -> Entry:
                    seen = upstream if target is not FLOOR else None
                    return Entry(title, _HAS, driver, seen, target.calls_per_view)  # type: ignore[arg-type]

                entries = [entry(on, with_it), entry(off, without), *([entry(bare, FLOOR)] if is_kept else [])]
                await in_turns(entries, size.pairs, size.pair_calls * (4 if is_kept else 1))
            rows.append(_told(title, entries))
        except FAILURES as error:
            rows.append(Row(title, missing=why(error)))
    return rows


def _told(title: str, entries: Sequence[Entry]) -> Row:
    with_it, without, *floors = ([run.cpu_us for run in entry.runs] for entry in entries)
    more = [a - b for a, b in zip(with_it, without, strict=True)]
    claims = [middle("µs more by evidence, by pairs", more)]
    for floor in floors:
        ratios = [a / b for a, b in zip(with_it, floor, strict=True)]
        claims.insert(0, middle(f"× {GRPC_FLOOR}, by turns", ratios, _OWED, _STRETCH))
    figures = {"µs": median(with_it), "µs without evidence": median(without), "pairs": float(len(more))}
    return Row(title, f"{ON if not floors else 'every answer kept'}; {_HAS}", figures, tuple(claims))
