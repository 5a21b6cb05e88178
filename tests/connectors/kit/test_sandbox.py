"""A sandbox of a fifth platform: the common world, of which it is no part, through the eyes of one of the four."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.kit.conformance import CASES, USCC, check
from connectors.kit.enterprises import make_world
from connectors.kit.sandbox import SandboxOf
from connectors.shanghai import plugin
from connectors.shanghai.sandbox import CREDENTIALS, SimulatedShanghai

COUNT, SEED = 30, 1


class SimulatedJiangxi(SimulatedShanghai):
    """A fifth platform, in the dialect of Shanghai."""

    platform = "jiangxi"
    holds_facts_of = "anhui"


class SimulatedNowhere(SimulatedJiangxi):
    """A fifth platform that names no platform of the world."""

    holds_facts_of = "beijing"


def test_a_fifth_platform_holds_what_the_named_one_holds() -> None:
    world = SimulatedJiangxi(make_world(COUNT, SEED)).world

    kinds = {fact.kind for enterprise in world.enterprises.values() for fact in enterprise.facts}
    for uscc, enterprise in world.enterprises.items():
        assert world.find("jiangxi", uscc) is world.find("anhui", uscc)
        assert all(enterprise.at("jiangxi", kind) == enterprise.at("anhui", kind) for kind in kinds)


def test_what_is_repaired_at_a_fifth_platform_is_not_repaired_at_the_named_one() -> None:
    enterprise = SimulatedJiangxi(make_world(COUNT, SEED)).world.enterprises[USCC]
    before = enterprise.at("anhui", "penalty")

    repaired = enterprise.repair("jiangxi", "penalty", date(2026, 10, 1))

    assert repaired == len(before) > 0
    assert enterprise.at("anhui", "penalty") == before


async def test_a_fifth_sandbox_that_asks_by_its_own_name_passes_the_control_run() -> None:
    await check(plugin, SandboxOf(SimulatedJiangxi, CREDENTIALS), CASES[0])


def test_a_name_that_the_world_does_not_know_is_a_fault() -> None:
    with pytest.raises(ValueError, match="holds_facts_of: 'beijing'; use one of shanghai, jiangsu, zhejiang, anhui"):
        SimulatedNowhere(make_world(COUNT, SEED))
