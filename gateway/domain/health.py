"""Platform health as lenders want it: GOOD, BAD or UNSURE, one rule over what a platform did of late.

    UNSURE    fewer than three calls: too little to say
    BAD       less than half of the calls were heard, or half of those heard took longer than five seconds
    GOOD      nine in ten were heard, half of them within two and a half seconds
    UNSURE    anything between: it answers, but a lender had better not count on it

A default query has ten seconds. A platform whose median is past half of that leaves no time for a second attempt, and one
below a quarter of it leaves time for two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FEWEST_CALLS: Final = 3
_BAD_BELOW_BP: Final = 5_000
_GOOD_FROM_BP: Final = 9_000
_BAD_ABOVE_S: Final = 5.0
_GOOD_UP_TO_S: Final = 2.5


class Health(StrEnum):
    """How a platform has been of late."""

    GOOD = "GOOD"
    BAD = "BAD"
    UNSURE = "UNSURE"


def judged(call_count: int, success_bp: int, p50_s: float | None) -> Health:
    """Gives the verdict; `success_bp` is the share of calls heard, `p50_s` the median time of those, None without any."""
    if call_count < FEWEST_CALLS:
        return Health.UNSURE
    if p50_s is None or success_bp < _BAD_BELOW_BP or p50_s > _BAD_ABOVE_S:
        return Health.BAD
    if success_bp >= _GOOD_FROM_BP and p50_s <= _GOOD_UP_TO_S:
        return Health.GOOD
    return Health.UNSURE
