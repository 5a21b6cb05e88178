"""Every fault of the catalogue that a platform can commit, against every connector, over real sockets."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest

from connectors.kit.conformance import CASES, Case, check

PLATFORMS = ("shanghai", "jiangsu", "zhejiang", "anhui")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}_{case.title.replace(' ', '_')}")
@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_faulty_platform_gives_its_own_outcome_and_never_no_records(platform: str, case: Case) -> None:
    plugin = import_module(f"connectors.{platform}").plugin
    sandbox = import_module(f"connectors.{platform}.sandbox").sandbox
    before = asyncio.all_tasks()

    await check(plugin, sandbox, case)

    for _ in range(20):  # what the sandbox's server still has to tidy up, not the connector
        if asyncio.all_tasks() <= before:
            break
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() <= before
