"""The wrapper that shares answers, with all it stands on, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.adapters.resilience.flights import Flights
from gateway.adapters.resilience.sharing import Sharing
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.domain.answer import Answer
from gateway.domain.keeping import KeepingPolicy
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, Platforms, Watching, asking, permit

HOUR = 3_600.0


class House:
    """The wrapper under test with all it stands on."""

    def __init__(self, inner: Platforms | None = None, policy: KeepingPolicy | None = None) -> None:
        self.inner = inner or Platforms(takes_s=1.0)
        self.clock = LoopClock()
        self.cache = LocalAnswerCache(self.clock, most_answers=1_000, most_bytes=2**20)
        self.flights = Flights()
        self.watching = Watching()
        self.sharing = Sharing(
            self.inner,
            policy or KeepingPolicy(),
            self.cache,
            self.flights,
            self.clock,
            self.watching,
            least_attempt_s=0.05,
        )

    @property
    def told(self) -> list[object]:
        return self.watching.named("cache")

    async def ask(self, query: CreditQuery | None = None, within_s: float = 10.0, **more: Any) -> Answer:
        query = query or asking(**more)
        return await self.sharing.fetch(query, permit(query), self.clock.monotonic() + within_s)

    def begin(self, query: CreditQuery | None = None, within_s: float = 10.0, **more: Any) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.ask(query, within_s, **more))

    def at_hand(self, within_s: float = 10.0, **more: Any) -> Answer | None:
        query = asking(**more)
        return self.sharing.at_hand(query, permit(query), self.clock.monotonic() + within_s)


def scripted(*answers: Answer) -> Callable[[int], Answer]:
    """Gives these answers in their order, and the last one for ever."""
    return lambda number: answers[min(number, len(answers)) - 1]
