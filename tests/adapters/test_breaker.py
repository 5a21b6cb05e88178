"""The breaker (U26): what opens it and what does not, and the answer at once while a platform is down."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from connectors.kit.conformance import SystemTime, whole_query
from connectors.shanghai import plugin
from connectors.shanghai.sandbox import sandbox
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_CANCELLED,
    OUTCOME_MAINTENANCE,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_COVERED,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.resilience.breaker import BreakerPolicy, Breaking
from gateway.domain.answer import failed_answer
from gateway.domain.consent import development_permit
from gateway.ports import ConnectorSetup
from tests.adapters.breaking import DOWN, OK, House


async def test_U26_after_failures_in_a_row_it_answers_without_asking() -> None:
    house = House()
    await house.ask(5)
    house.clock.at_s += 2.0

    answer = await house.ask()

    assert answer == failed_answer("a", OUTCOME_BREAKER_OPEN, "unreachable", (5,), retry_after_s=3.0)
    assert (house.inner.asked, house.watcher.turns, house.breaking.is_open) == (5, [True], True)


async def test_failures_with_successes_between_do_not_open() -> None:
    house = House()

    for _ in range(20):
        house.inner.told = DOWN
        await house.ask(4)
        house.inner.told = OK
        await house.ask()

    assert (house.inner.asked, house.watcher.turns) == (100, [])


async def test_a_busy_platform_is_not_given_up_for_a_short_row_of_failures() -> None:
    house = House(OK)
    await house.ask(40)
    house.inner.told = DOWN

    await house.ask(6)

    assert house.watcher.turns == []


async def test_an_outage_of_a_busy_platform_opens_within_a_hundred_calls() -> None:
    house = House(OK)
    await house.ask(1_000)
    house.inner.told = DOWN

    await house.ask(100)

    assert house.watcher.turns == [True]


async def test_what_was_heard_long_ago_does_not_keep_it_closed() -> None:
    house = House(OK)
    await house.ask(40)
    house.clock.at_s += 30.0
    house.inner.told = DOWN

    await house.ask(5)

    assert house.watcher.turns == [True]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (OUTCOME_UNREACHABLE, "http_503"),
        (OUTCOME_UNREACHABLE, "connect"),
        (OUTCOME_BAD_ANSWER, "code"),
        (OUTCOME_BAD_ANSWER, "platform_data_error"),
        (OUTCOME_MAINTENANCE, "code"),
    ],
)
async def test_a_passing_fault_of_the_platform_counts(outcome: Outcome.ValueType, reason: str) -> None:
    house = House((outcome, reason, None))

    answer = await house.ask(6)

    assert (answer.outcome, house.inner.asked) == (OUTCOME_BREAKER_OPEN, 5)
    assert answer.said.reason == Outcome.Name(outcome).removeprefix("OUTCOME_").lower()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (OUTCOME_OK, ""),
        (OUTCOME_PARTIAL, "timeout"),
        (OUTCOME_NO_RECORDS, ""),
        (OUTCOME_NOT_FOUND, ""),
        (OUTCOME_NOT_COVERED, ""),
        (OUTCOME_CANCELLED, ""),
        (OUTCOME_SKIPPED, "bulkhead_full"),
        (OUTCOME_QUOTA_EXHAUSTED, "day"),
        (OUTCOME_RATE_LIMITED, "http_429"),
        (OUTCOME_AUTH_FAILED, "signature"),
        (OUTCOME_TOO_LARGE, "body"),
        (OUTCOME_UNREACHABLE, "egress"),
        (OUTCOME_BAD_ANSWER, "request_refused"),
        (OUTCOME_TIMEOUT, "pending"),
    ],
)
async def test_what_a_rest_cannot_cure_never_opens(outcome: Outcome.ValueType, reason: str) -> None:
    house = House((outcome, reason, None))

    await house.ask(100)

    assert (house.inner.asked, house.watcher.turns) == (100, [])


async def test_U30_error_envelopes_with_HTTP_200_open_it_on_a_real_socket() -> None:
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=30, seed=1)
    query = whole_query("shanghai")
    permit = development_permit(query)
    try:
        async with aiohttp.ClientSession() as session:
            connector = plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials()))
            breaking = Breaking(connector, BreakerPolicy(failures_to_open=2), SystemTime())
            await running.set_fault("maintenance")
            fetch_by = asyncio.get_running_loop().time() + 5.0

            answers = [await breaking.fetch(query, permit, fetch_by) for _ in range(3)]
    finally:
        await running.aclose()

    told = [(answer.outcome, answer.said.reason) for answer in answers]
    assert told == [(OUTCOME_MAINTENANCE, "code")] * 2 + [(OUTCOME_BREAKER_OPEN, "maintenance")]


async def test_silence_until_the_callers_time_is_over_counts() -> None:
    house = House()
    house.inner.is_holding = True
    calls = [house.begin(10.0) for _ in range(5)]
    await asyncio.sleep(0)
    house.clock.at_s += 10.0

    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    answer = await house.ask()

    assert all(call.cancelled() for call in calls)
    assert (answer.outcome, answer.said.reason) == (OUTCOME_BREAKER_OPEN, "timeout")


@pytest.mark.parametrize(("time_s", "after_s"), [(10.0, 9.0), (0.4, 0.4)], ids=["it left", "it was in a hurry"])
async def test_a_caller_that_leaves_or_is_in_a_hurry_does_not_close_it_to_others(time_s: float, after_s: float) -> None:
    house = House()
    house.inner.is_holding = True
    calls = [house.begin(time_s) for _ in range(20)]
    await asyncio.sleep(0)
    house.clock.at_s += after_s

    for call in calls:
        call.cancel()
    await asyncio.wait(calls)

    assert house.watcher.turns == []


async def test_refusals_keep_nothing_of_the_calls_they_refuse() -> None:
    house = House()
    await house.open()

    answers = [await house.ask() for _ in range(1_000)]

    state = house.breaking._circuit._state
    assert {answer.outcome for answer in answers} == {OUTCOME_BREAKER_OPEN}
    assert isinstance(state, Exception)
    assert (state.__traceback__, house.breaking._circuit.messages) == (None, [])


@pytest.mark.parametrize(
    "settings",
    [
        {"failures_to_open": 0},
        {"failing_share": 1.1},
        {"jitter": 1.0},
        {"growth": 0.5},
        {"first_pause_s": 0.0},
        {"first_pause_s": 61.0},
        {"memory_s": 0.0},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BreakerPolicy(**settings)  # type: ignore[arg-type]
