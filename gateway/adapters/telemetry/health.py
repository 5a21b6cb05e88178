"""What platforms did of late, kept for the verdict lenders want (`gateway.domain.health`): a sliding window of calls."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_SKIPPED,
    Outcome,
)
from gateway.domain.answer import HEARD, Answer
from gateway.domain.health import Health, judged
from gateway.ports import Clock

WINDOW_S: Final = 300.0
VERDICT_KEPT_S: Final = 1.0
"""How old a verdict may be: every view carries one per platform, and a median over the window costs more than a merge."""
_MOST_CALLS: Final = 1_000
_NOT_CALLS: Final = frozenset(
    {
        OUTCOME_NOT_COVERED,
        OUTCOME_NOT_CONSENTED,
        OUTCOME_QUOTA_EXHAUSTED,  # how much may be asked says nothing of how well it answers
        OUTCOME_SKIPPED,
        OUTCOME_CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """The verdict and what it rests on; `success_bp` and `p50_s` are None when there were no calls or none was heard."""

    health: Health
    call_count: int
    success_bp: int | None
    p50_s: float | None
    last_call_at: datetime | None
    last_outcome: Outcome.ValueType | None


_NO_VERDICT: Final = (0.0, Health.UNSURE)

_Call = tuple[float, bool, float]
"""When, on the monotonic clock; whether it was heard; and how long it took, in seconds."""


class PlatformHealth:
    """Remembers the calls of the last five minutes per platform, at most 1,000 each."""

    def __init__(self, platforms: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic
        self._calls: dict[str, deque[_Call]] = {p: deque(maxlen=_MOST_CALLS) for p in platforms}
        self._last: dict[str, tuple[float, Outcome.ValueType]] = {}
        self._verdicts: dict[str, tuple[float, Health]] = {}

    def note(self, answer: Answer) -> bool | None:
        """Notes one answer; gives True when it brought the platform back, False when it took it down, else None.

        Down and up are judged by the last call alone: an operator hears of each change once. An answer from the cache
        says nothing of the platform; one that stands in for a failure says that it failed.
        """
        said = answer.said
        outcome = said.outcome
        if answer.cache_age_s is not None:
            if answer.stale_because is None:
                return None
            outcome = answer.stale_because
        if outcome in _NOT_CALLS:
            return None
        platform = said.platform
        is_heard = outcome in HEARD
        at = self._monotonic()
        before = self._last.get(platform)
        self._last[platform] = (at, outcome)
        self._calls[platform].append((at, is_heard, answer.latency_s))
        was_heard = before is None or before[1] in HEARD
        return None if was_heard == is_heard else is_heard

    def verdict(self, platform: str) -> Health:
        """Gives the platform's health, at most a second old."""
        kept_until, health = self._verdicts.get(platform, _NO_VERDICT)
        now = self._monotonic()
        if now < kept_until:
            return health
        health = self.summary(platform).health
        self._verdicts[platform] = (now + VERDICT_KEPT_S, health)
        return health

    def summary(self, platform: str) -> HealthSummary:
        """Gives the platform's health now."""
        calls = self._calls[platform]
        now = self._clock.monotonic()
        while calls and calls[0][0] < now - WINDOW_S:
            calls.popleft()
        heard = [latency_s for _, is_heard, latency_s in calls if is_heard]
        success_bp = len(heard) * 10_000 // len(calls) if calls else None
        p50_s = statistics.median(heard) if heard else None
        last = self._last.get(platform)
        return HealthSummary(
            health=judged(len(calls), success_bp or 0, p50_s),
            call_count=len(calls),
            success_bp=success_bp,
            p50_s=p50_s,
            last_call_at=self._clock.now() - timedelta(seconds=now - last[0]) if last else None,
            last_outcome=last[1] if last else None,
        )

    def is_down(self, platform: str) -> bool:
        """Whether the platform's last call failed."""
        last = self._last.get(platform)
        return last is not None and last[1] not in HEARD
