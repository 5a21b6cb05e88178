"""A platform that takes as long as it is told, and calls to it through a bulkhead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, Outcome
from gateway.adapters.resilience.bulkhead import Bulkhead
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery

CATEGORY = min(CATALOGUE.by_category)
QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (CATEGORY,), ("a",))
PERMIT = development_permit(QUERY)


class Slow:
    """Takes as long as it is told, and says what it is told."""

    def __init__(self, takes_s: float | Callable[[], float] = 1.0, *, id: str = "a") -> None:
        self.platform = Platform(id, "平台", "platform", Tier.PROVINCE, coverage={CATEGORY: CategoryCoverage(CATEGORY)})
        self.takes_s = takes_s
        self.outcome: Outcome.ValueType = OUTCOME_OK
        self.asked: list[CreditQuery] = []
        self.under_way = 0
        self.most_under_way = 0

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked.append(query)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        took_s = self.takes_s() if callable(self.takes_s) else self.takes_s
        try:
            await asyncio.sleep(took_s)
        finally:
            self.under_way -= 1
        return failed_answer(self.platform.id, self.outcome, "", (CATEGORY,), attempts=1)._replace(latency_s=took_s)


def begin(bulkhead: Bulkhead, query: CreditQuery = QUERY, time_s: float = 10.0) -> asyncio.Task[Answer]:
    """Begins a call that has so much time."""
    loop = asyncio.get_running_loop()
    return loop.create_task(bulkhead.fetch(query, PERMIT, loop.time() + time_s))
