"""Answers shared by queries, with the connector's own shape: what is kept is given again, what is under way is waited for.

    at hand    a kept answer, young enough for the query: a look-up, no task, no lock, the same message for everybody
    shared     the same was asked a moment ago and is under way: its answer is waited for (`flights.py`)
    miss       the platform is asked, and what it said is kept if it was heard whole (`domain/keeping.py`)
    stale      the platform could not be heard, and the query allows it: the kept answer stands in, marked with its age and
               with what came of the call

A call under way is as old as its beginning: a query that accepts no age has the platform asked for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
)
from gateway.adapters.resilience.flights import Flight, Flights
from gateway.domain.answer import HEARD, Answer, failed_answer, is_retryable
from gateway.domain.consent import Permit
from gateway.domain.keeping import AnswerKey, Keeping, KeepingPolicy, KeptAnswer
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from gateway.ports import AnswerCache, CallObserver, Clock, Connector

_HANDOVER_S: Final = 0.01
"""What is kept of the time left to hand on an answer that stands in, before whoever asks cancels at the point in time."""
_MUCH_LONGER_S: Final = 1.0


class Sharing:
    """A connector that is asked only for what is not kept and not under way."""

    def __init__(
        self,
        inner: Connector,
        policy: KeepingPolicy,
        cache: AnswerCache,
        flights: Flights,
        clock: Clock,
        observer: CallObserver | None = None,
        *,
        least_attempt_s: float = 0.0,
    ) -> None:
        """Takes the time without which the platform is not asked."""
        self._inner = inner
        self._cache = cache
        self._flights = flights
        self._clock = clock
        self._tell: Callable[[str, str], None] = _tell_nobody if observer is None else observer.cache_asked
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._id = inner.platform.id
        self._keeping = Keeping(inner.platform, policy)
        self._least_attempt_s = least_attempt_s
        self._leaving: set[asyncio.Future[Answer]] = set()  # cancelled, not over yet: held, so that none is lost

    def at_hand(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer | None:
        """Gives what needs no call: a kept answer, or SKIPPED(deadline_too_short) and what may stand in for it; else None."""
        now = self._clock.monotonic()
        kept: KeptAnswer | None = None
        if query.oldest_acceptable_age_s != 0.0 or query.is_stale_acceptable:
            kept = self._cache.peek(self._keeping.key(query, permit))
            if kept is not None and kept.is_young_enough(query.oldest_acceptable_age_s, now):
                self._tell(self._id, "hit")
                return kept.answer.again(now - kept.asked_at)
        if fetch_by - now >= self._least_attempt_s:
            return None
        skipped = failed_answer(self._id, OUTCOME_SKIPPED, DEADLINE_TOO_SHORT, permit.categories)
        return self._or_stale(skipped, kept, query)

    def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Awaitable[Answer]:
        """Gives the kept answer, the one under way, or the connector's; of a platform not heard the stale one if allowed."""
        key = self._keeping.key(query, permit)
        if query.oldest_acceptable_age_s != 0.0 or query.is_stale_acceptable:
            return self._find(key, query, permit, fetch_by)
        return self._begin(key, query, permit, fetch_by).wait()  # a call under way began before it was asked for

    async def _find(self, key: AnswerKey, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        kept = await self._cache.find(key)
        if kept is not None:
            now = self._clock.monotonic()
            if kept.is_young_enough(query.oldest_acceptable_age_s, now):
                self._tell(self._id, "hit")
                return kept.answer.again(now - kept.asked_at)
            if query.is_stale_acceptable:
                answer = await self._ask_in_time(key, query, permit, fetch_by, now)
                return self._or_stale(answer, kept, query)
        return await self._ask(key, query, permit, fetch_by)

    async def _ask_in_time(
        self, key: AnswerKey, query: CreditQuery, permit: Permit, fetch_by: float, now: float
    ) -> Answer:
        """Gives TIMEOUT at the last moment, not only when the call has heeded that: what stands in would come too late."""
        asking = asyncio.ensure_future(self._ask(key, query, permit, fetch_by))
        try:
            await asyncio.wait([asking], timeout=fetch_by - _HANDOVER_S - now)
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.wait([asking])
            raise
        if asking.done():
            return asking.result()
        self._leaving.add(asking)
        asking.add_done_callback(self._left)
        asking.cancel()
        timeout = failed_answer(self._id, OUTCOME_TIMEOUT, "deadline", permit.categories, attempts=1)
        return timeout._replace(latency_s=self._clock.monotonic() - now)

    def _left(self, asking: asyncio.Future[Answer]) -> None:
        self._leaving.discard(asking)
        if not asking.cancelled():
            asking.exception()  # another answer was given in its place

    async def _ask(self, key: AnswerKey, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        began = self._clock.monotonic()
        flight = self._flights.joinable(key, began, is_batch=query.is_batch)
        oldest_s = query.oldest_acceptable_age_s
        if flight is None or (oldest_s is not None and began - flight.began >= oldest_s):
            return await self._begin(key, query, permit, fetch_by).wait()
        self._tell(self._id, "shared")
        answer = await flight.wait()
        if answer.said.outcome not in HEARD and _may_fare_better(answer, flight, query, fetch_by):
            # Once more, with whoever else was let down: the first of them begins, the others join.
            flight = self._flights.joinable(key, self._clock.monotonic(), is_batch=query.is_batch)
            answer = await (flight or self._begin(key, query, permit, fetch_by)).wait()
        return answer._replace(latency_s=self._clock.monotonic() - began)

    def _begin(self, key: AnswerKey, query: CreditQuery, permit: Permit, fetch_by: float) -> Flight:
        self._tell(self._id, "miss")
        return self._flights.begin(
            key,
            partial(self._call, query, permit, fetch_by),
            bank=query.bank,
            is_batch=query.is_batch,
            fetch_by=fetch_by,
            now=self._clock.monotonic(),
        )

    async def _call(self, query: CreditQuery, permit: Permit, fetch_by: float, flight: Flight) -> None:
        try:
            answer = await self._inner.fetch(query, permit, fetch_by)
            kept = self._keeping.kept(answer, permit.categories, flight.began)
            if kept is not None and flight.is_keepable:
                await self._cache.keep(flight.key[0], kept)
        except BaseException as error:
            flight.broke_off(error)
            if not isinstance(error, Exception):
                raise
        else:
            flight.landed(answer)

    def _or_stale(self, answer: Answer, kept: KeptAnswer | None, query: CreditQuery) -> Answer:
        if kept is None or not query.is_stale_acceptable or answer.said.outcome in HEARD:
            return answer
        self._tell(self._id, "stale")
        return answer._replace(
            said=kept.answer.said,
            fetched_at=kept.answer.fetched_at,
            cache_age_s=self._clock.monotonic() - kept.asked_at,
            stale_because=answer.said.outcome,
        )


def _tell_nobody(_platform: str, _result: str) -> None:
    """Observes nothing."""


def _may_fare_better(answer: Answer, flight: Flight, query: CreditQuery, fetch_by: float) -> bool:
    """Whether a call of the query's own need not end as the other's: it has much more time, or another bank's quota."""
    said = answer.said
    if said.outcome == OUTCOME_QUOTA_EXHAUSTED:
        return query.bank != flight.bank
    has_time = fetch_by - flight.fetch_by >= _MUCH_LONGER_S
    return has_time and (said.outcome in (OUTCOME_SKIPPED, OUTCOME_TIMEOUT) or is_retryable(said.outcome, said.reason))
