"""Simulated time, and a platform that does as it is told: what tests of several wrappers share."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LICENCE, CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, Outcome
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import CategoryCoverage, Platform, PlatformLimits, Tier
from gateway.domain.query import CreditQuery

T = TypeVar("T")

DEMO = "91310115MA0TERT167"
OTHER = "91310115MAC0DEM080"
COVERED = (CATEGORY_LICENCE, CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT)
PUBLIC = (CATEGORY_PENALTY,)
NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
"""Noon in China, when simulated time begins."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it; time begins at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def jump(self, by_s: float) -> None:
        self._now += by_s


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for something that never comes"
        self._loop.jump(max(timeout, 0.0))
        return super().select(0)


class LoopClock:
    """The running loop's time, and the time of day that goes with it."""

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.began = at
        self.at_s = 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.at_s)

    def monotonic(self) -> float:
        return self.at_s


def simulated(story: Coroutine[Any, Any, T]) -> T:
    """Runs the story in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(story)


def platform(platform_id: str = "a", *, limits: PlatformLimits | None = None, **facts: Any) -> Platform:
    """Gives a platform that covers two public categories and one that needs authorisation."""
    coverage: dict[int, CategoryCoverage] = {category: CategoryCoverage(category) for category in COVERED}
    limits = limits or PlatformLimits()
    return Platform(platform_id, "平台", "platform", Tier.PROVINCE, coverage=coverage, limits=limits, **facts)


def asking(uscc: str = DEMO, categories: tuple[int, ...] = PUBLIC, **more: Any) -> CreditQuery:
    """Gives a query of platform "a"."""
    return CreditQuery(Uscc.parse(uscc), PURPOSE_PRE_LOAN, categories, ("a",), **more)


def permit(query: CreditQuery) -> Permit:
    """Permits everything that was asked."""
    return Permit("test", query.categories, consents=query.consent_ids)


def heard(outcome: Outcome.ValueType = OUTCOME_OK, platform_id: str = "a", size: int = 0) -> Answer:
    """Gives an answer of a platform that was heard; `size` adds so many bytes."""
    said = view_pb2.Answer(platform=platform_id, outcome=outcome, reason="x" * size)
    return Answer(said, attempts=1, fetched_at=NOON)


class Platforms:
    """A connector that answers each call by `act`, after `takes_s`, and remembers who asked when."""

    def __init__(
        self,
        act: Callable[[int], Answer] = lambda number: heard(),
        *,
        takes_s: float = 0.0,
        facts: Platform | None = None,
    ) -> None:
        self.platform = facts or platform()
        self.takes_s = takes_s
        self.began: list[float] = []
        self.asked: list[CreditQuery] = []
        self.cancelled_at: list[float] = []
        self.act = act

    @property
    def calls(self) -> int:
        return len(self.began)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        loop = asyncio.get_running_loop()
        self.began.append(loop.time())
        self.asked.append(query)
        number = self.calls
        try:
            if self.takes_s:
                await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled_at.append(loop.time())
            raise
        return self.act(number)


def told(outcome: Outcome.ValueType, reason: str = "", retry_after_s: float | None = None) -> Answer:
    """Gives an answer of a platform that was not heard."""
    return failed_answer("a", outcome, reason, PUBLIC, retry_after_s=retry_after_s, attempts=1)


class Watching:
    """Notes everything the wrappers tell."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def named(self, name: str) -> list[object]:
        return [what for event, what in self.seen if event == name]

    def call_repeated(self, platform: str) -> None:
        self.seen.append(("repeated", platform))

    def call_hedged(self, platform: str, *, won: bool) -> None:
        self.seen.append(("hedged", won))

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        self.seen.append(("breaker", is_open))

    def quota_refused(self, platform: str, reason: str) -> None:
        self.seen.append(("refused", reason))

    def quota_left(self, platform: str, calls: int) -> None:
        self.seen.append(("left", calls))

    def limit_moved(self, platform: str, calls: int) -> None:
        self.seen.append(("limit", calls))

    def cache_asked(self, platform: str, result: str) -> None:
        self.seen.append(("cache", result))
