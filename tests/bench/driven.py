"""A row under way: what is driven, how often, and whether the platforms were called as often as the row says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from tests.bench.load import CONCURRENCY, Cost
from tests.bench.questions import WrongAnswerError
from tests.bench.stage import Upstream

_MOST_EXTRA: Final = 0.06
_FEW_EXTRA: Final = 3  # a minute and platform: the hedge budget's floor


class Driver(Protocol):
    """Whatever makes calls and says what they cost."""

    async def drive(self, calls: int, concurrency: int = CONCURRENCY, /) -> Cost: ...


@dataclass(slots=True)
class Entry:
    """One row while it is measured."""

    title: str
    has: str
    driver: Driver
    upstream: Upstream | None
    calls_per_view: int
    share: float = 1.0
    concurrency: int = CONCURRENCY
    runs: list[Cost] = field(default_factory=list)
    extra: int = 0
    views: int = 0

    async def drive(self, calls: int) -> Cost:
        """Makes so many calls; raises WrongAnswerError if the platforms were not called as often as the row says."""
        calls = max(1, int(calls * self.share))
        before = (await self.upstream.calls()).total if self.upstream else 0
        cost = await self.driver.drive(calls, self.concurrency)
        if self.upstream is not None:
            extra = (await self.upstream.calls()).total - before - calls * self.calls_per_view
            self.extra += extra
            self.views += calls
            # Over all runs, since a budget saved in one may be spent in the next.
            most = int(_MOST_EXTRA * self.views * self.calls_per_view) + _FEW_EXTRA * self.calls_per_view
            if extra < 0 or self.extra > most:
                raise WrongAnswerError(
                    f"the platforms had {extra:+} calls beside the {self.calls_per_view} of each of {calls} views"
                )
        return cost
