"""Numbers that are counted here, and handed on to prometheus_client now and then: one kind for each kind of metric."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from prometheus_client import Counter, Gauge, Histogram, Summary

K = TypeVar("K")


class BulkHistogram(Histogram):
    """A histogram that takes many observations at once; prometheus_client offers one at a time only."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Adds so many observations per bucket, not cumulated, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class BulkSummary(Summary):
    """A count and a sum, of which a mean over any time is made, that takes many observations at once."""

    def add(self, count: int, total: float) -> None:
        """Adds so many observations and their sum."""
        self._count.inc(count)
        self._sum.inc(total)


class Part(Protocol):
    """Numbers that are handed on now and then."""

    def flush(self) -> None:
        """Hands on what has come since the last time."""


class Tally:
    """What is to be added to one counter."""

    __slots__ = ("_child", "pending")

    def __init__(self, child: Counter) -> None:
        self._child = child
        self.pending = 0

    def flush(self) -> None:
        """Hands on what has come since the last time."""
        if self.pending:
            self._child.inc(self.pending)
            self.pending = 0


class Tallies(dict[K, Tally], Generic[K]):
    """Tallies of one counter by key: the known ones exist from the start, so that their first increase is seen as one."""

    def __init__(self, family: Counter, labels: Callable[[K], Sequence[str]], known: Iterable[K]) -> None:
        super().__init__()
        self._family = family
        self._labels = labels
        for key in known:
            self[key]

    def __missing__(self, key: K) -> Tally:
        tally = self[key] = Tally(self._family.labels(*self._labels(key)))
        return tally

    def flush(self) -> None:
        """Hands on what has come since the last time."""
        for tally in self.values():
            tally.flush()


class Level:
    """What one gauge is to show; `labels` name its child, which is made when there is something to show."""

    __slots__ = ("_child", "_family", "_labels", "value")

    def __init__(self, family: Gauge, *labels: str, value: int | None = None) -> None:
        self._family = family
        self._labels = labels
        self._child: Gauge | None = None
        self.value = value

    def flush(self) -> None:
        """Hands on what has come since the last time."""
        if self.value is None:
            return
        if self._child is None:
            self._child = self._family.labels(*self._labels) if self._labels else self._family
        self._child.set(self.value)


class Spread:
    """What is to be added to one histogram."""

    __slots__ = ("_bounds", "_child", "_counts", "_total")

    def __init__(self, child: BulkHistogram, bounds: tuple[float, ...]) -> None:
        self._child = child
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, value: float) -> None:
        """Takes one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        """Hands on what has come since the last time."""
        if any(self._counts):
            self._child.add(self._counts, self._total)
            self._counts = [0] * len(self._counts)
            self._total = 0.0


class Mean:
    """What is to be added to one summary: how many observations, and their sum."""

    __slots__ = ("_child", "count", "total")

    def __init__(self, child: BulkSummary) -> None:
        self._child = child
        self.count = 0
        self.total = 0.0

    def flush(self) -> None:
        """Hands on what has come since the last time."""
        if self.count:
            self._child.add(self.count, self.total)
            self.count = 0
            self.total = 0.0
