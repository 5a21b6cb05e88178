"""A quantile of a stream of durations that forgets: which duration only so many calls of the recent past exceeded.

Counts stand in buckets whose limits grow by a tenth, from a millisecond to minutes, so an estimate is at most a tenth
too long; all counts are halved whenever `_MEMORY` have gathered, so a platform that changed is known anew after some
hundred calls. P² (Jain and Chlamtac, 1985) needs five numbers only but never forgets, and wanders between the modes of a
platform whose answers are either quick or very slow: just the platform that hedging is for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate
from typing import Final

_LEAST_S: Final = 0.001
_PER_LOG: Final = 1.0 / math.log(1.1)
_BUCKETS: Final = 128  # up to 0.001 × 1.1^127 s, three minutes
_MEMORY: Final = 2_000.0
_REFRESH: Final = 16
_ERRORS_BELOW: Final = 3.0


class Quantile:
    """Estimates one quantile of the durations it is shown."""

    __slots__ = ("_counts", "_fewest", "_total", "_unread", "_wanted", "value_s")

    def __init__(self, wanted: float, fewest: int) -> None:
        """Takes the quantile, such as 0.95, and how many durations must have been seen before there is an estimate."""
        self._wanted = wanted
        self._fewest = fewest
        self._counts = [0.0] * _BUCKETS
        self._total = 0.0
        self._unread = 0
        self.value_s: float | None = None
        """The estimate in seconds, at most 16 durations old; None while too few were seen."""

    def note(self, duration_s: float) -> None:
        """Takes one duration into account; one that was cut short counts if it is beyond the estimate already."""
        bucket = int(math.log(duration_s / _LEAST_S) * _PER_LOG) + 1 if duration_s > _LEAST_S else 0
        self._counts[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1.0
        self._total += 1.0
        self._unread += 1
        if self._unread >= _REFRESH or self.value_s is None:
            self._refresh()

    def _refresh(self) -> None:
        if self._total < self._fewest:
            return
        self._unread = 0
        if self._total > _MEMORY:
            self._counts = [count / 2 for count in self._counts]
            self._total /= 2
        # Three standard errors below the rank: where as many answers are very slow as the quantile leaves out, chance would
        # otherwise set the estimate among the slow ones half of the time, and these would not be hedged. Two errors left
        # it there for 2 % of the time, in stretches of a thousand calls; three for 0.1 %.
        error = math.sqrt(self._wanted * (1.0 - self._wanted) / self._total)
        rank = (self._wanted - _ERRORS_BELOW * error) * self._total
        reached = bisect_left(list(accumulate(self._counts)), rank)
        self.value_s = _LEAST_S * math.exp(reached / _PER_LOG)
