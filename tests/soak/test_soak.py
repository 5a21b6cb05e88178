"""A minute of random faults under load, and then all must be well again; see the package for what is set by environment."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.soak.calls import Calls
from tests.soak.calming import check_whole_again, look_while_calm
from tests.soak.dealer import Dealer
from tests.soak.ending import (
    check_footprint,
    check_quiet,
    check_ready,
    check_said,
    check_sound,
    check_stop,
    check_trail,
    lag_of,
)
from tests.soak.house import House, gateway_up, platforms_up
from tests.soak.load import Load
from tests.soak.machine import Machine, watched
from tests.soak.record import Record

FAULTS_S: Final = float(os.environ.get("XINYIDAI_SOAK_S", "60"))
CALM_S: Final = float(os.environ.get("XINYIDAI_SOAK_CALM_S", "20"))
PER_S: Final = 10.0
_CALM_PER_S: Final = 4.0
_WARM_S: Final = 5.0
_TIMEOUT_S: Final = FAULTS_S + CALM_S + 240

pytestmark = [pytest.mark.long, pytest.mark.timeout(_TIMEOUT_S)]


def seed() -> int:
    """Gives the seed of the environment, else a new one; printed, so that a run can be made again."""
    drawn = int(os.environ.get("XINYIDAI_SOAK_SEED") or secrets.randbelow(10**6))
    print(f"XINYIDAI_SOAK_SEED={drawn}")
    return drawn


async def test_one_process_with_everything_on_holds_through_random_faults(tmp_path: Path) -> None:
    await soaked(tmp_path, workers=1)


async def test_two_workers_hold_through_random_faults(tmp_path: Path) -> None:
    await soaked(tmp_path, workers=2)


async def soaked(folder: Path, *, workers: int) -> None:
    """Runs it all in one setting, and fails with every breach that was seen."""
    record = Record(seed())
    random = Random(record.seed)
    async with platforms_up(folder) as platforms:
        async with gateway_up(folder, platforms, workers=workers) as house:
            dealer = Dealer(platforms.controls, Random(random.random()))
            record.on = dealer.on
            async with watched(folder, house.pids) as machine:
                await _soak(house, dealer, record, machine, random)
            await check_stop(house.child, "the gateway", record)
        await check_stop(platforms.child, "the platforms", record)
    check_said(house.child.said(), "the gateway", record)
    check_said(platforms.child.said(), "a platform", record)
    check_trail(house, record)
    await check_sound(house, record)
    print(f"faults dealt: {sum(dealer.dealt.values())} of {len(dealer.dealt)} kinds; calls:")
    print(record.counts())
    if record.breaches:
        pytest.fail(record.summary(), pytrace=False)


async def _soak(house: House, dealer: Dealer, record: Record, machine: Machine, random: Random) -> None:
    calls = Calls(house, record, machine, Random(random.random()))
    await look_while_calm(calls)
    load = Load(calls, Random(random.random()))
    await load.drive(PER_S, time.monotonic() + _WARM_S)
    warm = house.footprint()
    async with asyncio.TaskGroup() as group:
        group.create_task(dealer.deal(FAULTS_S))
        group.create_task(load.drive(PER_S, time.monotonic() + FAULTS_S))
        group.create_task(hang_up(house, Random(random.random()), time.monotonic() + FAULTS_S))
    await load.drive(_CALM_PER_S, time.monotonic() + CALM_S)
    await check_whole_again(calls)
    await check_quiet(house, record)
    await check_ready(house, record)
    now = await check_footprint(house, warm, record)
    print(f"the gateway's loop was late: {await lag_of(house)}; {machine}")
    print(f"warm {warm}, after all {now}")


async def hang_up(house: House, random: Random, until: float) -> None:
    """Has the gateway read policies and banks anew now and then, as an operator does under load."""
    while time.monotonic() < until:
        await asyncio.sleep(min(random.uniform(2.0, 12.0), max(0.0, until - time.monotonic())))
        house.child.process.send_signal(signal.SIGHUP)
