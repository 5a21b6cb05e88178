"""A bulkhead (隔舱) around one connector, with the connector's own shape: a slow platform fills its own pool only (D13).

    free   a compare and a count: no task, no future, no timer
    full   a short queue, interactive queries before batch ones, the banks among each by turns, and first come, first served
           within a bank; a place is handed from a call that ends to the one whose turn it is, so nobody overtakes
    queue  full, or the time left too short to ask: SKIPPED(bulkhead_full). It is not RATE_LIMITED: no platform said so,
           it was not asked. Of a bank that fills the queue the youngest gives way to a bank that has less in it, so that
           one bank's flood costs that bank its answers and no other.

How many calls may be under way is learned in rounds of calls: AIMD (Chiu and Jain, 1989) on the latency. If the median of
a round is more than `tolerance` times a slow-moving minimum of such medians, the platform queues our calls, and the limit
falls by a fifth; if somebody had to wait for a place, it rises: it doubles until the first fall, and goes up by its square
root from there. The median, since one call in twenty may be a hundred times slower on a platform that is well; the minimum
creeps towards what is seen, so a platform that became slower for good is asked as much as it can bear again.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    Outcome,
)
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import CallObserver, Clock, Connector

BULKHEAD_FULL: Final = "bulkhead_full"
"""The sub-reason of a call that found no place."""

_SHORTEST_ROUND: Final = 10  # calls; a median of fewer says little
_LONGEST_ROUND: Final = 200
_FALL: Final = 0.8
_TIMER_SLACK_S: Final = 0.005  # uvloop's timers keep whole milliseconds and may ring before their time


@dataclass(frozen=True, slots=True)
class BulkheadPolicy:
    """How many calls may be under way at once and how many may wait; times are in seconds.

    The limit begins at `first` and stays between `fewest` and `most`; the three alike fix it. Latency may grow to
    `tolerance` times the least seen in about `memory_s` before it falls. A wait ends when less than `least_attempt_s` are
    left. Raises ValueError for numbers that make no sense.
    """

    fewest: int = 8
    first: int = 64
    most: int = 1_000
    longest_queue: int = 64
    least_attempt_s: float = 0.05
    tolerance: float = 2.0
    memory_s: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.first <= self.most:
            raise ValueError("fewest must be at least 1, first between fewest and most")
        if self.longest_queue < 0 or self.tolerance <= 1 or self.memory_s <= 0:
            raise ValueError("longest_queue must be at least 0, tolerance above 1, memory_s above 0")


class Bulkhead:
    """A connector with so many calls under way at most, and no more waiting than a short queue."""

    def __init__(
        self, inner: Connector, policy: BulkheadPolicy, clock: Clock, observer: CallObserver | None = None
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._limit = AdaptiveLimit(policy, clock.monotonic())
        self._under_way = 0
        self._interactive = _Line()
        self._batch = _Line()

    @property
    def limit(self) -> int:
        """How many calls may be under way at once."""
        return self._limit.calls

    @property
    def under_way(self) -> int:
        """How many calls are."""
        return self._under_way

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._interactive.count + self._batch.count

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the connector's answer; its latency counts the wait. SKIPPED(bulkhead_full) if no place was free in time."""
        waited_s = 0.0
        if self._under_way < self._limit.calls:
            self._under_way += 1
        else:
            self._limit.is_short = True
            arrived = self._clock.monotonic()
            is_admitted = await self._wait(query.bank, query.is_batch, fetch_by)
            waited_s = self._clock.monotonic() - arrived
            if not is_admitted:
                refused = failed_answer(self.platform.id, OUTCOME_SKIPPED, BULKHEAD_FULL, permit.categories)
                return refused._replace(latency_s=waited_s)
        began = self._clock.monotonic()
        try:
            answer = await self._inner.fetch(query, permit, fetch_by)
            if self._limit.note(answer.said.outcome, began, self._clock.monotonic()):
                self._tell_limit()
        except asyncio.CancelledError:
            # At the end of the time it is the caller's one timer that cancels: the call was that slow at least.
            now = self._clock.monotonic()
            if now >= fetch_by - _TIMER_SLACK_S and self._limit.note(OUTCOME_TIMEOUT, began, now):
                self._tell_limit()
            raise
        finally:
            self._leave()
        return answer if waited_s == 0.0 else answer._replace(latency_s=answer.latency_s + waited_s)

    def _tell_limit(self) -> None:
        if self._observer is not None:
            self._observer.limit_moved(self.platform.id, self._limit.calls)

    async def _wait(self, bank: str, is_batch: bool, fetch_by: float) -> bool:
        """Whether a place was got in time; it is the caller's then."""
        last_moment = fetch_by - self._policy.least_attempt_s
        if self._clock.monotonic() >= last_moment or not self._has_room(bank, is_batch):
            return False
        line = self._batch if is_batch else self._interactive
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        line.join(bank, place)
        timer = loop.call_at(last_moment, _end_wait, line, bank, place)
        try:
            is_handed = await place
        except asyncio.CancelledError:
            if not place.cancelled() and place.result():  # handed over in the very moment: somebody else's now
                self._leave()
            else:
                line.quit(bank, place)
            raise
        finally:
            timer.cancel()
        if is_handed and self._clock.monotonic() > last_moment:  # the loop was late
            self._leave()
            return False
        return is_handed

    def _has_room(self, bank: str, is_batch: bool) -> bool:
        """Whether one more of the bank may wait, be it in the room of somebody who came to have more than a fair part."""
        if self.waiting < self._policy.longest_queue:
            return True
        line = self._batch if is_batch else self._interactive
        crowd = self._batch if self._batch.count and not is_batch else line
        longest = crowd.longest()
        if longest is None or (crowd is line and line.waiting(longest) <= line.waiting(bank) + 1):
            return False
        youngest = crowd.youngest(longest)
        if not youngest.done():  # else it was cancelled just now
            youngest.set_result(False)
        return True

    def _leave(self) -> None:
        """Gives one place back, and every free place to whoever's turn it is."""
        self._under_way -= 1
        while (self._interactive.count or self._batch.count) and self._under_way < self._limit.calls:
            place = (self._interactive if self._interactive.count else self._batch).next()
            if not place.done():  # else it was cancelled just now
                place.set_result(True)
                self._under_way += 1


