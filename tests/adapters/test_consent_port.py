"""The store's own suite, on what stands before a store and on the store that tests use: one port, one suite."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.adapters.state.consent_cache import CachedConsents
from gateway.store_ports import ConsentStore
from tests.adapters.memory_consents import MemoryConsents
from tests.adapters.simulated import LoopClock
from tests.adapters.stores import test_consent_store as suite

Story = Callable[[Any], Awaitable[None]]
STORIES: dict[str, Story] = {
    name.removeprefix("test_"): story
    for name, story in vars(suite).items()
    if name.startswith("test_") and list(inspect.signature(story).parameters) == ["store"]
}


async def memory() -> ConsentStore:
    return MemoryConsents()


async def cached() -> ConsentStore:
    consents = CachedConsents(MemoryConsents(), LoopClock(), trusted_s=3_600)
    await consents.catch_up()
    return consents


@pytest.mark.parametrize("make", [memory, cached])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_the_stores_suite_holds(story: Story, make: Callable[[], Awaitable[ConsentStore]]) -> None:
    await story(await make())


def test_there_is_a_suite() -> None:
    assert len(STORIES) > 8
