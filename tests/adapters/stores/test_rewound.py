"""A failover to a replica that lacks the last commits: whoever follows the store's logs hears of what took their marks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.adapters.state.consent_cache import CachedConsents
from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.joint_list_store import SqlJointListStore
from gateway.adapters.stores.repair_store import SqlRepairStore
from gateway.application.list_watch import ListWatch
from gateway.application.repair_memory import Forgets, RepairMemory, RepairStores
from gateway.domain.consent import ConsentState
from gateway.domain.joint_lists import EntryEvent, EntryState
from gateway.domain.keeping import RepairTombstone
from gateway.domain.record_repair import confirm
from gateway.domain.resume_token import ResumeTokens
from tests.adapters.simulated import MovedClock
from tests.adapters.stores.consents import NOON, consent
from tests.adapters.stores.test_repair_store import a_repair
from tests.databases import right
from tests.domain.joint_entries import DEMO, OTHER, TODAY, joint_entry


class Primary:
    """A server's database with a replica that stays as it was when it was made, until it takes the primary's place."""

    def __init__(self, database: Database, server: asyncpg.Connection) -> None:
        self.database = database
        self._server = server

    async def replicate(self) -> None:
        """Makes the replica, as the primary stands now."""
        name = self.database.url.database
        await self._server.fetch(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1", name
        )
        await self._server.execute(f'CREATE DATABASE "{name}_r" TEMPLATE "{name}" STRATEGY FILE_COPY')

    async def fail(self) -> None:
        """Puts the replica in the primary's place; connections end."""
        name = self.database.url.database
        await self._server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await self._server.execute(f'ALTER DATABASE "{name}_r" RENAME TO "{name}"')


@pytest.fixture
async def primary(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Primary]:
    socket = request.getfixturevalue("postgres_socket")
    async with right("postgresql", request, tmp_path) as database:
        server = await asyncpg.connect(host=socket, user="postgres", database="postgres")
        yield Primary(database, server)
        await server.close()


@pytest.mark.parametrize("later", [0, 1, 2, 5])
async def test_A6_a_consent_revoked_after_a_failover_that_lost_changes_is_honoured_by_nobody(
    primary: Primary, later: int
) -> None:
    there = SqlConsentStore(primary.database)
    clock = MovedClock()
    kept = await there.register(consent(1))
    await primary.replicate()
    other = Database(primary.database.url)
    here = CachedConsents(SqlConsentStore(other), clock)
    await here.catch_up()
    await here.get("bank-a", kept.consent_id)
    await there.register(consent(2))
    await there.register(consent(3))
    await here.catch_up()
    was = here.at_hand("bank-a", kept.consent_id)

    await primary.fail()
    with capture_logs() as logs:
        await there.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON)
        for number in range(later):
            await there.register(consent(10 + number))
        await here.catch_up()
        found = await here.get("bank-a", kept.consent_id)
        await here.catch_up()
    await other.aclose()

    assert (was, found and found.state) == (kept, ConsentState.REVOKED)
    assert [line["event"] for line in logs] == ["store.rewound"]


async def test_repairs_and_entries_that_took_the_marks_of_lost_ones_are_heard_of(primary: Primary) -> None:
    repairs, lists = SqlRepairStore(primary.database), SqlJointListStore(primary.database)
    forgotten: list[RepairTombstone] = []

    async def repaired(stones: Any) -> None:
        forgotten.extend(stones)

    async def given(store: Any) -> Any:
        return store

    clock = MovedClock(NOON)
    stores = RepairStores(lambda: given(repairs), lambda: given(lists), lambda: True)
    memory = RepairMemory(stores, Forgets(repaired, lambda uscc: None), clock)
    watch = ListWatch(lambda: given(SqlJointListStore(primary.database)), clock, ResumeTokens(b"k" * 32))
    first = await repairs.put(a_repair(1, uscc=OTHER))
    await lists.put([joint_entry(1)])
    await primary.replicate()
    await repairs.put(confirm(first, "second", NOON))
    await lists.put([joint_entry(5), joint_entry(6, uscc=OTHER), joint_entry(7)])
    with capture_logs() as calm:
        await memory.look()
        await repairs.put(a_repair(3))
        await memory.look()
        await watch.index()

    await primary.fail()
    proposed = await repairs.put(a_repair(2))
    await repairs.put(confirm(proposed, "second", NOON))
    gone = {"version": 2, "state": EntryState.REPAIRED, "event": EntryEvent.REPAIRED, "ended_on": TODAY}
    await lists.put([joint_entry(1, **gone)])
    clock.at_s += 10
    with capture_logs() as logs:
        await memory.look()
        await memory.look()
        index = await watch.index()

    assert calm == []
    assert {line["log"] for line in logs} == {"record_repairs", "joint_list_entries"}
    assert memory.knows("r-2", DEMO)
    assert forgotten[-1].uscc == DEMO
    assert index.mark == await lists.newest_mark()
