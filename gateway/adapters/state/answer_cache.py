"""The answer cache of one process: bounded in answers and in bytes, and what is too old is gone without being asked for.

cachetools keeps it: its `TLRUCache` has a time of its own for every entry, drops the least recently used first, and takes
our clock. cashews was weighed: every look-up in its memory is awaited and passes its middlewares, some ten times the price
of a hit here, and its entries expire by the time of day. What it shares among replicas is the work of another adapter.

What is here is lost with the process, and another process has its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from cachetools import TLRUCache

from gateway.domain.keeping import AnswerKey, KeptAnswer, RepairTombstone, is_void
from gateway.ports import Clock

# A message takes 5 to 7 times its encoded size in memory (measured on the sandboxes' answers), and its entry what is around.
_IN_MEMORY: Final = 7
_AROUND: Final = 1_500


class LocalAnswerCache:
    """Keeps answers in this process; fulfils `AnswerCache`."""

    def __init__(self, clock: Clock, *, most_answers: int, most_bytes: int) -> None:
        self._kept = _Bounded(clock, most_answers, most_bytes)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """About how much memory the answers take."""
        return int(self._kept.currsize)

    def peek(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept; nothing here waits."""
        try:
            return self._kept[key]
        except KeyError:
            return None

    async def find(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept."""
        return self.peek(key)

    async def keep(self, key: AnswerKey, kept: KeptAnswer) -> None:
        """Keeps it in the place of what was asked for earlier; one too large for the whole cache is not kept."""
        held = self.peek(key)
        if held is not None and held.asked_at > kept.asked_at:
            return
        try:
            self._kept[key] = kept
        except ValueError:  # cachetools' word for too large
            self._kept.pop(key, None)

    async def purge(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise, of one platform or of all; gives how many answers that were."""
        return self._forget(key for key in self._kept.about(uscc) if platform in (None, key.platform))

    async def purge_repaired(self, tombstones: Collection[RepairTombstone]) -> int:
        """Forgets the answers that may still show what was repaired; gives how many that were."""
        abouts = {stone.uscc for stone in tombstones}
        return self._forget(key for uscc in abouts for key in self._kept.about(uscc) if is_void(key, tombstones))

    def _forget(self, keys: Iterable[AnswerKey]) -> int:
        return sum([self._kept.pop(key, None) is not None for key in list(keys)])


class _Bounded(TLRUCache[AnswerKey, KeptAnswer]):
    """cachetools' cache, with an index by enterprise.

    One bound serves for number and bytes: an answer counts its bytes, or its share of the room where that is more.
    """

    def __init__(self, clock: Clock, most_answers: int, most_bytes: int) -> None:
        self._least = max(1, most_bytes // most_answers)
        self._by_uscc: dict[str, set[AnswerKey]] = {}
        super().__init__(self._least * most_answers, _ends_at, timer=clock.monotonic, getsizeof=self._size)

    def about(self, uscc: str) -> Collection[AnswerKey]:
        """Gives the keys of what is kept about an enterprise."""
        return self._by_uscc.get(uscc, ())

    def __setitem__(self, key: AnswerKey, kept: KeptAnswer) -> None:
        super().__setitem__(key, kept)
        self._by_uscc.setdefault(key.uscc, set()).add(key)

    def __delitem__(self, key: AnswerKey) -> None:
        self._unlist(key)
        super().__delitem__(key)

    def expire(self, time: float | None = None) -> list[tuple[AnswerKey, KeptAnswer]]:
        """Forgets what is too old; called by cachetools before anything is added."""
        expired = list(super().expire(time))
        for key, _ in expired:
            self._unlist(key)
        return expired

    def _size(self, kept: KeptAnswer) -> int:
        return max(kept.answer.said.ByteSize() * _IN_MEMORY + _AROUND, self._least)

    def _unlist(self, key: AnswerKey) -> None:
        keys = self._by_uscc.get(key.uscc)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._by_uscc[key.uscc]


def _ends_at(_key: AnswerKey, kept: KeptAnswer, _now: float) -> float:
    return kept.asked_at + kept.kept_s
