"""One observer for many: whoever watches queries and calls is told in the order given."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.figures import ViewFigures
from gateway.ports import CallObserver, QueryObserver


class Observers:
    """Tells every observer of its kind; fulfils `QueryObserver` and `CallObserver`.

    What an observer raises is not caught: an observer that fails is a fault of ours.
    """

    def __init__(
        self,
        queries: Sequence[QueryObserver] = (),
        calls: Sequence[CallObserver] = (),
    ) -> None:
        # Bound once: an event costs a call per observer and no look-up.
        self._answer_landed = tuple(each.answer_landed for each in queries)
        self._view_answered = tuple(each.view_answered for each in queries)
        self._query_ended = tuple(each.query_ended for each in queries)
        self._trail_failed = tuple(each.trail_failed for each in queries)
        self._call_repeated = tuple(each.call_repeated for each in calls)
        self._call_hedged = tuple(each.call_hedged for each in calls)
        self._breaker_turned = tuple(each.breaker_turned for each in calls)
        self._quota_refused = tuple(each.quota_refused for each in calls)
        self._quota_left = tuple(each.quota_left for each in calls)
        self._limit_moved = tuple(each.limit_moved for each in calls)
        self._cache_asked = tuple(each.cache_asked for each in calls)

    def answer_landed(self, answer: Answer) -> None:
        """Tells of one platform's answer."""
        for tell in self._answer_landed:
            tell(answer)

    def query_ended(self, entry: AuditEntry, latency_s: float) -> None:
        """Tells of one query's end."""
        for tell in self._query_ended:
            tell(entry, latency_s)

    def view_answered(self, figures: ViewFigures) -> None:
        """Tells of one view."""
        for tell in self._view_answered:
            tell(figures)

    def trail_failed(self) -> None:
        """Tells of an entry that could not be written."""
        for tell in self._trail_failed:
            tell()

    def call_repeated(self, platform: str) -> None:
        """Tells of a repeat."""
        for tell in self._call_repeated:
            tell(platform)

    def call_hedged(self, platform: str, *, won: bool) -> None:
        """Tells of a second attempt that is over."""
        for tell in self._call_hedged:
            tell(platform, won=won)

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        """Tells of a breaker's turn."""
        for tell in self._breaker_turned:
            tell(platform, is_open=is_open)

    def quota_refused(self, platform: str, reason: str) -> None:
        """Tells of a call not made."""
        for tell in self._quota_refused:
            tell(platform, reason)

    def quota_left(self, platform: str, calls: int) -> None:
        """Tells what the platform's day still has."""
        for tell in self._quota_left:
            tell(platform, calls)

    def limit_moved(self, platform: str, calls: int) -> None:
        """Tells how many calls may be under way."""
        for tell in self._limit_moved:
            tell(platform, calls)

    def cache_asked(self, platform: str, result: str) -> None:
        """Tells what the cache had."""
        for tell in self._cache_asked:
            tell(platform, result)
