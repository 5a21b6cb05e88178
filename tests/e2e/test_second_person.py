"""What the second person of a list's change is shown before it is confirmed, over certificates as operators have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.joint_lists import lists
from tests.domain.joint_entries import DEMO
from tests.e2e.certified import House, open_house
from tests.e2e.test_keeping_commands import PUBLISH


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def told(house: House, profile: str, *arguments: str, language: str = "C.UTF-8") -> str:
    env = {"XINYIDAI_CERTS": str(house.authority.folder), "XINYIDAI_PROFILE": profile, "LC_ALL": language}
    whole = [*arguments, "--address", f"127.0.0.1:{house.rig.port}"]
    done = await asyncio.to_thread(CliRunner().invoke, lists, whole, env=env)
    assert done.exit_code == 0, done.output
    return done.output


async def test_a_second_person_sees_what_waits_and_why_and_a_bank_nothing_of_it(house: House) -> None:
    entry = (await told(house, "ops", *PUBLISH, "--operator", "first")).split()[0]
    proposed = await told(house, "ops", "search")
    await told(house, "ops", "confirm", entry, "--operator", "second")
    amend = ("amend", entry, DEMO, "--reason", "超标排放废水", "--due-off", "2030-01-01", "--because", "录错")
    await told(house, "ops", *amend, "--operator", "first")

    shown = await told(house, "ops", "show", DEMO, language="zh_CN.UTF-8")
    found = await told(house, "ops", "search")
    bank = await told(house, "bank-b", "show", DEMO)

    confirm = f"xinyidai lists confirm {entry} --operator …\n"
    assert f"publication waits for somebody else than first: {confirm}" in proposed
    assert f"\n{entry}  " in shown
    assert f"变更 待 first 以外的人复核： {confirm}  理由：录错\n" in shown
    assert "  reason: 超标排放 → 超标排放废水\n" in shown
    assert f"amendment waits for somebody else than first: {confirm}  because: 录错\n" in found
    assert "→ 2030-01-01\n" in found
    assert [word for word in (entry, "first", "录错", "废水") if word in bank] == []
