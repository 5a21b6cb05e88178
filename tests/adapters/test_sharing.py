"""Single flight (C20): one call for all who ask at once, and each of them on its own terms."""

from __future__ import annotations

import asyncio

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
)
from gateway.application.fan_out import fan_out, last_words
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.query import CreditQuery
from tests.adapters.shared import House, scripted
from tests.adapters.simulated import COVERED, Platforms, asking, heard, permit, simulated, told


def test_C20_five_hundred_who_ask_at_once_cause_one_call_and_all_are_answered() -> None:
    async def story() -> tuple[int, set[tuple[int, float]], list[object]]:
        house = House()
        answers = await asyncio.gather(*[house.ask(bank=f"bank-{n}") for n in range(500)])
        assert len({id(answer.said) for answer in answers}) == 1
        assert len(house.flights) == 0
        return house.inner.calls, {(a.outcome, round(a.latency_s)) for a in answers[1:]}, house.told

    calls, answers, told_ = simulated(story())

    assert (calls, answers) == (1, {(OUTCOME_OK, 1)})
    assert (told_.count("miss"), told_.count("shared")) == (1, 499)


def test_a_query_joins_a_call_that_is_not_older_than_it_accepts() -> None:
    async def story() -> int:
        house = House()
        first = house.begin()
        await asyncio.sleep(0.5)
        await asyncio.gather(first, house.ask(oldest_acceptable_age_s=0.6), house.ask(oldest_acceptable_age_s=0.4))
        return house.inner.calls

    assert simulated(story()) == 2


def test_one_waiters_cancellation_ends_only_its_wait() -> None:
    async def story() -> tuple[list[bool], int, list[float]]:
        house = House()
        waiting = [house.begin() for _ in range(3)]
        await asyncio.sleep(0.5)
        waiting[0].cancel()  # the one in whose name the call was begun
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert waiting[2].result().is_heard
        return [task.cancelled() for task in waiting], house.inner.calls, house.inner.cancelled_at

    assert simulated(story()) == ([True, True, False], 1, [])


def test_the_last_waiters_leaving_cancels_the_call_at_once() -> None:
    async def story() -> tuple[list[float], float, int]:
        house = House(Platforms(takes_s=100.0))
        first, last = house.begin(), house.begin()
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.sleep(1.0)
        last.cancel()
        await asyncio.wait([first, last])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return house.inner.cancelled_at, house.clock.monotonic(), len(house.flights)

    cancelled_at, ended_at, flights = simulated(story())

    assert (cancelled_at, flights) == ([2.0], 0)
    assert ended_at <= 2.05


def test_who_leaves_last_is_told_once_the_call_has_ended_and_how_far_it_had_come() -> None:
    class Chatty(Platforms):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            try:
                return await super().fetch(query, permit, fetch_by)
            except asyncio.CancelledError as error:
                await asyncio.sleep(0.02)
                error.args = ("half of it had come",)
                raise

    async def story() -> list[object]:
        house = House(Chatty(takes_s=60.0))
        query = asking(oldest_acceptable_age_s=0.0)
        wait = asyncio.ensure_future(house.sharing.fetch(query, permit(query), 100.0))
        await asyncio.sleep(1.0)
        wait.cancel()
        wait.cancel()  # twice is once
        is_done = wait.done()
        await asyncio.wait([wait])
        return [is_done, last_words(wait), round(house.clock.monotonic(), 3), len(house.flights)]

    assert simulated(story()) == [False, "half of it had come", 1.02, 0]


def test_a_call_that_will_not_end_holds_up_who_leaves_last_for_a_moment_only() -> None:
    class Stubborn(Platforms):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            try:
                return await super().fetch(query, permit, fetch_by)
            finally:
                await asyncio.sleep(5.0)

    async def story() -> list[object]:
        house = House(Stubborn(takes_s=60.0))
        query = asking(oldest_acceptable_age_s=0.0)
        wait = asyncio.ensure_future(house.sharing.fetch(query, permit(query), 100.0))
        await asyncio.sleep(1.0)
        wait.cancel()
        await asyncio.wait([wait])
        left_at = house.clock.monotonic()
        await house.flights.aclose()
        return [wait.cancelled(), last_words(wait), round(left_at, 3)]

    assert simulated(story()) == [True, "", 1.04]


def test_a_call_that_is_left_before_it_began_is_over_and_asked_nothing() -> None:
    async def story() -> list[object]:
        house = House(Platforms(takes_s=60.0))
        query = asking(oldest_acceptable_age_s=0.0)
        wait = asyncio.ensure_future(house.sharing.fetch(query, permit(query), 100.0))
        wait.cancel()
        await asyncio.wait([wait])
        return [wait.cancelled(), house.clock.monotonic(), len(house.flights), house.inner.calls]

    assert simulated(story()) == [True, 0.0, 0, 0]


def test_a_call_that_was_left_is_not_joined() -> None:
    async def story() -> tuple[bool, int]:
        house = House()
        left = house.begin()
        await asyncio.sleep(0.5)
        left.cancel()
        await asyncio.sleep(0)
        answer = await house.ask()
        return answer.is_heard, house.inner.calls

    assert simulated(story()) == (True, 2)


