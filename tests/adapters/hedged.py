"""Hedged calls in simulated time: attempts that answer as they are told, each after its time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, Outcome
from gateway.adapters.resilience.budget import Pay, pay_nothing
from gateway.adapters.resilience.hedge import HedgePolicy, Hedging
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import LoopClock, simulated

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
PLATFORM = Platform("a", "平台", "platform", Tier.PROVINCE)
POLICY = HedgePolicy(fewest_samples=1, least_delay_s=0.1, longest_delay_s=0.1)
"""Hedges after 0.1 s, once one answer was seen."""
THREE = replace(POLICY, attempts=3)


class Attempt:
    """One attempt as the platform will answer it: after how long, and what; an error stands for a broken connector."""

    def __init__(
        self,
        takes_s: float,
        outcome: Outcome.ValueType = OUTCOME_OK,
        reason: str = "",
        *,
        error: Exception | None = None,
        tidies_s: float = 0.0,
    ) -> None:
        self.takes_s = takes_s
        self.outcome = outcome
        self.reason = reason
        self.error = error
        self.tidies_s = tidies_s
        self.began_at = -1.0
        self.ended_at = -1.0
        self.is_cancelled = False

    async def run(self) -> Answer:
        loop = asyncio.get_running_loop()
        self.began_at = loop.time()
        try:
            await asyncio.sleep(self.takes_s)
            if self.error is not None:
                raise self.error
            return failed_answer("a", self.outcome, self.reason, (5,), attempts=1)
        except asyncio.CancelledError:
            self.is_cancelled = True
            await asyncio.sleep(self.tidies_s)
            raise
        finally:
            self.ended_at = round(loop.time(), 3)


class Scripted:
    """Answers one quick call, from which the delay is learnt, then the given attempts in their order."""

    def __init__(self, *attempts: Attempt, platform: Platform = PLATFORM) -> None:
        self.platform = platform
        self._attempts = iter((Attempt(0.02), *attempts))

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        return await next(self._attempts).run()


class Watcher:
    """Notes hedges; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.hedges: list[bool] = []

    def call_hedged(self, platform: str, *, won: bool) -> None:
        self.hedges.append(won)

    def call_repeated(self, platform: str) -> None: ...

    def breaker_turned(self, platform: str, *, is_open: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def limit_moved(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


async def no_tasks_left() -> bool:
    """Gives whether this task is the only one."""
    return asyncio.all_tasks() == {asyncio.current_task()}


def fetch(
    *attempts: Attempt,
    time_s: float = 10.0,
    policy: HedgePolicy = POLICY,
    platform: Platform = PLATFORM,
    pay: Pay = pay_nothing,
    watcher: Watcher | None = None,
) -> tuple[Answer, float]:
    """Gives the answer and how long it took; no task may be left, nor a request to cancel."""

    async def story() -> tuple[Answer, float]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(*attempts, platform=platform), policy, LoopClock(), pay=pay, observer=watcher)
        await hedging.fetch(QUERY, PERMIT, 10.0)
        began = loop.time()
        answer = await hedging.fetch(QUERY, PERMIT, began + time_s)
        took_s = round(loop.time() - began, 3)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await no_tasks_left()
        return answer, took_s

    return simulated(story())


def said(outcome: Outcome.ValueType, reason: str = "", *, attempts: int) -> Answer:
    """Gives the answer of an attempt that ended so, with how many were made."""
    return failed_answer("a", outcome, reason, (5,), attempts=attempts)
