"""The breaker while it is open (U26): one probe at a time, pauses that grow, and no flapping."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_UNREACHABLE,
)
from tests.adapters.breaking import DOWN, OK, House, Told

HALF_AN_HOUR_S = 1_800


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
