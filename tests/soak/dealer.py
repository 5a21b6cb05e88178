"""Deals faults to the platforms at random: of every kind the sandboxes know, one or two at a time, cleared after a while."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any, Final

import aiohttp

from connectors.kit.sandbox_faults import KINDS

_PAUSE_S: Final = (0.2, 5.0)
_HELD_S: Final = (0.3, 5.0)
_STATUSES: Final = (400, 401, 403, 404, 405, 429, 500, 502, 503, 504)
_CLEARED_WITHIN_S: Final = 15.0


class Dealer:
    """Deals to all platforms; `on` is what is on now, by platform, for whoever tells of a failure."""

    def __init__(self, controls: Mapping[str, str], random: Random) -> None:
        self._controls = controls
        self._random = random
        self._deck: list[str] = []
        self.on: dict[str, list[str]] = {platform: [] for platform in controls}
        self.dealt: Counter[str] = Counter()

    async def deal(self, lasting_s: float) -> None:
        """Deals for so long, then clears everything."""
        async with aiohttp.ClientSession() as session:
            try:
                async with asyncio.TaskGroup() as group:
                    loop = asyncio.get_running_loop()
                    for platform in self._controls:
                        # Each has a sequence of its own, or the time it takes one would change the others'.
                        random = Random(self._random.random())
                        group.create_task(self._deal_to(platform, random, session, loop.time() + lasting_s))
            finally:
                for platform in self._controls:
                    await self._clear(platform, session)

    async def _deal_to(self, platform: str, random: Random, session: aiohttp.ClientSession, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await asyncio.sleep(min(random.uniform(*_PAUSE_S), max(0.0, until - loop.time())))
            for _ in range(1 if random.random() < 0.7 else 2):
                kind = self._next()
                settings = _settings(kind, random)
                if random.random() < 0.25:
                    settings["times"] = random.randint(1, 4)
                async with session.post(f"{self._controls[platform]}/faults", json={"kind": kind, **settings}) as set_:
                    assert set_.status == 200, await set_.text()
                self.on[platform].append(" ".join([kind, *(f"{name}={value}" for name, value in settings.items())]))
                self.dealt[kind] += 1
            await asyncio.sleep(min(random.uniform(*_HELD_S), max(0.0, until - loop.time())))
            await self._clear(platform, session)

    async def _clear(self, platform: str, session: aiohttp.ClientSession) -> None:
        """Clears a platform's faults; one that refused has to get its port back, which may take a moment."""
        async with asyncio.timeout(_CLEARED_WITHIN_S):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.delete(f"{self._controls[platform]}/faults") as cleared:
                        if cleared.status == 200:
                            break
                await asyncio.sleep(0.1)
        self.on[platform] = []

    def _next(self) -> str:
        """Gives the next kind of a shuffled deck that all platforms share, so that a minute sees every kind."""
        if not self._deck:
            self._deck = list(KINDS)
            self._random.shuffle(self._deck)
        return self._deck.pop()


def _settings(kind: str, random: Random) -> dict[str, Any]:
    match kind:
        case "latency":
            return {"median_ms": random.choice((20, 200, 1_000, 4_000)), "sigma": random.choice((0.0, 0.5, 1.0))}
        case "status":
            return {"code": random.choice(_STATUSES), **({"retry_after": 1} if random.random() < 0.4 else {})}
        case "drip":
            return {"gap_ms": random.choice((5, 50, 500))}
        case (
            "gzip_bomb" | "huge"
        ):  # beyond what a body may have, and not so large that making it holds up all platforms
            return {"mib": random.choice((5, 12))}
        case "redirect":
            return {} if random.random() < 0.5 else {"location": "http://198.51.100.1/"}
        case _:
            return {}
