"""The answer cache of one process: bounded in answers and in bytes, and what is too old is gone without being asked for.

Every query passes here for every platform, so what it does is done by the C of the standard library: an ordered dict, least
recently used first, and a heap of when answers end. cachetools' `TLRUCache` does the same in Python, at several times the
price. cashews was weighed: every look-up in its memory is awaited and passes its middlewares, and its entries expire by the
time of day. What it shares among replicas is the work of another adapter.

What is here is lost with the process, and another process has its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from gateway.domain.keeping import AnswerKey, KeptAnswer, RepairTombstone, is_void
from gateway.ports import Clock

# A message takes 5 to 7 times its encoded size in memory (measured on the sandboxes' answers), and its entry what is around.
_IN_MEMORY: Final = 7
_AROUND: Final = 1_500
_FEW: Final = 64


class _Held(NamedTuple):
    kept: KeptAnswer
    ends_at: float
    size: int


class LocalAnswerCache:
    """Keeps answers in this process; fulfils `AnswerCache`.

    One bound serves for number and bytes: an answer counts its bytes, or its share of the room where that is more.
    """

    def __init__(self, clock: Clock, *, most_answers: int, most_bytes: int) -> None:
        self._monotonic = clock.monotonic
        self._least = max(1, most_bytes // most_answers)
        self._room = self._least * most_answers
        self._held_bytes = 0
        self._held: OrderedDict[AnswerKey, _Held] = OrderedDict()
        self._by_uscc: dict[str, set[AnswerKey]] = {}
        # When answers end, those that left before among them: a heap cannot lose what is in its middle.
        self._endings: list[tuple[float, AnswerKey]] = []

    def __len__(self) -> int:
        self._forget_ended(self._monotonic())
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        """About how much memory the answers take."""
        self._forget_ended(self._monotonic())
        return self._held_bytes

    def peek(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept; nothing here waits."""
        held = self._held.get(key)
        if held is None or held.ends_at <= self._monotonic():
            return None
        self._held.move_to_end(key)
        return held.kept

    async def find(self, key: AnswerKey) -> KeptAnswer | None:
        """Gives what is kept."""
        return self.peek(key)

    async def keep(self, key: AnswerKey, kept: KeptAnswer) -> None:
        """Keeps it in the place of what was asked for earlier; one too large for the whole cache is not kept."""
        now = self._monotonic()
        if self._endings and self._endings[0][0] <= now:
            self._forget_ended(now)
        before = self._held.get(key)
        if before is not None and before.kept.asked_at > kept.asked_at:
            return
        ends_at = kept.asked_at + kept.kept_s
        size = kept.answer.said.ByteSize() * _IN_MEMORY + _AROUND
        if size < self._least:
            size = self._least
        if size > self._room or ends_at <= now:
            if before is not None:
                self._forget(key)
            return
        if before is not None:  # its place is taken: nothing else about the enterprise changes
            self._held_bytes -= before.size
            self._held.move_to_end(key)
        else:
            keys = self._by_uscc.get(key.uscc)
            if keys is None:
                self._by_uscc[key.uscc] = {key}
            else:
                keys.add(key)
        self._held[key] = _Held(kept, ends_at, size)
        self._held_bytes += size
        while self._held_bytes > self._room:  # never itself: it is the newest, and has room alone
            self._forget(next(iter(self._held)))
        heappush(self._endings, (ends_at, key))
        if len(self._endings) > 2 * len(self._held) + _FEW:
            self._endings = [(held.ends_at, key) for key, held in self._held.items()]
            heapify(self._endings)

    async def purge(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise, of one platform or of all; gives how many answers that were."""
        return self._forget_all(key for key in self._about(uscc) if platform in (None, key.platform))

    async def purge_repaired(self, tombstones: Collection[RepairTombstone]) -> int:
        """Forgets the answers that may still show what was repaired; gives how many that were."""
        abouts = {stone.uscc for stone in tombstones}
        return self._forget_all(key for uscc in abouts for key in self._about(uscc) if is_void(key, tombstones))

    def _about(self, uscc: str) -> Collection[AnswerKey]:
        self._forget_ended(self._monotonic())
        return self._by_uscc.get(uscc, ())

    def _forget_ended(self, now: float) -> None:
        endings = self._endings
        while endings and endings[0][0] <= now:
            ends_at, key = heappop(endings)
            held = self._held.get(key)
            if held is not None and held.ends_at <= ends_at:  # else it left, or another came in its place
                self._forget(key)

    def _forget_all(self, keys: Iterable[AnswerKey]) -> int:
        found = list(keys)
        for key in found:
            self._forget(key)
        return len(found)

    def _forget(self, key: AnswerKey) -> None:
        self._held_bytes -= self._held.pop(key).size
        keys = self._by_uscc[key.uscc]
        keys.discard(key)
        if not keys:
            del self._by_uscc[key.uscc]
