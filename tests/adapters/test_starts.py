"""Whose query starts next where a bank asks for much at once: by turns, newcomers first; all in simulated time (C19)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.adapters.rpc.admission import Admissions
from gateway.domain.errors import AdmissionError, Reason
from tests.adapters.doors import door, enter
from tests.adapters.simulated import simulated


async def shared_door(**policy: Any) -> Admissions:
    """Gives a door by which two banks have come lately."""
    admissions = door(**policy)
    for bank in ("one", "two"):
        await enter(admissions, bank)
        admissions.leave(bank)
    return admissions


async def order_of_start(
    admissions: Admissions, asked: Iterable[tuple[str, bool]], later: Iterable[tuple[str, bool]] = ()
) -> list[tuple[str, bool]]:
    """Gives who started after whom, when some came at once and others right behind them; nobody leaves."""
    started: list[tuple[str, bool]] = []

    async def visit(bank: str, is_batch: bool) -> None:
        await enter(admissions, bank, is_batch=is_batch)
        started.append((bank, is_batch))

    tasks = [asyncio.create_task(visit(bank, is_batch)) for bank, is_batch in asked]
    await asyncio.sleep(0.002)
    tasks += [asyncio.create_task(visit(bank, is_batch)) for bank, is_batch in later]
    await asyncio.gather(*tasks)
    return started


@pytest.mark.parametrize("is_batch", [False, True])
def test_C19_who_comes_behind_300_queries_of_another_bank_starts_before_most_of_them(is_batch: bool) -> None:
    async def story() -> list[tuple[str, bool]]:
        return await order_of_start(await shared_door(), [("flood", is_batch)] * 300, [("b", False)])

    started = simulated(story())

    assert len(started) == 301
    assert started.index(("b", False)) < 30


def test_banks_that_ask_for_much_start_by_turns_and_by_their_weights() -> None:
    async def story() -> list[tuple[str, bool]]:
        return await order_of_start(await shared_door(weights={"a": 3}), [("a", False)] * 100 + [("b", False)] * 100)

    started = simulated(story())

    in_turns = Counter(bank for bank, _ in started[20:100])
    assert in_turns["a"] == 3 * in_turns["b"]


def test_a_banks_own_batch_starts_behind_its_single_queries() -> None:
    async def story() -> list[tuple[str, bool]]:
        return await order_of_start(await shared_door(), [("a", True)] * 100, [("a", False)] * 20)

    started = simulated(story())

    assert started[-70:] == [("a", True)] * 70


def test_a_bank_whose_queries_are_many_since_platforms_are_slow_waits_for_nothing() -> None:
    async def story() -> list[float]:
        admissions, loop = await shared_door(), asyncio.get_running_loop()
        waited = []
        for _ in range(200):  # none of them ends
            asked = loop.time()
            await enter(admissions, "a")
            waited.append(loop.time() - asked)
            await asyncio.sleep(0.005)
        return waited

    assert simulated(story()) == [0.0] * 200


def test_calls_that_come_without_end_start_too() -> None:
    async def story() -> tuple[int, int]:
        admissions = await shared_door()
        tasks = []
        for _ in range(2_000):
            tasks.append(asyncio.create_task(enter(admissions, "a")))
            await asyncio.sleep(0.0005)
        starting = admissions.starting
        await asyncio.gather(*tasks)
        return starting, admissions.starting

    starting, left = simulated(story())

    assert starting <= 200
    assert left == 0


def test_whose_turn_to_start_does_not_come_in_time_is_sent_away_and_leaves_its_place() -> None:
    async def story() -> tuple[list[object], int, int]:
        admissions = await shared_door()
        tasks = [asyncio.create_task(enter(admissions, "a", within_s=0.001)) for _ in range(40)]
        ended: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
        return ended, admissions.under_way, admissions.starting

    ended, under_way, starting = simulated(story())

    refused = [error for error in ended if isinstance(error, AdmissionError)]
    assert {error.reason for error in refused} == {Reason.OVERLOADED}
    assert (under_way, starting) == (40 - len(refused), 0)


def test_who_is_cancelled_before_its_start_leaves_its_place() -> None:
    async def story() -> tuple[int, int]:
        admissions = await shared_door()
        tasks = [asyncio.create_task(enter(admissions, "a")) for _ in range(40)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return admissions.under_way - ended.count(None), admissions.starting

    assert simulated(story()) == (0, 0)


def test_a_banks_queries_wait_for_nothing_while_no_other_bank_asks() -> None:
    async def story() -> tuple[int, int, int]:
        admissions = door()
        for _ in range(300):
            await enter(admissions, "a")
        at_once = round(asyncio.get_running_loop().time() * 1_000)
        await enter(admissions, "b")
        crowd = [asyncio.create_task(enter(admissions, "a")) for _ in range(40)]
        await asyncio.sleep(0)
        starting = admissions.starting
        await asyncio.gather(*crowd)
        await asyncio.sleep(120)
        return at_once, starting, sum(admissions.try_enter("a") for _ in range(40))

    at_once, starting, long_after = simulated(story())

    assert at_once == 0
    assert starting > 20
    assert long_after == 40
