"""Whole chains around platforms, in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_UNREACHABLE
from gateway.adapters.resilience.chain import Chain, ChainPolicy, Chains, resilient
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.application.fan_out import fan_out
from gateway.domain.answer import Answer
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, Platforms, Watching, asking, permit, told

FRESH: dict[str, Any] = {"oldest_acceptable_age_s": 0.0}
"""Has the platform asked for this very query."""
DOWN = told(OUTCOME_UNREACHABLE, "http_503")


class House:
    """Chains around platforms, as the composition root builds them, on the loop's time."""

    def __init__(self, *inner: Platforms, policy: ChainPolicy | None = None, clock: LoopClock | None = None) -> None:
        self.clock = clock or LoopClock()
        self.watching = Watching()
        self.inner = inner[0]
        policy = policy or ChainPolicy()
        self.ledger = QuotaLedger({each.platform.id: policy.quota for each in inner}, self.clock)
        cache = LocalAnswerCache(self.clock, most_answers=10_000, most_bytes=2**24)
        flights = Flights()
        self.chains = Chains(
            {
                each.platform.id: resilient(each, policy, self.ledger, cache, flights, self.clock, self.watching)
                for each in inner
            },
            self.ledger,
            cache,
            flights,
        )

    @property
    def chain(self) -> Chain:
        return self.chains.by_platform["a"]

    async def ask(self, within_s: float = 10.0, **more: Any) -> Answer:
        """Asks platform "a" as the fan-out does: it is cancelled when its time is up."""
        return (await self.ask_all(asking(**more), within_s))["a"]

    async def ask_all(self, query: CreditQuery, within_s: float = 10.0) -> dict[str, Answer]:
        landed: dict[str, Answer] = {}
        began = self.clock.monotonic()

        def land(answer: Answer) -> None:
            landed[answer.platform] = answer

        await fan_out(self.chains.doors, query, permit(query), began + within_s, land, self.chains)
        assert self.clock.monotonic() <= began + max(within_s, 0.0) + 0.05
        return landed


async def no_tasks_left() -> bool:
    """Gives whether this task is the only one, once those that have ended are gone."""
    for _ in range(3):
        await asyncio.sleep(0)
    return asyncio.all_tasks() == {asyncio.current_task()}
