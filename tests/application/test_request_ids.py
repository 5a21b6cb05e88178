"""Idempotency of queries: what a caller gets who waits for another's answer under the same request id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import CreditView, QueryScope
from gateway.application.query_credit import CreditAnswer
from gateway.application.request_ids import RequestIds
from gateway.domain.errors import (
    DeadlineError,
    GatewayError,
    Reason,
    RequestIdReusedError,
    StoreError,
    UnauthenticatedError,
)
from gateway.domain.figures import figures_of
from gateway.domain.merge import Merged
from tests.adapters.simulated import DEMO, LoopClock, simulated

VIEW = CreditView(view_id="v-1")


def answer(answer_id: str) -> CreditAnswer:
    return CreditAnswer(answer_id, Merged.of(VIEW), figures_of(VIEW), ())


def until() -> float:
    return LoopClock().monotonic() + 10


class Asked:
    """Request ids, and one question that is asked under one id by several callers."""

    def __init__(self) -> None:
        self.ids = RequestIds(LoopClock(), capacity=10)
        self.count = 0
        self.go_on = asyncio.Event()

    async def ask(self, make: Callable[[], Awaitable[CreditAnswer]]) -> tuple[str, bool]:
        answered, is_repeated = await self.ids.once("bank-a", "r-1", lambda: b"body", make, until=until())
        return answered.answer_id, is_repeated

    async def answered(self) -> CreditAnswer:
        self.count += 1
        await asyncio.sleep(0)
        return answer(f"a-{self.count}")

    def failing(self, error: GatewayError) -> Callable[[], Awaitable[CreditAnswer]]:
        """Gives what fails so once it may go on."""

        async def fails() -> CreditAnswer:
            await self.go_on.wait()
            raise error

        return fails

    async def under_way(self, make: Callable[[], Awaitable[CreditAnswer]]) -> asyncio.Task[tuple[str, bool]]:
        """Gives a call that has begun."""
        task = asyncio.create_task(self.ask(make))
        await asyncio.sleep(0)
        return task


async def never() -> CreditAnswer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_those_who_wait_for_a_caller_who_goes_away_are_answered_once() -> None:
    asked = Asked()
    first = await asked.under_way(never)
    waiting = [await asked.under_way(asked.answered) for _ in range(3)]

    first.cancel()
    answered = await asyncio.gather(*waiting)

    assert answered == [("a-1", False), ("a-1", True), ("a-1", True)]
    assert first.cancelled()


@pytest.mark.parametrize(
    "own",
    [DeadlineError("too short"), UnauthenticatedError(Reason.TOKEN_EXPIRED, "the token has ended")],
    ids=lambda error: error.reason,
)
async def test_whoever_waits_does_not_share_what_is_the_first_caller_s_alone(own: GatewayError) -> None:
    asked = Asked()

    first = await asked.under_way(asked.failing(own))
    second = await asked.under_way(asked.answered)
    asked.go_on.set()

    assert await second == ("a-1", False)
    with pytest.raises(type(own)):
        await first


async def test_any_other_failure_is_both_s_and_may_be_asked_again() -> None:
    asked = Asked()
    down = StoreError("the trail cannot be written")

    first = await asked.under_way(asked.failing(down))
    second = await asked.under_way(asked.answered)
    asked.go_on.set()
    failed = await asyncio.gather(first, second, return_exceptions=True)
    again = await asked.ask(asked.answered)

    assert list(failed) == [down, down]
    assert again == ("a-1", False)


async def test_one_who_waits_and_goes_away_leaves_the_first_alone() -> None:
    asked = Asked()

    async def slow() -> CreditAnswer:
        await asked.go_on.wait()
        return answer("a-slow")

    first = await asked.under_way(slow)
    second = await asked.under_way(asked.answered)

    second.cancel()
    await asyncio.wait([second])
    asked.go_on.set()

    assert await first == ("a-slow", False)
    assert second.cancelled()


async def test_a_bank_with_many_ids_makes_its_own_be_forgotten_and_no_other_banks() -> None:
    ids = RequestIds(LoopClock(), capacity=4)

    async def ask(bank: str, request_id: str, body: bytes = b"body") -> bool:
        async def make() -> CreditAnswer:
            return answer(f"{bank} {request_id}")

        return (await ids.once(bank, request_id, lambda: body, make, until=until()))[1]

    await ask("a", "1")
    for number in range(9):
        await ask("b", str(number))

    assert await ask("a", "1")
    assert [await ask("b", "8"), await ask("b", "0")] == [True, False]
    with pytest.raises(RequestIdReusedError):
        await ask("a", "1", b"another")


async def test_answers_of_many_bytes_make_those_of_their_own_bank_be_forgotten() -> None:
    ids = RequestIds(LoopClock(), capacity=100, most_bytes=1_000)

    async def ask(bank: str, request_id: str, size: int) -> bool:
        async def make() -> CreditAnswer:
            return replace(answer(f"{bank} {request_id}"), encoded=bytes(size))

        return (await ids.once(bank, request_id, lambda: b"body", make, until=until()))[1]

    await ask("a", "1", 300)
    for number in range(3):
        await ask("b", str(number), 400)

    assert [await ask("a", "1", 300), await ask("b", "2", 400), await ask("b", "0", 400)] == [True, True, False]


async def test_an_answer_under_way_while_its_enterprise_is_forgotten_is_given_and_not_kept() -> None:
    asked = Asked()
    other = "91310115MAC0DEM080"

    async def slow() -> CreditAnswer:
        await asked.go_on.wait()
        return CreditAnswer("a-slow", Merged.of(CreditView(query=QueryScope(uscc=DEMO))), figures_of(VIEW), ())

    async def ask_after(*forgotten: str) -> list[tuple[str, bool]]:
        asked.go_on.clear()
        first = await asked.under_way(slow)
        for uscc in forgotten:
            asked.ids.forget(uscc)
        asked.go_on.set()
        return [await first, await asked.ask(asked.answered)]

    assert await ask_after(DEMO, other) == [("a-slow", False), ("a-1", False)]
    asked.ids = RequestIds(LoopClock(), capacity=10)
    assert await ask_after(other) == [("a-slow", False), ("a-slow", True)]


async def test_an_answer_that_tells_of_a_repair_itself_is_kept() -> None:
    asked = Asked()

    async def telling() -> CreditAnswer:
        asked.ids.forget(DEMO)
        return CreditAnswer("a-telling", Merged.of(CreditView(query=QueryScope(uscc=DEMO))), figures_of(VIEW), ())

    assert [await asked.ask(telling), await asked.ask(asked.answered)] == [("a-telling", False), ("a-telling", True)]


def test_one_who_waits_for_a_first_with_a_longer_deadline_waits_for_no_longer_than_its_own() -> None:
    async def story() -> tuple[float, bool]:
        asked = Asked()
        first = await asked.under_way(never)
        with pytest.raises(DeadlineError):
            await asked.ask(asked.answered)
        is_waiting = not first.done()
        first.cancel()
        return LoopClock().monotonic(), is_waiting

    assert simulated(story()) == (10.0, True)
