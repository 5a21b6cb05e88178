"""One suite for every store of consents."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import event, insert

from gateway.adapters.stores.consent_seal import Seal
from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import ConsentRow
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentEvent
from gateway.domain.errors import (
    ConsentChangedError,
    ConsentNotFoundError,
    RequestIdReusedError,
    StoreUnavailableError,
)
from gateway.store_ports import ConsentStore
from tests.adapters.stores.consents import DEMO, NOON, OTHER, consent
from tests.conftest import PROFILE

RACES = 1_000


async def test_what_is_registered_is_given_back_whole(store: ConsentStore) -> None:
    kept = consent(
        person_ref="person-9",
        platforms=("anhui", "shanghai"),
        max_uses=3,
        valid_from=NOON.astimezone(timezone(timedelta(hours=8))),
    )

    await store.register(kept)

    assert await store.get(kept.bank, kept.consent_id) == kept


async def test_a_bank_never_reaches_another_banks_consent(store: ConsentStore) -> None:
    kept = await store.register(consent())

    assert await store.get("bank-b", kept.consent_id) is None
    assert await store.list("bank-b", DEMO, after="", limit=10) == []
    assert await store.history("bank-b", kept.consent_id, limit=10) == []
    assert await store.use("bank-b", kept.consent_id, 1, NOON) is None
    with pytest.raises(ConsentNotFoundError):
        await store.change("bank-b", kept.consent_id, 1, ConsentState.REVOKED, NOON, "stolen id")
    assert await store.get(kept.bank, kept.consent_id) == kept


async def test_two_banks_may_hold_consents_of_one_id(store: ConsentStore) -> None:
    mine, theirs = consent(), consent(bank="bank-b", uscc=OTHER)

    await store.register(mine)
    await store.register(theirs)

    assert await store.get("bank-a", mine.consent_id) == mine
    assert await store.get("bank-b", mine.consent_id) == theirs


async def test_consents_are_listed_by_id_and_page_by_page(store: ConsentStore) -> None:
    kept = [await store.register(consent(number, uscc=(DEMO, OTHER)[number % 2])) for number in (4, 1, 3, 2)]
    by_id = sorted(kept, key=lambda one: one.consent_id)

    first = await store.list("bank-a", "", after="", limit=3)
    rest = await store.list("bank-a", "", after=first[-1].consent_id, limit=3)
    about = await store.list("bank-a", DEMO, after="", limit=10)

    assert [*first, *rest] == by_id
    assert about == [one for one in by_id if one.uscc == DEMO]


async def test_one_request_registers_once_and_another_body_is_refused(store: ConsentStore) -> None:
    first = await store.register(consent(1), request_id="r-1", request_digest=b"same")

    again = await store.register(consent(2), request_id="r-1", request_digest=b"same")
    other_bank = await store.register(consent(3, bank="bank-b"), request_id="r-1", request_digest=b"other")
    with pytest.raises(RequestIdReusedError):
        await store.register(consent(4), request_id="r-1", request_digest=b"other")

    assert again == first
    assert other_bank.bank == "bank-b"
    assert await store.list("bank-a", "", after="", limit=10) == [first]


async def test_one_request_sent_many_times_at_once_registers_once(store: ConsentStore) -> None:
    given = await asyncio.gather(
        *(store.register(consent(number), request_id="r-1", request_digest=b"same") for number in range(20))
    )

    assert len({one.consent_id for one in given}) == 1
    assert len(await store.list("bank-a", "", after="", limit=100)) == 1
    assert len(await store.versions_since(0)) == 1


async def test_a_decision_makes_the_next_version_and_keeps_the_rest(store: ConsentStore) -> None:
    kept = await store.register(consent())

    paused = await store.change("bank-a", kept.consent_id, 1, ConsentState.PAUSED, NOON)
    revoked = await store.change("bank-a", kept.consent_id, 2, ConsentState.REVOKED, NOON, "withdrawn")

    assert paused == replace(kept, state=ConsentState.PAUSED, version=2, changed_at=NOON)
    assert revoked == replace(paused, state=ConsentState.REVOKED, version=3, revocation_reason="withdrawn")
    assert await store.get("bank-a", kept.consent_id) == revoked


async def test_a_decision_on_an_older_version_changes_nothing(store: ConsentStore) -> None:
    kept = await store.register(consent())
    paused = await store.change("bank-a", kept.consent_id, 1, ConsentState.PAUSED, NOON)

    with pytest.raises(ConsentChangedError):
        await store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON, "late")
    with pytest.raises(ConsentNotFoundError):
        await store.change("bank-a", consent(99).consent_id, 1, ConsentState.REVOKED, NOON)

    assert await store.get("bank-a", kept.consent_id) == paused


async def test_of_many_decisions_at_once_on_one_version_one_is_made(store: ConsentStore) -> None:
    kept = await store.register(consent())

    made = await asyncio.gather(
        *(store.change("bank-a", kept.consent_id, 1, ConsentState.REVOKED, NOON, str(number)) for number in range(10)),
        return_exceptions=True,
    )

    assert Counter(type(one) for one in made) == {Consent: 1, ConsentChangedError: 9}


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"state": ConsentState.PAUSED}, NOON),
        ({"state": ConsentState.REVOKED}, NOON),
        ({"max_uses": 2, "uses": 2}, NOON),
        ({}, consent().valid_to),
        ({}, consent().valid_from - timedelta(microseconds=1)),
    ],
    ids=["paused", "revoked", "spent", "expired", "not yet valid"],
)
async def test_what_may_not_be_used_is_not(store: ConsentStore, more: dict[str, Any], at: Any) -> None:
    kept = await store.register(consent(**more))

    assert await store.use("bank-a", kept.consent_id, 1, at) is None
    assert await store.get("bank-a", kept.consent_id) == kept


async def test_uses_are_counted_to_the_last_and_each_is_a_version(store: ConsentStore) -> None:
    kept = await store.register(consent(max_uses=2))

    once = await store.use("bank-a", kept.consent_id, 1, NOON)
    stale = await store.use("bank-a", kept.consent_id, 1, NOON)
    twice = await store.use("bank-a", kept.consent_id, 2, NOON)
    spent = await store.use("bank-a", kept.consent_id, 3, NOON)

    assert (once, stale, spent) == (replace(kept, uses=1, version=2, changed_at=NOON), None, None)
    assert twice is not None
    assert (twice.uses, twice.version, twice.state_at(NOON)) == (2, 3, ConsentState.EXHAUSTED)


async def test_A9_of_many_races_for_a_one_time_consent_each_has_exactly_one_winner(database: Database) -> None:
    others = Database(database.url, busy_s=300)  # as another process has it
    stores = (SqlConsentStore(database), SqlConsentStore(others))
    races = RACES if database.is_sqlite or PROFILE == "long" else RACES // 5
    contested = [consent(number, max_uses=1) for number in range(races)]
    async with database.writing() as connection:
        await connection.execute(insert(ConsentRow), [{**_values(one)} for one in contested])

    async def race(number: int, one: Consent) -> int:
        # Every tenth is between two processes, who wait for an SQLite file's lock by sleeping.
        first, second = stores[0], stores[number % 10 == 0]
        tries = [store.use(one.bank, one.consent_id, 1, NOON) for store in (first, second)]
        return sum(used is not None for used in await asyncio.gather(*tries))

    try:
        wins = await asyncio.gather(*(race(number, one) for number, one in enumerate(contested)))
    finally:
        await others.aclose()

    assert wins == [1] * races
    assert len(await stores[0].versions_since(0, limit=2 * races)) == races


async def test_A9_of_many_at_once_for_one_use_one_gets_it(store: ConsentStore) -> None:
    kept = await store.register(consent(max_uses=1))

    at_once = RACES if PROFILE == "long" else RACES // 4
    tries = [store.use("bank-a", kept.consent_id, 1, NOON) for _ in range(at_once)]

    assert sum(used is not None for used in await asyncio.gather(*tries)) == 1


async def test_even_a_program_that_forgets_the_rule_cannot_use_a_consent_too_often(database: Database) -> None:
    spent = consent(max_uses=1, uses=2)

    with pytest.raises(StoreUnavailableError):
        await SqlConsentStore(database).register(spent)


async def test_the_log_tells_every_change_in_order_and_to_whoever_asks_what_to_forget(store: ConsentStore) -> None:
    assert await store.newest_mark() == 0
    kept = await store.register(consent(1, max_uses=5))
    before = await store.newest_mark()
    await store.register(consent(2, bank="bank-b"))
    await store.use("bank-a", kept.consent_id, 1, NOON)
    await store.change("bank-a", kept.consent_id, 2, ConsentState.PAUSED, NOON)
    await store.change("bank-a", kept.consent_id, 3, ConsentState.ACTIVE, NOON)
    await store.change("bank-a", kept.consent_id, 4, ConsentState.REVOKED, NOON)

    since = await store.versions_since(before)
    history = await store.history("bank-a", kept.consent_id, limit=10)

    assert [(change.bank, change.version, change.event) for change in since] == [
        ("bank-b", 1, ConsentEvent.REGISTERED),
        ("bank-a", 2, ConsentEvent.USED),
        ("bank-a", 3, ConsentEvent.PAUSED),
        ("bank-a", 4, ConsentEvent.RESUMED),
        ("bank-a", 5, ConsentEvent.REVOKED),
    ]
    assert [change.mark for change in since] == sorted({change.mark for change in since})
    assert since[-1].mark == await store.newest_mark()
    assert [change.version for change in history] == [1, 2, 3, 4, 5]
    assert [change.version for change in await store.history("bank-a", kept.consent_id, limit=2)] == [4, 5]
    assert await store.versions_since(since[-1].mark) == []
    assert await store.versions_since(before, limit=2) == since[:2]


async def test_whoever_follows_the_log_while_many_write_misses_no_change(database: Database) -> None:
    store, other = SqlConsentStore(database), Database(database.url, busy_s=300)
    written = 120
    seen: list[int] = []

    async def follow() -> None:
        mark = 0
        while len(seen) < written:
            for change in await store.versions_since(mark):
                mark = change.mark
                seen.append(change.mark)

    try:
        async with asyncio.timeout(300), asyncio.TaskGroup() as group:
            group.create_task(follow())
            for number in range(written):
                group.create_task(SqlConsentStore((database, other)[number % 2]).register(consent(number)))
    finally:
        await other.aclose()

    assert seen == sorted(set(seen))
    assert len(seen) == written


async def test_every_statement_names_the_bank(database: Database) -> None:
    statements: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    store = SqlConsentStore(database)

    kept = await store.register(consent(), request_id="r", request_digest=b"d")
    await store.register(consent(2), request_id="r", request_digest=b"d")
    await store.get("bank-a", kept.consent_id)
    await store.list("bank-a", DEMO, after="", limit=1)
    await store.list("bank-a", "", after="", limit=1)
    await store.change("bank-a", kept.consent_id, 1, ConsentState.PAUSED, NOON)
    with pytest.raises(ConsentNotFoundError):
        await store.change("bank-b", kept.consent_id, 1, ConsentState.PAUSED, NOON)
    await store.use("bank-a", kept.consent_id, 2, NOON)
    await store.history("bank-a", kept.consent_id, limit=1)

    told = [statement for statement in statements if "consents" in statement or "consent_changes" in statement]
    inserts = [statement for statement in told if statement.startswith("INSERT")]
    others = [statement for statement in told if not statement.startswith("INSERT")]
    assert all("(bank, consent_id" in statement.replace("\n", " ") for statement in inserts)
    assert len(others) >= 8
    for statement in others:
        where = statement.partition("WHERE")[2]
        assert "consents.bank = " in where or "consent_changes.bank = " in where, statement


async def test_what_may_be_read_of_all_banks_says_nothing_of_what_a_consent_says(database: Database) -> None:
    statements: list[str] = []
    store = SqlConsentStore(database)
    await store.register(consent())
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    await store.newest_mark()
    await store.versions_since(0)

    told = [statement for statement in statements if "consent" in statement]
    assert len(told) == 2
    assert not any("consents" in statement for statement in told)


def _values(one: Consent) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in Consent.__dataclass_fields__}
    values |= {"request_id": None, "request_digest": b""}
    return {**values, "seal": Seal().of(values)}