def test_a_call_past_its_time_is_not_joined_so_that_one_that_hangs_ends() -> None:
    async def story() -> tuple[int, list[float], int]:
        house = House(Platforms(takes_s=1_000.0))

        async def ask() -> None:
            try:
                async with asyncio.timeout(5.0):
                    await house.ask(within_s=5.0)
            except TimeoutError:
                pass

        asking_on = []
        for _ in range(12):  # one a second: there is always somebody who waits
            asking_on.append(asyncio.create_task(ask()))
            await asyncio.sleep(1.0)
        await asyncio.gather(*asking_on)
        return house.inner.calls, house.inner.cancelled_at, len(house.flights)

    assert simulated(story()) == (3, [9.0, 14.0, 16.0], 0)


def test_a_waiter_with_less_time_ends_only_its_own_wait() -> None:
    async def story() -> tuple[dict[str, int], dict[str, int], int]:
        house = House(Platforms(takes_s=1.0))
        now = house.clock.monotonic()
        short: dict[str, int] = {}
        long: dict[str, int] = {}
        query = asking()

        async def fan(within_s: float, into: dict[str, int]) -> None:
            await fan_out(
                {"a": house.sharing},
                query,
                permit(query),
                now + within_s,
                lambda answer: into.update({answer.platform: answer.outcome}),
            )

        await asyncio.gather(fan(0.2, short), fan(5.0, long))
        return short, long, house.inner.calls

    assert simulated(story()) == ({"a": OUTCOME_TIMEOUT}, {"a": OUTCOME_OK}, 1)


def test_who_has_much_more_time_asks_again_when_the_others_time_was_too_short() -> None:
    limited = told(OUTCOME_RATE_LIMITED, "http_429", 5.0)

    async def story() -> tuple[list[int], int]:
        house = House(Platforms(scripted(limited, heard()), takes_s=0.5))
        hurried = [house.begin(within_s=1.0) for _ in range(3)]
        await asyncio.sleep(0.1)
        patient = [house.begin(within_s=30.0) for _ in range(3)]
        answers = await asyncio.gather(*hurried, *patient)
        return [answer.outcome for answer in answers], house.inner.calls

    assert simulated(story()) == ([OUTCOME_RATE_LIMITED] * 3 + [OUTCOME_OK] * 3, 2)


def test_who_has_hardly_more_time_takes_the_failure_as_it_is() -> None:
    async def story() -> tuple[list[int], int]:
        house = House(Platforms(lambda number: told(OUTCOME_UNREACHABLE, "connect"), takes_s=0.5))
        first = house.begin(within_s=10.0)
        await asyncio.sleep(0.1)
        answers = await asyncio.gather(first, *[house.ask(within_s=10.5) for _ in range(100)])
        return [answer.outcome for answer in answers], house.inner.calls

    assert simulated(story()) == ([OUTCOME_UNREACHABLE] * 101, 1)


def test_another_banks_spent_quota_is_not_ones_own() -> None:
    async def story() -> tuple[list[int], list[str]]:
        house = House(Platforms(scripted(told(OUTCOME_QUOTA_EXHAUSTED, "quota_bank"), heard()), takes_s=0.5))
        answers = await asyncio.gather(house.ask(bank="one"), house.ask(bank="one"), house.ask(bank="two"))
        return [answer.outcome for answer in answers], [query.bank for query in house.inner.asked]

    assert simulated(story()) == ([OUTCOME_QUOTA_EXHAUSTED, OUTCOME_QUOTA_EXHAUSTED, OUTCOME_OK], ["one", "two"])


def test_an_interactive_query_does_not_wait_for_a_batch_call_but_batch_takes_an_interactive_one() -> None:
    async def story() -> list[bool]:
        house = House()
        await asyncio.gather(house.ask(is_batch=True), house.ask(), house.ask(is_batch=True), house.ask())
        return [query.is_batch for query in house.inner.asked]

    assert simulated(story()) == [True, False]


def test_banks_do_not_share_what_needs_authorisation() -> None:
    async def story() -> int:
        house = House()
        await asyncio.gather(house.ask(categories=COVERED, bank="one"), house.ask(categories=COVERED, bank="two"))
        await house.ask(categories=COVERED, bank="one")
        return house.inner.calls

    assert simulated(story()) == 2


def test_a_broken_connector_is_told_to_all_who_wait_and_leaves_nothing_behind() -> None:
    def breaks(number: int) -> Answer:
        raise LookupError("a bug")

    async def story() -> tuple[list[type[object]], int]:
        house = House(Platforms(breaks))
        ended = await asyncio.gather(house.ask(), house.ask(), return_exceptions=True)
        return [type(each) for each in ended], len(house.flights)

    assert simulated(story()) == ([LookupError, LookupError], 0)


def test_closing_ends_what_is_under_way() -> None:
    async def story() -> tuple[bool, int]:
        house = House(Platforms(takes_s=100.0))
        waiting = house.begin()
        await asyncio.sleep(1.0)
        await house.flights.aclose()
        await asyncio.wait([waiting])
        return waiting.cancelled(), len(house.flights)

    assert simulated(story()) == (True, 0)
