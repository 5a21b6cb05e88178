"""Callers who leave before they are answered: whenever they do, the trail says so."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.consent import Consent
from tests.adapters.memory_consents import MemoryConsents
from tests.application.consenting import ASKED, BANK, TAX, consent, house, in_simulated_time


class Silent(MemoryConsents):
    """A store that falls silent when it is read for the so-many-th time."""

    def __init__(self, last_read: int) -> None:
        super().__init__()
        self.last_read = last_read
        self.fell_silent = asyncio.Event()

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        if self.reads >= self.last_read:
            self.fell_silent.set()
            await asyncio.Event().wait()
        return await super().get(bank, consent_id)


@pytest.mark.parametrize(("last_read", "answers"), [(0, 0), (1, len(ASKED))], ids=["permitted", "rechecked"])
@pytest.mark.parametrize("way", ["unary", "stream"])
@in_simulated_time
async def test_C4_a_caller_who_leaves_while_consents_are_looked_up_is_written(
    way: str, last_read: int, answers: int
) -> None:
    store = Silent(last_read)
    async with house(consent(max_uses=5), store=store) as built:
        asking = asyncio.create_task(built.ask(TAX) if way == "unary" else built.stream(TAX))
        await store.fell_silent.wait()

        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert [event for event, _ in built.trail.told] == ["cancelled"]
        assert len(built.trail.entries[0].platforms) == answers
        assert built.trail.entries[0].bank == BANK
        assert built.queries.under_way == 0


@in_simulated_time
async def test_C4_a_caller_who_leaves_while_the_entry_is_made_durable_is_written() -> None:
    async with house(consent()) as built:
        is_written = asyncio.Event()

        async def hang() -> None:
            is_written.set()
            await asyncio.Event().wait()

        built.trail.meanwhile["answered"] = hang
        asking = asyncio.create_task(built.ask(TAX))
        await is_written.wait()

        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert [event for event, _ in built.trail.told] == ["answered", "cancelled"]