class _Line:
    """Who waits, by bank; the banks take turns, each by its oldest."""

    __slots__ = ("_by_bank", "count")

    def __init__(self) -> None:
        self._by_bank: OrderedDict[str, deque[asyncio.Future[bool]]] = OrderedDict()
        self.count = 0

    def waiting(self, bank: str) -> int:
        """How many of the bank wait."""
        return len(self._by_bank.get(bank, ()))

    def join(self, bank: str, place: asyncio.Future[bool]) -> None:
        self._by_bank.setdefault(bank, deque()).append(place)
        self.count += 1

    def quit(self, bank: str, place: asyncio.Future[bool]) -> None:
        """Takes out one who may have been taken out already."""
        places = self._by_bank.get(bank)
        if places is not None and place in places:
            places.remove(place)
            self._left(bank, places)

    def next(self) -> asyncio.Future[bool]:
        """Takes out whose turn it is; the bank's next turn comes after all others'."""
        bank, places = next(iter(self._by_bank.items()))
        place = places.popleft()
        self._by_bank.move_to_end(bank)
        self._left(bank, places)
        return place

    def longest(self) -> str | None:
        """Gives the bank of which most wait."""
        return max(self._by_bank, key=self.waiting, default=None)

    def youngest(self, bank: str) -> asyncio.Future[bool]:
        """Takes out the bank's youngest."""
        places = self._by_bank[bank]
        place = places.pop()
        self._left(bank, places)
        return place

    def _left(self, bank: str, places: deque[asyncio.Future[bool]]) -> None:
        self.count -= 1
        if not places:
            del self._by_bank[bank]


def _end_wait(line: _Line, bank: str, place: asyncio.Future[bool]) -> None:
    if not place.done():
        line.quit(bank, place)
        place.set_result(False)


class AdaptiveLimit:
    """How many calls may be under way, learned from how long they take; pure but for what it remembers."""

    __slots__ = (
        "_floor_s",
        "_policy",
        "_round",
        "_round_began",
        "_shrunk_at",
        "_steady",
        "_took",
        "calls",
        "is_short",
    )

    def __init__(self, policy: BulkheadPolicy, now: float) -> None:
        self.calls = policy.first
        self._round = _round(policy.first)
        self.is_short = False  # somebody had to wait in this round
        self._policy = policy
        self._took: list[float] = []
        self._round_began = now
        self._shrunk_at = -math.inf
        self._steady = policy.most  # below it the limit doubles
        self._floor_s: float | None = None

    def note(self, outcome: Outcome.ValueType, began: float, now: float) -> bool:
        """Takes in one call; gives whether the limit moved.

        Failures that came quickly say nothing about latency; a call whose time ran out was slow if it was given long enough
        to be, and calls begun before the last fall speak of the load before it.
        """
        if began < self._shrunk_at:
            return False
        took_s = now - began
        if outcome in HEARD:
            self._took.append(took_s)
        elif outcome == OUTCOME_RATE_LIMITED:
            return self._shrink(now)
        elif outcome == OUTCOME_TIMEOUT and self._is_slow(took_s):
            self._took.append(math.inf)  # how slow is not known, and must not become what is usual
        else:
            return False
        if len(self._took) < self._round:
            return False
        return self._end_round(now)

    def _end_round(self, now: float) -> bool:
        typical_s = median(self._took)
        is_slow = self._is_slow(typical_s)
        if typical_s < math.inf:
            self._remember(typical_s, now - self._round_began)
        if is_slow:
            return self._shrink(now)
        is_short = self.is_short
        self._begin_round(now)
        if not is_short:
            return False
        step = self.calls if self.calls < self._steady else math.isqrt(self.calls)
        return self._move(min(self.calls + step, self._policy.most))

    def _is_slow(self, took_s: float) -> bool:
        return self._floor_s is not None and took_s > self._policy.tolerance * self._floor_s

    def _remember(self, typical_s: float, round_s: float) -> None:
        if self._floor_s is None or typical_s < self._floor_s:
            self._floor_s = typical_s
        else:
            self._floor_s += (typical_s - self._floor_s) * min(1.0, round_s / self._policy.memory_s)

    def _shrink(self, now: float) -> bool:
        self._shrunk_at = now
        self._begin_round(now)
        fallen = max(int(self.calls * _FALL), self._policy.fewest)
        self._steady = fallen
        return self._move(fallen)

    def _move(self, calls: int) -> bool:
        is_moved = calls != self.calls
        self.calls = calls
        self._round = _round(calls)
        return is_moved

    def _begin_round(self, now: float) -> None:
        self._took.clear()
        self._round_began = now
        self.is_short = False


def _round(calls: int) -> int:
    """Gives how many calls a round has where so many may be under way."""
    return min(max(calls, _SHORTEST_ROUND), _LONGEST_ROUND)
