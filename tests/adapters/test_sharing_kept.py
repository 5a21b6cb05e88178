"""Answers that are kept and given again: how old they may be, and when a stale one stands in for a platform that fails (C2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NO_RECORDS,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.application.fan_out import fan_out
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from tests.adapters.shared import HOUR, House, scripted
from tests.adapters.simulated import DEMO, OTHER, Platforms, SimulatedLoop, asking, heard, permit, simulated, told


def test_what_is_kept_is_given_again_with_its_age_and_without_a_call() -> None:
    async def story() -> tuple[Answer | None, Answer, Answer | None, int]:
        house = House()
        before = house.at_hand()
        first = await house.ask()
        await asyncio.sleep(60)
        again = await house.ask()
        at_hand = house.at_hand()
        assert before is None
        assert again.said is first.said
        return at_hand, again, house.at_hand(uscc=OTHER), house.inner.calls

    at_hand, again, other, calls = simulated(story())

    assert (at_hand, other, calls) == (again, None, 1)
    assert (again.cache_age_s, again.attempts, again.latency_s) == (61.0, 0, 0.0)
    assert again.fetched_at is not None


def test_an_age_counts_from_when_the_platform_was_asked() -> None:
    async def story() -> list[bool]:
        house = House(Platforms(takes_s=30.0))
        await house.ask(within_s=60.0)
        return [house.at_hand(oldest_acceptable_age_s=age) is not None for age in (29.0, 31.0)]

    assert simulated(story()) == [False, True]


def test_a_query_that_accepts_no_age_has_the_platform_asked_for_itself_and_refreshes_what_is_kept() -> None:
    async def story() -> tuple[int, float | None]:
        house = House()
        await house.ask()
        first = house.begin(oldest_acceptable_age_s=0.0)
        await asyncio.sleep(0.5)
        await asyncio.gather(first, house.ask(oldest_acceptable_age_s=0.0))
        again = house.at_hand()
        return house.inner.calls, again and again.cache_age_s

    assert simulated(story()) == (3, 1.0)


@pytest.mark.parametrize("outcome", [OUTCOME_PARTIAL, OUTCOME_UNREACHABLE])
def test_what_was_not_heard_whole_is_asked_for_again(outcome: Outcome.ValueType) -> None:
    async def story() -> int:
        house = House(Platforms(lambda number: told(outcome)))
        await house.ask()
        await house.ask()
        return house.inner.calls

    assert simulated(story()) == 2


async def kept_and_old(house: House) -> None:
    """Has an answer kept and lets it grow older than its categories allow."""
    await house.ask()
    await asyncio.sleep(12 * HOUR)


def test_of_a_platform_that_fails_a_stale_answer_is_given_only_if_the_query_allows_it() -> None:
    async def story() -> tuple[Answer, Answer, list[object]]:
        house = House(Platforms(scripted(heard(), told(OUTCOME_UNREACHABLE, "connect", 7.0)), takes_s=1.0))
        await kept_and_old(house)
        return await house.ask(), await house.ask(is_stale_acceptable=True), house.told

    refused, stale, told_ = simulated(story())

    assert (refused.outcome, refused.cache_age_s, refused.stale_because) == (OUTCOME_UNREACHABLE, None, None)
    assert (stale.outcome, stale.stale_because, stale.retry_after_s) == (OUTCOME_OK, OUTCOME_UNREACHABLE, 7.0)
    assert stale.cache_age_s == 12 * HOUR + 3.0
    assert stale.attempts == 1
    assert told_ == ["miss", "miss", "miss", "stale"]


def test_a_stale_answer_comes_in_time_when_the_platform_does_not() -> None:
    async def story() -> tuple[Answer, float, list[float]]:
        house = House(Platforms(takes_s=1.0))
        await kept_and_old(house)
        house.inner.takes_s = 100.0
        began = house.clock.monotonic()
        answer = await house.ask(within_s=2.0, is_stale_acceptable=True)
        took_s = house.clock.monotonic() - began
        await asyncio.sleep(0.001)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return answer, took_s, house.inner.cancelled_at

    answer, took_s, cancelled_at = simulated(story())

    assert (answer.outcome, answer.stale_because) == (OUTCOME_OK, OUTCOME_TIMEOUT)
    assert 1.9 < took_s < 2.0
    assert len(cancelled_at) == 1


class Tidying(Platforms):
    """Takes a moment to heed that it is cancelled."""

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        try:
            return await super().fetch(query, permit, fetch_by)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            raise


@pytest.mark.parametrize("why", ["the call is slow to end", "the loop is late"])
def test_a_stale_answer_stands_in_at_the_end_of_the_time_all_the_same(why: str) -> None:
    async def story() -> Answer:
        house = House(Tidying(takes_s=1.0))
        await kept_and_old(house)
        house.inner.takes_s = 100.0
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        if why == "the loop is late":
            loop.call_later(1.0, loop.jump, 30.0)
        query = asking(is_stale_acceptable=True)
        landed: list[Answer] = []
        await fan_out({"a": house.sharing}, query, permit(query), loop.time() + 2.0, landed.append)
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return landed[0]

    answer = simulated(story())

    assert (answer.outcome, answer.stale_because) == (OUTCOME_OK, OUTCOME_TIMEOUT)


def test_no_records_never_stand_in_for_a_platform_that_fails() -> None:
    async def story() -> Answer:
        house = House(Platforms(scripted(heard(OUTCOME_NO_RECORDS), told(OUTCOME_UNREACHABLE, "connect"))))
        await house.ask()
        await asyncio.sleep(700)
        return await house.ask(is_stale_acceptable=True, oldest_acceptable_age_s=HOUR)

    assert simulated(story()).outcome == OUTCOME_UNREACHABLE


def test_a_platform_that_is_heard_again_takes_the_stale_answers_place() -> None:
    async def story() -> tuple[Answer, int]:
        house = House()
        await kept_and_old(house)
        return await house.ask(is_stale_acceptable=True), house.inner.calls

    answer, calls = simulated(story())

    assert (answer.cache_age_s, answer.stale_because, calls) == (None, None, 2)


def test_C2_without_the_time_to_ask_what_is_kept_answers_and_else_the_deadline_is_told() -> None:
    async def story() -> list[tuple[int, str, Outcome.ValueType | None] | None]:
        house = House()
        await kept_and_old(house)
        asked: list[Answer | None] = [
            house.at_hand(within_s=0.01, oldest_acceptable_age_s=24 * HOUR),
            house.at_hand(within_s=0.01),
            house.at_hand(within_s=0.01, is_stale_acceptable=True),
            house.at_hand(within_s=-1.0, uscc=OTHER),
            house.at_hand(within_s=0.06, uscc=OTHER),
        ]
        assert house.inner.calls == 1
        return [answer and (answer.outcome, answer.said.reason, answer.stale_because) for answer in asked]

    assert simulated(story()) == [
        (OUTCOME_OK, "", None),
        (OUTCOME_SKIPPED, DEADLINE_TOO_SHORT, None),
        (OUTCOME_OK, "", OUTCOME_SKIPPED),
        (OUTCOME_SKIPPED, DEADLINE_TOO_SHORT, None),
        None,
    ]


@pytest.mark.parametrize("purged", [DEMO, OTHER])
def test_what_is_under_way_during_a_purge_is_given_to_those_who_wait_and_to_nobody_after(purged: str) -> None:
    async def forget(house: House) -> None:
        house.flights.disown([purged])
        await house.cache.purge(purged)

    async def story(forget: Callable[[House], Awaitable[None]]) -> tuple[bool, int]:
        house = House()
        first = house.begin()
        await asyncio.sleep(0.5)
        await forget(house)
        second = house.begin()
        answers = await asyncio.gather(first, second)
        assert all(answer.is_heard for answer in answers)
        return house.at_hand() is not None, house.inner.calls

    assert simulated(story(forget)) == (True, 2 if purged == DEMO else 1)


def test_what_was_under_way_during_a_purge_is_not_kept() -> None:
    async def story() -> Answer | None:
        house = House()
        waiting = house.begin()
        await asyncio.sleep(0.5)
        house.flights.disown([DEMO])
        await waiting
        return house.at_hand()

    assert simulated(story()) is None
