"""Consents kept at hand: how soon a change is known here, and what is never kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from gateway.adapters.state.consent_cache import CachedConsents
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange
from gateway.domain.errors import ConsentChangedError, StoreRewoundError, StoreUnavailableError
from tests.adapters.memory_consents import MemoryConsents
from tests.adapters.simulated import NOON, LoopClock, simulated
from tests.application.consenting import BANK, consent


@dataclass
class Rig:
    """Two processes before one store."""

    store: MemoryConsents
    here: CachedConsents
    there: CachedConsents

    async def seen_here(self) -> Consent:
        found = await self.here.get(BANK, "c-1")
        assert found is not None
        return found


@asynccontextmanager
async def rig(*consents: Consent, most: int = 100) -> AsyncIterator[Rig]:
    store, clock = MemoryConsents(), LoopClock()
    built = Rig(store, CachedConsents(store, clock, most=most), CachedConsents(store, clock))
    for each in consents or (consent(),):
        await store.register(each)
    await built.here.start()
    await built.there.start()
    try:
        yield built
    finally:
        await built.here.aclose()
        await built.there.aclose()


def test_what_is_kept_is_not_read_again() -> None:
    async def story() -> int:
        async with rig() as built:
            for _ in range(5):
                await built.seen_here()
            return built.store.reads

    assert simulated(story()) == 1


def test_at_hand_is_what_was_looked_up_until_it_changes_or_may_be_trusted_no_longer() -> None:
    async def story() -> list[bool]:
        async with rig() as built:
            found = [built.here.at_hand(BANK, "c-1") is not None]
            await built.seen_here()
            found.append(built.here.at_hand(BANK, "c-1") is not None)
            await built.here.change(BANK, "c-1", 1, ConsentState.PAUSED, NOON)
            found.append(built.here.at_hand(BANK, "c-1") is not None)
            await built.seen_here()
            built.store.is_down = True
            await asyncio.sleep(1.0)
            return [*found, built.here.at_hand(BANK, "c-1") is not None]

    assert simulated(story()) == [False, True, False, False]


def test_a_change_of_ones_own_is_seen_at_once() -> None:
    async def story() -> ConsentState:
        async with rig() as built:
            await built.seen_here()
            await built.here.change(BANK, "c-1", 1, ConsentState.REVOKED, NOON)
            return (await built.seen_here()).state

    assert simulated(story()) is ConsentState.REVOKED


def test_another_processs_change_is_seen_well_under_a_second_later() -> None:
    async def story() -> tuple[float, list[tuple[str, str, ConsentState]]]:
        told: list[tuple[str, str, ConsentState]] = []
        async with rig() as built:
            built.here.tell(lambda *change: told.append(change))
            await built.seen_here()
            began = asyncio.get_running_loop().time()
            await built.there.change(BANK, "c-1", 1, ConsentState.REVOKED, NOON)
            while (await built.seen_here()).state is ConsentState.ACTIVE:
                await asyncio.sleep(0.01)
            return asyncio.get_running_loop().time() - began, told

    took_s, told = simulated(story())

    assert 0 < took_s < 0.5
    assert told == [(BANK, "c-1", ConsentState.REVOKED)]


def test_more_changes_than_one_page_holds_are_all_seen() -> None:
    async def story() -> ConsentState:
        async with rig() as built:
            await built.seen_here()
            for number in range(1_200):
                await built.store.register(consent(f"x-{number}"))
            await built.store.change(BANK, "c-1", 1, ConsentState.PAUSED, NOON)
            await built.here.catch_up()
            return (await built.seen_here()).state

    assert simulated(story()) is ConsentState.PAUSED


def test_while_the_store_is_out_of_reach_nothing_kept_is_trusted_for_a_second() -> None:
    async def story() -> tuple[list[str], list[str]]:
        seen = []
        with capture_logs() as logs:
            async with rig() as built:
                await built.seen_here()
                built.store.is_down = True
                await asyncio.sleep(0.5)
                seen.append((await built.seen_here()).state.value)
                await asyncio.sleep(0.5)
                with pytest.raises(StoreUnavailableError):
                    await built.seen_here()
                built.store.is_down = False
                await asyncio.sleep(0.5)
                seen.append((await built.seen_here()).state.value)
        return seen, [entry["event"] for entry in logs]

    seen, logged = simulated(story())

    assert seen == ["ACTIVE", "ACTIVE"]
    assert logged == ["consents.unreachable"] * 2 + ["consents.reachable"] * 2


def test_after_a_stall_one_look_at_the_log_serves_all_who_wait() -> None:
    async def story() -> tuple[int, int, list[str]]:
        async with rig(consent("c-1"), consent("c-2")) as built:
            ids = ["c-1", "c-2"] * 8
            for consent_id in ids:
                await built.here.get(BANK, consent_id)
            await built.here._following.aclose()  # as when the process was too busy to look
            await asyncio.sleep(0.95)  # between two looks of the other's
            await built.there.change(BANK, "c-2", 1, ConsentState.REVOKED, NOON)
            reads, looks = built.store.reads, built.store.looks
            found = await asyncio.gather(*[built.here.get(BANK, consent_id) for consent_id in ids])
            states = sorted({f"{each.consent_id} {each.state.value}" for each in found if each is not None})
            return built.store.reads - reads, built.store.looks - looks, states

    reads, looks, states = simulated(story())

    assert states == ["c-1 ACTIVE", "c-2 REVOKED"]
    assert (looks, reads) == (1, 8)  # of c-2 alone, which the look forgot


def test_a_consent_with_a_limit_of_uses_is_never_kept() -> None:
    async def story() -> list[int]:
        async with rig(consent(max_uses=2)) as built:
            uses = [(await built.seen_here()).uses]
            await built.there.use(BANK, "c-1", 1, NOON)
            return [*uses, (await built.seen_here()).uses]

    assert simulated(story()) == [0, 1]


def test_what_was_read_before_a_change_and_came_after_it_is_not_kept() -> None:
    class Slow(MemoryConsents):
        async def get(self, bank: str, consent_id: str) -> Consent | None:
            found = await super().get(bank, consent_id)
            await asyncio.sleep(0.4)
            return found

    async def story() -> ConsentState:
        store = Slow()
        await store.register(consent())
        here = CachedConsents(store, LoopClock())
        await here.start()
        reading = asyncio.create_task(here.get(BANK, "c-1"))
        await asyncio.sleep(0.1)
        await store.change(BANK, "c-1", 1, ConsentState.REVOKED, NOON)
        await reading
        found = await here.get(BANK, "c-1")
        await here.aclose()
        assert found is not None
        return found.state

    assert simulated(story()) is ConsentState.REVOKED


def test_a_change_that_fails_is_told_nobody_and_what_was_kept_is_read_anew() -> None:
    async def story() -> tuple[int, int]:
        told: list[object] = []
        async with rig() as built:
            built.here.tell(lambda *change: told.append(change))
            await built.seen_here()
            with pytest.raises(ConsentChangedError):
                await built.here.change(BANK, "c-1", 7, ConsentState.REVOKED, NOON)
            await built.seen_here()
            return len(told), built.store.reads

    assert simulated(story()) == (0, 2)


def test_no_more_is_kept_than_there_is_room_for() -> None:
    async def story() -> list[int]:
        reads = []
        async with rig(*(consent(f"c-{n}") for n in range(3)), most=2) as built:
            for consent_id in ("c-0", "c-1", "c-2", "c-2", "c-1", "c-0"):
                await built.here.get(BANK, consent_id)
                reads.append(built.store.reads)
        return reads

    assert simulated(story()) == [1, 2, 3, 3, 3, 4]


def test_one_bank_is_never_given_what_was_kept_for_another() -> None:
    async def story() -> Consent | None:
        async with rig() as built:
            await built.seen_here()
            return await built.here.get("bank-b", "c-1")

    assert simulated(story()) is None


class Rewound(MemoryConsents):
    """A store that was rewound, and answers what it is asked then only when it is let."""

    is_rewound = False

    def __init__(self) -> None:
        super().__init__()
        self.is_read, self.is_marked = asyncio.Event(), asyncio.Event()

    async def versions_since(self, mark: int, *, limit: int = 1_000) -> list[ConsentChange]:
        if self.is_rewound:
            self.is_rewound = False
            raise StoreRewoundError("the store was rewound")
        return await super().versions_since(mark, limit=limit)

    async def newest_mark(self) -> int:
        await self.is_marked.wait()
        return await super().newest_mark()

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        found = await super().get(bank, consent_id)
        await self.is_read.wait()
        return found


def test_what_was_read_before_a_change_is_not_kept_when_the_change_is_before_the_mark_after_a_rewind() -> None:
    async def story() -> ConsentState:
        store = Rewound()
        store.is_marked.set()
        await store.register(consent())
        here = CachedConsents(store, LoopClock())
        await here.catch_up()
        store.is_rewound = True
        store.is_marked.clear()
        looking = asyncio.create_task(here.catch_up())
        await asyncio.sleep(0.01)
        reading = asyncio.create_task(here.get(BANK, "c-1"))
        await asyncio.sleep(0.01)
        await store.change(BANK, "c-1", 1, ConsentState.REVOKED, NOON)
        store.is_marked.set()
        await looking
        store.is_read.set()
        await reading
        await here.catch_up()
        found = await here.get(BANK, "c-1")
        assert found is not None
        return found.state

    assert simulated(story()) is ConsentState.REVOKED


def test_a_revocation_is_seen_after_a_look_that_failed_as_nobody_thought_and_nothing_kept_is_trusted_meanwhile() -> (
    None
):
    async def story() -> tuple[list[str], list[ConsentState], list[str]]:
        told: list[ConsentState] = []
        with capture_logs() as logs:
            async with rig() as built:
                built.here.tell(lambda bank, consent_id, state: told.append(state))
                await built.seen_here()
                versions_since = built.store.versions_since

                async def broken(*_: object, **__: object) -> None:
                    raise AttributeError("a fault of a driver")

                vars(built.store)["versions_since"] = broken
                await asyncio.sleep(0.45)  # one look: what was kept is younger than it would else be trusted for
                at_hand = built.here.at_hand(BANK, "c-1")
                await built.store.change(BANK, "c-1", 1, ConsentState.REVOKED, NOON)
                meanwhile = (await built.seen_here()).state
                told_meanwhile = list(told)
                vars(built.store)["versions_since"] = versions_since
                await asyncio.sleep(1)
        seen = ["nothing" if at_hand is None else "kept", meanwhile.value, *[state.value for state in told_meanwhile]]
        return seen, told, [line["event"] for line in logs if line["loop"] == "consents.follow"]

    seen, told, logged = simulated(story())

    assert seen == ["nothing", "REVOKED"]
    assert told == [ConsentState.REVOKED]
    assert logged == ["loop.failed"] * 2 + ["loop.back"] * 2
