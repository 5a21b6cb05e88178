"""The bulkhead's queue among banks: each in its turn, and whoever fills it gives way."""

from __future__ import annotations

import asyncio

from gateway.adapters.resilience.bulkhead import Bulkhead, BulkheadPolicy
from tests.adapters.simulated import LoopClock, Platforms, asking, permit, simulated


def test_the_banks_take_turns_and_the_youngest_of_the_bank_that_fills_the_queue_gives_way() -> None:
    async def story() -> tuple[list[str], list[str]]:
        platform = Platforms(takes_s=1.0)
        bulkhead = Bulkhead(platform, BulkheadPolicy(fewest=1, first=1, most=1, longest_queue=4), LoopClock())
        banks = ["one", "one", "one", "one", "one", "two", "two", "three"]

        async def ask(bank: str) -> bool:
            query = asking(bank=bank)
            return (await bulkhead.fetch(query, permit(query), 60.0)).is_heard

        heard = await asyncio.gather(*[ask(bank) for bank in banks])
        served = [query.bank for query in platform.asked]
        return served, [bank for bank, is_heard in zip(banks, heard, strict=True) if not is_heard]

    served, refused = simulated(story())

    assert served == ["one", "one", "two", "three", "two"]
    assert refused == ["one", "one", "one"]
