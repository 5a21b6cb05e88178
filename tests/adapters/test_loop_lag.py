"""The event loop's delay: told each half second, a long block once and whole, and nothing after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.adapters.telemetry.loop_lag import LoopLag
from tests.adapters.simulated import SimulatedLoop


def simulated(story: Callable[[SimulatedLoop], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(story(loop))
    finally:
        loop.close()


def test_a_loop_that_is_well_is_told_of_twice_a_second() -> None:
    told: list[float] = []

    async def story(loop: SimulatedLoop) -> None:
        lag = LoopLag(told.append)
        await asyncio.sleep(2.1)
        await lag.aclose()

    simulated(story)

    assert told == [pytest.approx(0, abs=1e-6)] * 4


def test_D10_a_blocked_loop_is_told_of_once_with_the_whole_delay() -> None:
    told: list[float] = []
    shown: list[float] = []

    async def story(loop: SimulatedLoop) -> None:
        lag = LoopLag(told.append)
        await asyncio.sleep(0.1)
        loop.jump(5.0)
        shown.append(lag.lag_s)
        await asyncio.sleep(0)
        await asyncio.sleep(0.6)
        shown.append(lag.lag_s)
        await lag.aclose()

    simulated(story)

    assert told == [pytest.approx(4.6), pytest.approx(0, abs=1e-6)]
    assert shown == [pytest.approx(4.6), pytest.approx(0, abs=1e-6)]


def test_nothing_is_told_after_the_end() -> None:
    told: list[float] = []

    async def story(loop: SimulatedLoop) -> None:
        await LoopLag(told.append).aclose()
        await asyncio.sleep(3)

    simulated(story)

    assert told == []


def test_what_the_told_one_raises_stops_nothing() -> None:
    told: list[float] = []
    complaints: list[dict[str, Any]] = []

    def tell(lag_s: float) -> None:
        told.append(lag_s)
        raise ValueError("a fault of ours")

    async def story(loop: SimulatedLoop) -> None:
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        lag = LoopLag(tell)
        await asyncio.sleep(1.1)
        await lag.aclose()

    simulated(story)

    assert (len(told), len(complaints)) == (2, 2)
