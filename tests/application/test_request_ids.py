"""Request ids: a bank's are its own matter, and whoever waits for the first to be answered does not leave with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.application.request_ids import RequestIds
from gateway.domain.errors import RequestIdReusedError
from tests.adapters.simulated import LoopClock


def body() -> bytes:
    return b"body"


async def test_a_bank_with_many_ids_makes_its_own_be_forgotten_and_no_other_banks() -> None:
    ids = RequestIds(LoopClock(), capacity=4)
    made: list[str] = []

    async def ask(bank: str, request_id: str) -> bool:
        async def make() -> Any:
            made.append(f"{bank} {request_id}")

        return (await ids.once(bank, request_id, body, make))[1]

    await ask("a", "1")
    for number in range(9):
        await ask("b", str(number))

    assert await ask("a", "1")
    assert [await ask("b", "8"), await ask("b", "0")] == [True, False]
    with pytest.raises(RequestIdReusedError):
        await ids.once("a", "1", lambda: b"another", lambda: ask("a", "1"))  # type: ignore[arg-type, return-value]


async def test_whoever_waits_for_a_first_that_leaves_asks_itself() -> None:
    ids = RequestIds(LoopClock(), capacity=4)
    began: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def make() -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await began.put(answer)
        return await answer

    first, second, third = (asyncio.create_task(ids.once("a", "1", body, make)) for _ in range(3))
    await began.get()
    first.cancel()
    (await began.get()).set_result("answer")

    with pytest.raises(asyncio.CancelledError):
        await first
    told: list[Any] = [*await asyncio.gather(second, third)]
    assert told == [("answer", False), ("answer", True)]


async def test_whoever_waits_and_leaves_itself_leaves_the_first_alone() -> None:
    ids = RequestIds(LoopClock(), capacity=4)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    first, second = (asyncio.create_task(ids.once("a", "1", body, lambda: answer)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    answer.set_result("answer")

    told: Any = await first
    assert second.cancelled()
    assert told == ("answer", False)
