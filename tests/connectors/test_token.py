"""Tokens that run out: who fetches one when whoever was to fetch it for all gets no answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from connectors.kit.token import Token, TokenKeeper
from tests.adapters.simulated import NOON, LoopClock, simulated


class Issuer:
    """Gives tokens that run out after an hour; the first fetches so many times get no answer at all."""

    def __init__(self, *, silent: int) -> None:
        self.silent = silent
        self.asked_at: list[float] = []

    async def fetch(self, _fetch_by: float, _held: Token | None) -> Token:
        loop = asyncio.get_running_loop()
        self.asked_at.append(loop.time())
        number = len(self.asked_at)
        if number <= self.silent:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.1)
        return Token(f"t-{number}", NOON + timedelta(seconds=loop.time() + 3_600))


async def got(keeper: TokenKeeper, *, time_s: float) -> str:
    """Gives the token that a query with so much time gets, nothing where its time runs out."""
    fetch_by = asyncio.get_running_loop().time() + time_s
    try:
        async with asyncio.timeout_at(fetch_by):
            return await keeper.get(fetch_by)
    except TimeoutError:
        return ""


def test_a_query_with_much_time_whose_fetch_hangs_keeps_no_other_from_a_token() -> None:
    async def story() -> tuple[list[str], str, list[float]]:
        issuer = Issuer(silent=1)
        keeper = TokenKeeper(issuer.fetch, LoopClock())
        patient = asyncio.create_task(got(keeper, time_s=120.0))
        await asyncio.sleep(1.0)
        others = await asyncio.gather(*[got(keeper, time_s=8.0) for _ in range(50)])
        return others, await patient, issuer.asked_at

    others, patient, asked_at = simulated(story())

    assert others == ["t-2"] * 50
    assert patient == ""
    assert len(asked_at) == 2


def test_while_no_fetch_is_answered_one_more_is_made_now_and_then_not_one_for_each_query() -> None:
    async def story() -> list[float]:
        issuer = Issuer(silent=1_000)
        keeper = TokenKeeper(issuer.fetch, LoopClock())
        async with asyncio.TaskGroup() as queries:
            for _ in range(300):
                queries.create_task(got(keeper, time_s=30.0))
                await asyncio.sleep(0.1)
        return issuer.asked_at

    asked_at = simulated(story())

    assert 2 < len(asked_at) < 60  # in a minute, of 300 queries
