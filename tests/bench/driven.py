"""A row under way: what is driven, how often, and whether the platforms were called as often as the row says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tests.bench.fixture import ENTERPRISES
from tests.bench.load import CONCURRENCY, Cost
from tests.bench.questions import WrongAnswerError
from tests.bench.stage import Upstream

_LEAD: Final = 0.5
"""Of a run's calls, so many more are made before it, uncounted: what goes by how busy a server is has come to rest then."""
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
    lead: float = _LEAD
    concurrency: int = CONCURRENCY
    runs: list[Cost] = field(default_factory=list)
    extra: int = 0
    views: int = 0

    async def drive(self, calls: int) -> Cost:
        """Makes so many calls; raises WrongAnswerError if the platforms were not called as often as the row says."""
        await self.bring_to_pace(calls)
        return await self.drive_at_pace(calls)

    async def bring_to_pace(self, calls: int) -> None:
        """Makes the calls that go before a run of so many."""
        await self.driver.drive(max(1, int(max(1, int(calls * self.share)) * self.lead)), self.concurrency)

    async def drive_at_pace(self, calls: int) -> Cost:
        """Makes so many calls, and nothing before them; raises as `drive` does."""
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


async def side_by_side(
    entries: Sequence[Entry], rounds: int, calls: int, goes_on: Callable[[int, float], bool]
) -> None:
    """Drives all rows at the same time, round by round: what disturbs the machine disturbs all of them alike.

    Each needs platforms of its own, or their counts would be of all rows. `goes_on` is asked before each round but the first
    whether there is time for it, by its number and the seconds a round took.
    """
    for entry in entries:  # as in turns
        await entry.drive(max(len(ENTERPRISES), calls))
    began = time.monotonic()
    for number in range(rounds):
        if number and not goes_on(number, (time.monotonic() - began) / number):
            return
        async with asyncio.TaskGroup() as group:
            for entry in entries:
                group.create_task(entry.bring_to_pace(calls))
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(entry.drive_at_pace(calls)) for entry in entries]
        for entry, run in zip(entries, runs, strict=True):
            entry.runs.append(run.result())


async def in_turns(entries: Sequence[Entry], rounds: int, calls: int) -> None:
    """Lets the rows take turns, in an order that is turned from round to round; each has a run in every round."""
    for entry in entries:  # every enterprise once, and what is compiled when it is first needed
        await entry.drive(max(len(ENTERPRISES), calls))
    for number in range(rounds):
        for entry in entries if number % 2 == 0 else entries[::-1]:
            entry.runs.append(await entry.drive(calls))
