"""The log of what is rare around a connector: a breaker that turns, a quota that refuses; the rest is for metrics."""

from __future__ import annotations

from typing import Final

import structlog

from gateway.adapters.telemetry.observers import Unmoved
from gateway.ports import Clock

_QUIET_S: Final = 60.0


class CallLog(Unmoved):
    """Logs each turn of a breaker, and refused calls once a minute per platform and reason; fulfils `CallObserver`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log = structlog.get_logger("gateway")
        self._refused: dict[tuple[str, str], _Refused] = {}

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        """Logs the turn."""
        self._log.warning("breaker.opened" if is_open else "breaker.closed", platform=platform)

    def quota_refused(self, platform: str, reason: str) -> None:
        """Logs the first refusal of a minute, with the number of those since the line before that were not logged."""
        now = self._clock.monotonic()
        refused = self._refused.get((platform, reason))
        if refused is None:
            refused = self._refused[platform, reason] = _Refused()
        elif now < refused.quiet_until:
            refused.unlogged += 1
            return
        self._log.warning("quota.refused", platform=platform, reason=reason, unlogged=refused.unlogged)
        refused.quiet_until = now + _QUIET_S
        refused.unlogged = 0


class _Refused:
    """Until when refusals of one kind are not logged, and how many were not."""

    __slots__ = ("quiet_until", "unlogged")

    def __init__(self) -> None:
        self.quiet_until = 0.0
        self.unlogged = 0
