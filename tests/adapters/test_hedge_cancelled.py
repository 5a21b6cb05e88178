"""Hedging cut short: a caller that leaves, an attempt that breaks or tidies up; no attempt is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_TIMEOUT
from gateway.adapters.resilience.hedge import Hedging
from gateway.domain.answer import Answer
from tests.adapters.hedged import PERMIT, POLICY, QUERY, THREE, Attempt, Scripted, fetch, no_tasks_left
from tests.adapters.simulated import LoopClock, simulated


def cancelled(*attempts: Attempt, meanwhile: Callable[[asyncio.Task[Answer]], Awaitable[None]]) -> tuple[bool, bool]:
    """Gives whether the fetch ended cancelled and whether no task is left."""

    async def story() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(*attempts), POLICY, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        fetching = asyncio.ensure_future(hedging.fetch(QUERY, PERMIT, loop.time() + 10.0))
        await meanwhile(fetching)
        await asyncio.wait([fetching])
        return fetching.cancelled(), await no_tasks_left()

    return simulated(story())


@pytest.mark.parametrize("after_s", [0.05, 0.15], ids=["before the second", "beside the second"])
def test_a_caller_that_leaves_cancels_both(after_s: float) -> None:
    first, second = Attempt(5.0), Attempt(5.0, tidies_s=0.01)

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        await asyncio.sleep(after_s)
        fetching.cancel()

    ended = cancelled(first, second, meanwhile=leave)

    assert (ended, first.is_cancelled) == ((True, True), True)
    assert second.is_cancelled == (second.began_at >= 0)


def test_a_caller_that_leaves_while_the_second_is_waited_for_cancels_it() -> None:
    second = Attempt(5.0)

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        await asyncio.sleep(1.0)
        fetching.cancel()

    ended = cancelled(Attempt(0.2, OUTCOME_TIMEOUT, "read"), second, meanwhile=leave)

    assert (ended, second.is_cancelled) == ((True, True), True)


@pytest.mark.parametrize("is_before", [True, False], ids=["just before", "just after"])
def test_a_caller_that_leaves_just_as_the_second_wins_is_obeyed(is_before: bool) -> None:
    second = Attempt(0.05)
    known: set[Any] = set()

    async def leave(fetching: asyncio.Task[Answer]) -> None:
        known.update({asyncio.current_task(), fetching})
        await asyncio.sleep(0.12)
        (beside,) = asyncio.all_tasks() - known
        if is_before:
            asyncio.get_running_loop().call_at(second.began_at + 0.05, fetching.cancel)
        else:
            beside.add_done_callback(lambda _: fetching.cancel())

    ended = cancelled(Attempt(5.0), second, meanwhile=leave)

    assert ended == (True, True)


def test_a_broken_first_is_reported_and_leaves_no_second_behind() -> None:
    second = Attempt(5.0)

    with pytest.raises(RuntimeError, match="broken"):
        fetch(Attempt(0.2, error=RuntimeError("broken")), second)

    assert second.is_cancelled


def test_a_second_that_is_slow_to_tidy_up_does_not_hold_the_answer_for_long() -> None:
    async def story() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        hedging = Hedging(Scripted(Attempt(0.2), Attempt(5.0, tidies_s=1.0)), POLICY, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        began = loop.time()
        await hedging.fetch(QUERY, PERMIT, 10.0)
        took_s = round(loop.time() - began, 3)
        await asyncio.sleep(1.0)
        return took_s, await no_tasks_left()

    took_s, is_over = simulated(story())

    assert (took_s, is_over) == (0.23, True)


def test_a_caller_that_leaves_cancels_all_three() -> None:
    attempts = [Attempt(5.0), Attempt(5.0), Attempt(5.0)]

    async def story() -> bool:
        hedging = Hedging(Scripted(*attempts), THREE, LoopClock())
        await hedging.fetch(QUERY, PERMIT, 10.0)
        call = asyncio.ensure_future(hedging.fetch(QUERY, PERMIT, 10.0))
        await asyncio.sleep(0.5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await no_tasks_left()

    assert simulated(story())
    assert [attempt.is_cancelled for attempt in attempts] == [True, True, True]
