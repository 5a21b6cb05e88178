"""A second attempt stands in its own query's trace, whoever's timer began it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK
from gateway.adapters.resilience.hedge import Hedging
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.hedged import PERMIT, PLATFORM, QUERY, THREE
from tests.adapters.simulated import LoopClock, simulated

_TRACE: ContextVar[str] = ContextVar("trace", default="")


class Noting:
    """Notes of each attempt whose query it is and in whose trace it is made; slow but for the first."""

    platform = PLATFORM

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str]] = []

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.attempts.append((query.bank, _TRACE.get()))
        await asyncio.sleep(0.02 if query.bank == "warm" else 2.0)
        return failed_answer("a", OUTCOME_OK, "", (5,), attempts=1)


def test_further_attempts_are_made_in_the_context_of_their_own_query() -> None:
    async def story() -> list[tuple[str, str]]:
        platform = Noting()
        hedging = Hedging(platform, replace(THREE, budget_floor=100), LoopClock())

        async def ask(bank: str) -> None:
            _TRACE.set(bank)
            await hedging.fetch(replace(QUERY, bank=bank), PERMIT, 10.0)

        await ask("warm")
        async with asyncio.TaskGroup() as group:
            for bank in ("a", "b", "c"):
                group.create_task(ask(bank))
        return platform.attempts

    attempts = simulated(story())

    assert len(attempts) == 1 + 3 * 3
    assert [bank for bank, trace in attempts if bank != trace] == []
