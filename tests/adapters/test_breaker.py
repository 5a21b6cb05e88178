"""The breaker (U26): answers at once while a platform is down, one probe at a time, and no flapping."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime

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
    PURPOSE_PRE_LOAN,
    Outcome,
)
from gateway.adapters.resilience.breaker import BreakerPolicy, Breaking
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.ports import ConnectorSetup

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
PERMIT = development_permit(QUERY)
POLICY = BreakerPolicy()
HALF_AN_HOUR_S = 1_800

Told = tuple[Outcome.ValueType, str, float | None]
OK: Told = (OUTCOME_OK, "", None)
DOWN: Told = (OUTCOME_UNREACHABLE, "http_503", None)


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at_s


class Scripted:
    """Says at once what the script says at that moment, or waits to be told."""

    def __init__(self, told: Told | Callable[[], Told] = DOWN) -> None:
        self.platform = Platform("a", "平台", "platform", Tier.PROVINCE)
        self.told = told
        self.asked = 0
        self.held: list[asyncio.Future[Told]] = []
        self.is_holding = False
        self.breaks_by: Exception | None = None

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked += 1
        if self.breaks_by is not None:
            raise self.breaks_by
        told = self.told() if callable(self.told) else self.told
        if self.is_holding:
            held: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
            self.held.append(held)
            told = await held
        outcome, reason, retry_after_s = told
        return failed_answer("a", outcome, reason, (5,), attempts=1, retry_after_s=retry_after_s)


class Watcher:
    """Notes the breaker's turns; the other events are not this wrapper's."""

    def __init__(self) -> None:
        self.turns: list[bool] = []

    def breaker_turned(self, platform: str, *, is_open: bool) -> None:
        assert platform == "a"
        self.turns.append(is_open)

    def call_repeated(self, platform: str) -> None: ...

    def call_hedged(self, platform: str, *, won: bool) -> None: ...

    def quota_refused(self, platform: str, reason: str) -> None: ...

    def quota_left(self, platform: str, calls: int) -> None: ...

    def limit_moved(self, platform: str, calls: int) -> None: ...

    def cache_asked(self, platform: str, result: str) -> None: ...


class House:
    """A breaker without jitter around a scripted platform, with its clock and its watcher."""

    def __init__(self, told: Told | Callable[[], Told] = DOWN, policy: BreakerPolicy = POLICY, seed: int = -1) -> None:
        self.clock = MovedClock()
        self.inner = Scripted(told)
        self.watcher = Watcher()
        chance = (lambda: 0.5) if seed < 0 else random.Random(seed).random
        self.breaking = Breaking(self.inner, policy, self.clock, self.watcher, chance=chance)

    async def ask(self, times: int = 1) -> Answer:
        for _ in range(times):
            answer = await self.breaking.fetch(QUERY, PERMIT, self.clock.at_s + 10.0)
        return answer

    def begin(self, time_s: float = 10.0) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.breaking.fetch(QUERY, PERMIT, self.clock.at_s + time_s))

    async def open(self) -> None:
        """Opens it, which stays so for 5 s."""
        self.inner.told = DOWN
        await self.ask(POLICY.failures_to_open)
        assert self.breaking.is_open

    async def pass_time(self, seconds: float, every_s: float = 1.0) -> list[Outcome.ValueType]:
        """Asks over and over; gives how each came out."""
        heard = []
        for _ in range(round(seconds / every_s)):
            heard.append((await self.ask()).outcome)
            self.clock.at_s += every_s
        return heard

    async def pauses(self, probes: int) -> list[float]:
        """Gives the times between so many probes, beginning with the one now past."""
        asked_at = [self.clock.at_s]
        while len(asked_at) <= probes:
            before = self.inner.asked
            await self.ask()
            if self.inner.asked > before:
                asked_at.append(self.clock.at_s)
            self.clock.at_s += 0.25
        return [later - earlier for earlier, later in itertools.pairwise(asked_at)]


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


async def test_while_one_probe_is_under_way_all_others_are_refused() -> None:
    house = House()
    await house.open()
    house.clock.at_s += 5.0
    house.inner.is_holding = True

    calls = [house.begin() for _ in range(50)]
    await asyncio.wait(calls[1:], timeout=0.05)
    asked_while_probing = house.inner.asked
    house.inner.held[0].set_result(OK)
    probed = await calls[0]

    assert asked_while_probing == 6
    assert probed.outcome == OUTCOME_OK
    assert {call.result().outcome for call in calls[1:]} == {OUTCOME_BREAKER_OPEN}
    assert house.watcher.turns == [True, False]


@pytest.mark.parametrize("told", [OK, (OUTCOME_NOT_FOUND, "", None), (OUTCOME_AUTH_FAILED, "signature", None)])
async def test_a_probe_that_finds_it_alive_lets_all_in(told: Told) -> None:
    house = House()
    await house.open()
    house.clock.at_s += 5.0
    house.inner.told = told

    await house.ask(10)

    assert (house.inner.asked, house.watcher.turns, house.breaking.is_open) == (15, [True, False], False)


async def test_pauses_double_with_each_failed_probe_up_to_the_longest() -> None:
    house = House()
    await house.open()

    pauses = await house.pauses(7)

    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert house.watcher.turns == [True]


async def test_pauses_vary_so_that_processes_do_not_probe_together() -> None:
    firsts = []
    for seed in range(200):
        house = House(seed=seed)
        answer = await house.ask(6)
        firsts.append(answer.retry_after_s or 0.0)

    assert 4.0 <= min(firsts) < 4.1
    assert 5.9 < max(firsts) <= 6.0


async def test_a_failing_platforms_retry_after_is_obeyed_up_to_the_longest_pause() -> None:
    house = House((OUTCOME_UNREACHABLE, "http_503", 45.0))
    far_house = House((OUTCOME_UNREACHABLE, "http_503", 86_400.0))

    answers = await house.ask(6), await far_house.ask(6)

    assert [answer.retry_after_s for answer in answers] == [45.0, 120.0]


async def test_a_probe_told_to_slow_down_comes_back_later_and_the_pause_does_not_grow() -> None:
    house = House()
    await house.open()
    house.inner.told = (OUTCOME_RATE_LIMITED, "http_429", None)

    pauses = await house.pauses(4)

    assert pauses == [5.0, 5.0, 5.0, 5.0]
    assert house.watcher.turns == [True]


async def test_a_cancelled_probe_frees_its_place_for_the_next_call() -> None:
    house = House()
    await house.open()
    house.clock.at_s += 5.0
    house.inner.is_holding = True
    probe = house.begin()
    await asyncio.sleep(0)

    probe.cancel()
    await asyncio.wait([probe])
    house.inner.is_holding, house.inner.told = False, OK
    answer = await house.ask()

    assert (probe.cancelled(), answer.outcome, house.watcher.turns) == (True, OUTCOME_OK, [True, False])


@pytest.mark.parametrize("told", [(OUTCOME_SKIPPED, "bulkhead_full", None), (OUTCOME_QUOTA_EXHAUSTED, "day", None)])
async def test_a_probe_that_never_reached_the_platform_frees_its_place(told: Told) -> None:
    house = House()
    await house.open()
    house.clock.at_s += 5.0
    house.inner.told = told
    await house.ask()
    house.inner.told = OK

    answer = await house.ask()

    assert (answer.outcome, house.watcher.turns) == (OUTCOME_OK, [True, False])


async def test_a_probe_whose_connector_breaks_frees_its_place() -> None:
    house = House()
    await house.open()
    house.clock.at_s += 5.0
    house.inner.breaks_by = ValueError("broke its word")
    with pytest.raises(ValueError, match="broke its word"):
        await house.ask()
    house.inner.breaks_by, house.inner.told = None, OK

    answer = await house.ask()

    assert (answer.outcome, house.watcher.turns) == (OUTCOME_OK, [True, False])


async def test_an_answer_to_a_call_begun_before_it_opened_closes_nothing() -> None:
    house = House()
    house.inner.is_holding = True
    late = house.begin()
    await asyncio.sleep(0)
    house.inner.is_holding = False
    await house.open()
    house.clock.at_s += 5.0
    house.inner.is_holding = True
    probe = house.begin()
    await asyncio.sleep(0)

    house.inner.held[0].set_result(OK)
    await late
    beside_the_probe = await asyncio.wait_for(house.ask(), 0.05)
    house.inner.held[1].set_result(DOWN)
    await probe

    assert beside_the_probe.outcome == OUTCOME_BREAKER_OPEN
    assert house.watcher.turns == [True]


async def test_pauses_are_longer_after_a_relapse_and_the_first_again_after_a_calm_time() -> None:
    house = House()
    await house.open()
    firsts = []
    for calm_s in (0.0, 119.0, 0.0, 120.0):
        firsts.append((await house.pauses(1))[0])
        house.inner.told = OK
        house.clock.at_s += 1_000.0
        while house.breaking.is_open:
            await house.ask()
        house.clock.at_s += calm_s
        await house.open()

    firsts.append((await house.pauses(1))[0])

    assert firsts == [5.0, 10.0, 20.0, 40.0, 5.0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("half_s", [15.0, 30.0, 60.0])
async def test_U26_a_platform_on_and_off_for_half_an_hour_turns_it_seldom(half_s: float, seed: int) -> None:
    house = House(seed=seed)
    clock = house.clock
    house.inner.told = lambda: OK if (clock.at_s - 1_000.0) // half_s % 2 == 0 else DOWN

    outcomes = await house.pass_time(HALF_AN_HOUR_S, every_s=0.25)

    switched = HALF_AN_HOUR_S / half_s
    assert 2 <= len(house.watcher.turns) <= min(27, 0.8 * switched)
    assert house.watcher.turns == [turn % 2 == 0 for turn in range(len(house.watcher.turns))]
    assert outcomes.count(OUTCOME_UNREACHABLE) <= 0.07 * len(outcomes)


@pytest.mark.parametrize("seed", range(5))
async def test_a_platform_that_fails_every_other_call_is_left_in(seed: int) -> None:
    house = House(seed=seed)
    chance = random.Random(seed)
    house.inner.told = lambda: OK if chance.random() < 0.5 else DOWN

    outcomes = await house.pass_time(HALF_AN_HOUR_S, every_s=0.25)

    assert len(house.watcher.turns) <= 2  # once, while few calls are known
    assert outcomes.count(OUTCOME_OK) >= 0.4 * len(outcomes)


async def test_half_an_hour_of_outage_is_one_turn_and_a_few_probes_and_ends_within_the_longest_pause() -> None:
    house = House(seed=1)

    await house.pass_time(HALF_AN_HOUR_S)
    asked = house.inner.asked
    house.inner.told = OK
    outcomes = await house.pass_time(72.0)

    assert 5 + HALF_AN_HOUR_S / 72 <= asked <= 5 + 5 + HALF_AN_HOUR_S / 48
    assert house.watcher.turns == [True, False]
    assert outcomes[-1] == OUTCOME_OK


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
