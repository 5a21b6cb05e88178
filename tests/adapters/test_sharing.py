"""Shared answers and single flight (C20): one call for all who ask at once, and each of them on its own terms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NO_RECORDS,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.resilience.sharing import Sharing
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.application.fan_out import fan_out, last_words
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.keeping import KeepingPolicy
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from tests.adapters.simulated import (
    COVERED,
    DEMO,
    OTHER,
    LoopClock,
    Platforms,
    Watching,
    asking,
    heard,
    permit,
    simulated,
    told,
)

HOUR = 3_600.0


class House:
    """The wrapper under test with all it stands on."""

    def __init__(self, inner: Platforms | None = None, policy: KeepingPolicy | None = None) -> None:
        self.inner = inner or Platforms(takes_s=1.0)
        self.clock = LoopClock()
        self.cache = LocalAnswerCache(self.clock, most_answers=1_000, most_bytes=2**20)
        self.flights = Flights()
        self.watching = Watching()
        self.sharing = Sharing(
            self.inner,
            policy or KeepingPolicy(),
            self.cache,
            self.flights,
            self.clock,
            self.watching,
            least_attempt_s=0.05,
        )

    @property
    def told(self) -> list[object]:
        return self.watching.named("cache")

    async def ask(self, query: CreditQuery | None = None, within_s: float = 10.0, **more: Any) -> Answer:
        query = query or asking(**more)
        return await self.sharing.fetch(query, permit(query), self.clock.monotonic() + within_s)

    def begin(self, query: CreditQuery | None = None, within_s: float = 10.0, **more: Any) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.ask(query, within_s, **more))

    def at_hand(self, within_s: float = 10.0, **more: Any) -> Answer | None:
        query = asking(**more)
        return self.sharing.at_hand(query, permit(query), self.clock.monotonic() + within_s)


def scripted(*answers: Answer) -> Callable[[int], Answer]:
    return lambda number: answers[min(number, len(answers)) - 1]


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


def test_a_query_joins_a_call_that_is_not_older_than_it_accepts() -> None:
    async def story() -> int:
        house = House()
        first = house.begin()
        await asyncio.sleep(0.5)
        await asyncio.gather(first, house.ask(oldest_acceptable_age_s=0.6), house.ask(oldest_acceptable_age_s=0.4))
        return house.inner.calls

    assert simulated(story()) == 2


@pytest.mark.parametrize("outcome", [OUTCOME_PARTIAL, OUTCOME_UNREACHABLE])
def test_what_was_not_heard_whole_is_asked_for_again(outcome: Outcome.ValueType) -> None:
    async def story() -> int:
        house = House(Platforms(lambda number: told(outcome)))
        await house.ask()
        await house.ask()
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
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return answer, took_s, house.inner.cancelled_at

    answer, took_s, cancelled_at = simulated(story())

    assert (answer.outcome, answer.stale_because) == (OUTCOME_OK, OUTCOME_TIMEOUT)
    assert 1.9 < took_s < 2.0
    assert len(cancelled_at) == 1


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


def test_closing_ends_what_is_under_way() -> None:
    async def story() -> tuple[bool, int]:
        house = House(Platforms(takes_s=100.0))
        waiting = house.begin()
        await asyncio.sleep(1.0)
        await house.flights.aclose()
        await asyncio.wait([waiting])
        return waiting.cancelled(), len(house.flights)

    assert simulated(story()) == (True, 0)
