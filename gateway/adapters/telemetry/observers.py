"""One observer for many: whoever watches queries and calls is told in the order given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.figures import ViewFigures
from gateway.ports import CallObserver, QueryObserver


class Unmoved:
    """Takes events and does nothing: what an observer inherits from here it need not be told of, and is not."""

    def view_answered(self, figures: ViewFigures) -> None:
        """Does nothing."""

    def call_repeated(self, platform: str) -> None:
        """Does nothing."""

    def call_hedged(self, platform: str, *, won: bool) -> None:
        """Does nothing."""

    def quota_left(self, platform: str, calls: int) -> None:
        """Does nothing."""

    def limit_moved(self, platform: str, calls: int) -> None:
        """Does nothing."""

    def cache_asked(self, platform: str, result: str) -> None:
        """Does nothing."""


def _moved_by(event: str, observers: Sequence[Any]) -> tuple[Callable[..., None], ...]:
    nothing = getattr(Unmoved, event, None)
    return tuple(
        getattr(each, event) for each in observers if nothing is None or getattr(type(each), event, None) is not nothing
    )


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
        self._answers_landed = _moved_by("answers_landed", queries)
        self._view_answered = _moved_by("view_answered", queries)
        self._query_ended = _moved_by("query_ended", queries)
        self._trail_failed = _moved_by("trail_failed", queries)
        self._call_repeated = _moved_by("call_repeated", calls)
        self._call_hedged = _moved_by("call_hedged", calls)
        self._breaker_turned = _moved_by("breaker_turned", calls)
        self._quota_refused = _moved_by("quota_refused", calls)
        self._quota_left = _moved_by("quota_left", calls)
        self._limit_moved = _moved_by("limit_moved", calls)
        self._cache_asked = _moved_by("cache_asked", calls)

    def answers_landed(self, answers: Sequence[Answer]) -> None:
        """Tells of the platforms' answers."""
        for tell in self._answers_landed:
            tell(answers)

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
