"""A breaker around a platform that says what the script says, on a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE, PURPOSE_PRE_LOAN, Outcome
from gateway.adapters.resilience.breaker import BreakerPolicy, Breaking
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
POLICY = BreakerPolicy()

Told = tuple[Outcome.ValueType, str, float | None]
OK: Told = (OUTCOME_OK, "", None)
DOWN: Told = (OUTCOME_UNREACHABLE, "http_503", None)


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at_s


class Scripted:
    """Says at once what the script says at that moment, or waits to be told."""

    def __init__(self, told: Told | Callable[[], Told] = DOWN) -> None:
        self.platform = Platform("a", "平台", "platform", Tier.PROVINCE)
        self.told = told
        self.asked = 0
        self.held: list[asyncio.Future[Told]] = []
        self.is_holding = False
        self.breaks_by: Exception | None = None

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked += 1
        if self.breaks_by is not None:
            raise self.breaks_by
        told = self.told() if callable(self.told) else self.told
        if self.is_holding:
            held: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
            self.held.append(held)
            told = await held
        outcome, reason, retry_after_s = told
        return failed_answer("a", outcome, reason, (5,), attempts=1, retry_after_s=retry_after_s)


class Watcher:
    """Notes the breaker's turns; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.turns: list[bool] = []

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        assert platform == "a"
        self.turns.append(is_open)

    def call_repeated(self, platform: str) -> None: ...

    def call_hedged(self, platform: str, *, won: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def limit_moved(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


class House:
    """A breaker without jitter around a scripted platform, with its clock and its watcher."""

    def __init__(self, told: Told | Callable[[], Told] = DOWN, policy: BreakerPolicy = POLICY, seed: int = -1) -> None:
        self.clock = MovedClock()
        self.inner = Scripted(told)
        self.watcher = Watcher()
        chance = (lambda: 0.5) if seed < 0 else random.Random(seed).random
        self.breaking = Breaking(self.inner, policy, self.clock, self.watcher, chance=chance)

    async def ask(self, times: int = 1) -> Answer:
        for _ in range(times):
            answer = await self.breaking.fetch(QUERY, PERMIT, self.clock.at_s + 10.0)
        return answer

    def begin(self, time_s: float = 10.0) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.breaking.fetch(QUERY, PERMIT, self.clock.at_s + time_s))

    async def open(self) -> None:
        """Opens it, which stays so for 5 s."""
        self.inner.told = DOWN
        await self.ask(POLICY.failures_to_open)
        assert self.breaking.is_open

    async def pass_time(self, seconds: float, every_s: float = 1.0) -> list[Outcome.ValueType]:
        """Asks over and over; gives how each came out."""
        heard = []
        for _ in range(round(seconds / every_s)):
            heard.append((await self.ask()).outcome)
            self.clock.at_s += every_s
        return heard

    async def pauses(self, probes: int) -> list[float]:
        """Gives the times between so many probes, beginning with the one now past."""
        asked_at = [self.clock.at_s]
        while len(asked_at) <= probes:
            before = self.inner.asked
            await self.ask()
            if self.inner.asked > before:
                asked_at.append(self.clock.at_s)
            self.clock.at_s += 0.25
        return [later - earlier for earlier, later in itertools.pairwise(asked_at)]
