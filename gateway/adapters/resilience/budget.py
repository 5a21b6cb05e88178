"""How many extra calls, repeats or hedges, a platform may be sent: a share of its calls over a sliding window.

Over any stretch of time the extra calls are at most `share` of the calls, or `floor` a window where that is more: every
extra call stands on calls of the window it was granted in, and those leave the window no later than it does. So an
outage cannot multiply the load; the floor lets a platform that is seldom asked be asked again at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.domain.query import CreditQuery
from gateway.ports import Clock

Pay = Callable[[CreditQuery], bool]
"""Charges one extra call to the quota; False when the quota is spent and the call must not be made."""

_BUCKETS: Final = 12
_ROUNDING: Final = 1e-9  # so that 0.07 × 100 grants seven


def pay_nothing(_query: CreditQuery) -> bool:
    """Grants every extra call: for a platform without a quota."""
    return True


class CallBudget:
    """Counts calls and extra calls of one platform in the buckets of a sliding window; no object is built per call."""

    __slots__ = ("_bucket_s", "_calls", "_calls_seen", "_clock", "_extras", "_extras_seen", "_floor", "_share", "_tick")

    def __init__(self, share: float, floor: int, window_s: float, clock: Clock) -> None:
        """Takes the extra calls allowed per call, those allowed in any window, and the window's length in seconds."""
        self._share = share
        self._floor = floor
        self._bucket_s = window_s / _BUCKETS
        self._clock = clock
        self._tick = int(clock.monotonic() / self._bucket_s)
        self._calls = [0] * _BUCKETS
        self._extras = [0] * _BUCKETS
        self._calls_seen = 0  # the sums of the two, kept so that asking costs the same however long the window
        self._extras_seen = 0

    def note_call(self, now: float) -> None:
        """Counts one call that had to be made now, which whoever makes it has looked up."""
        tick = int(now / self._bucket_s)
        if tick != self._tick:
            self._turn(tick)
        self._calls[tick % _BUCKETS] += 1
        self._calls_seen += 1

    def try_extra(self, *, spared: float = 0.0) -> bool:
        """Whether one extra call may be made now, and that share of all that are allowed is left; counts it if so."""
        tick = int(self._clock.monotonic() / self._bucket_s)
        if tick != self._tick:
            self._turn(tick)
        allowed = max(self._floor, self._share * self._calls_seen + _ROUNDING)
        if self._extras_seen + 1 > allowed - int(allowed * spared):
            return False
        self._extras[tick % _BUCKETS] += 1
        self._extras_seen += 1
        return True

    def _turn(self, tick: int) -> None:
        """Empties the buckets that have left the window by `tick`."""
        for gone in range(self._tick + 1, min(tick, self._tick + _BUCKETS) + 1):
            bucket = gone % _BUCKETS
            self._calls_seen -= self._calls[bucket]
            self._extras_seen -= self._extras[bucket]
            self._calls[bucket] = self._extras[bucket] = 0
        self._tick = tick
