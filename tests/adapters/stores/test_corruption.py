"""What was altered behind the gateway: found by the row's seal or the file's pages, not served, and told by name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, column, insert, table, text
from structlog.testing import capture_logs

from gateway.adapters.stores.consent_seal import Seal, content_of
from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.engine import Database, embedded
from gateway.adapters.stores.models import Base
from gateway.adapters.stores.schema import upgrade
from gateway.adapters.stores.wholeness import check, require_whole, reseal
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import ConfigError, CorruptRecordError, StoreUnavailableError
from tests.adapters.stores.consents import DEMO, NOON, consent

KEY = Seal(b"a key of the deployment")


async def run(database: Database, statement: str) -> None:
    async with database.writing() as connection:
        await connection.execute(text(statement))


@pytest.mark.parametrize(
    "alteration",
    [
        "max_uses = 0",
        "state = 'ACTIVE', revocation_reason = ''",
        "categories = '[1, 2, 3]'",
        "uscc = '91310115MAC0DEM080'",
        "uses = 0",
        "version = 9",
        "valid_to = '2099-01-01 00:00:00'",
        "request_id = 'other'",
        "seal = NULL",
    ],
)
async def test_D5_a_consent_that_was_altered_in_the_database_is_not_honoured(tmp_path: Path, alteration: str) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    await upgrade(database)
    store = SqlConsentStore(database)
    kept = await store.register(consent(1, max_uses=3), request_id="r-1", request_digest=b"d")
    await store.use("bank-a", kept.consent_id, 1, NOON)
    revoked = await store.change("bank-a", kept.consent_id, 2, ConsentState.REVOKED, NOON, "withdrawn")
    assert await store.get("bank-a", kept.consent_id) == revoked

    await run(database, f"UPDATE consents SET {alteration}")

    for touch in (
        store.get("bank-a", kept.consent_id),
        store.use("bank-a", kept.consent_id, 3, NOON),
        store.change("bank-a", kept.consent_id, 3, ConsentState.ACTIVE, NOON),
    ):
        with pytest.raises(CorruptRecordError, match=kept.consent_id):
            await touch
    assert await store.list("bank-a", "", after="", limit=10) == []
    await database.aclose()


async def test_D5_a_corrupt_consent_is_left_out_of_a_list_told_once_and_hides_no_other(database: Database) -> None:
    store = SqlConsentStore(database)
    kept = [await store.register(consent(number)) for number in range(6)]
    await run(database, f"UPDATE consents SET channel = 'canary-6622' WHERE consent_id = '{kept[1].consent_id}'")
    await run(database, f"UPDATE consents SET purposes = '7' WHERE consent_id = '{kept[2].consent_id}'")

    with capture_logs() as logs:
        first = await store.list("bank-a", DEMO, after="", limit=3)
        rest = await store.list("bank-a", DEMO, after=first[-1].consent_id, limit=3)
        again = await store.list("bank-a", "", after="", limit=10)

    assert first == [kept[0], kept[3], kept[4]]
    assert rest == [kept[5]]
    assert again == [*first, *rest]
    assert [(line["event"], line["consent_id"]) for line in logs] == [
        ("store.corrupt_record", kept[1].consent_id),
        ("store.corrupt_record", kept[2].consent_id),
    ]
    assert "canary" not in str(logs)


async def test_D5_what_a_key_did_not_seal_is_not_honoured_and_a_new_key_seals_what_the_old_one_did(
    database: Database,
) -> None:
    before, after = SqlConsentStore(database), SqlConsentStore(database, KEY)
    kept = [await before.register(consent(number)) for number in range(3)]
    await run(database, f"UPDATE consents SET max_uses = 9 WHERE consent_id = '{kept[0].consent_id}'")
    with pytest.raises(CorruptRecordError):
        await after.get("bank-a", kept[1].consent_id)

    done = await reseal(database, Seal(), KEY)

    altered = (("bank-a", kept[0].consent_id),)
    assert (done.consents, done.corrupt) == (3, altered)
    assert await after.list("bank-a", "", after="", limit=10) == kept[1:]
    assert (await check(database, KEY)).corrupt == altered
    assert (await reseal(database, Seal(), KEY)).corrupt == altered
    assert await before.list("bank-a", "", after="", limit=10) == []


async def test_consents_of_before_there_were_seals_are_sealed_by_the_upgrade(empty_url: URL) -> None:
    database = Database(empty_url)
    kept = [
        replace(consent(number, bank=f"bank-{number % 3}"), document_ref="", institution_code="", signed_at=None)
        for number in range(260)
    ]
    try:
        await upgrade(database, "0002")
        later = ("document_ref", "institution_code", "signed_at")
        rows = [{name: value for name, value in _row(one).items() if name not in later} for one in kept]
        columns = [column(name, Base.metadata.tables["consents"].c[name].type) for name in rows[0]]
        async with database.writing() as connection:
            await connection.execute(insert(table("consents", *columns)), rows)

        await upgrade(database, seal=KEY)

        assert await check(database, KEY) == (260, (), ())
        assert await SqlConsentStore(database, KEY).get(kept[7].bank, kept[7].consent_id) == kept[7]
    finally:
        await database.aclose()


def test_what_is_sealed_is_the_same_whoever_read_it_and_a_later_column_changes_nothing_at_its_default() -> None:
    row = _row(consent())

    as_sqlite_has_it = {
        **row,
        "valid_from": row["valid_from"].astimezone(UTC).replace(tzinfo=None),
        "purposes": list(row["purposes"]),
    }
    with_defaults = {**row, "person_ref": "", "platforms": (), "seal": b"any"}

    assert content_of(as_sqlite_has_it) == content_of(with_defaults) == content_of(row)
    assert content_of(row) != content_of(_row(replace(consent(), person_ref="p")))


async def test_D5_a_corrupt_page_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    door = StoreDoor(url)
    store = await door.consents()
    for number in range(200):
        await store.register(consent(number))
    await door.aclose()
    with closing(sqlite3.connect(tmp_path / "store.db")) as plain:
        (root,) = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'consents'").fetchone()
        (size,) = plain.execute("PRAGMA page_size").fetchone()
    with (tmp_path / "store.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)

    again = StoreDoor(url)
    with pytest.raises(ConfigError, match="the file is damaged") as raised:
        await again.check()
    await again.aclose()

    assert "restore the last backup" in str(raised.value)


async def test_D5_damage_is_told_once_though_other_pages_can_be_read_between(tmp_path: Path) -> None:
    first, database = (Database(embedded(tmp_path / "store.db")) for _ in range(2))
    await upgrade(first)
    await SqlConsentStore(first).register(consent())
    await first.aclose()
    with closing(sqlite3.connect(tmp_path / "store.db")) as plain:
        (root,) = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'consents'").fetchone()
        (size,) = plain.execute("PRAGMA page_size").fetchone()
    with (tmp_path / "store.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)

    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="is damaged"):
                await SqlConsentStore(database).list("bank-a", "", after="", limit=10)
            assert await database.ping()
    await database.aclose()

    assert [(line["event"], line["trouble"]) for line in logs] == [("store.unreachable", "DAMAGED")]


async def test_D5_a_file_that_is_no_database_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database " * 1_000)
    door = StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")

    with pytest.raises(StoreUnavailableError, match="is damaged; restore the last backup"):
        await door.check()
    await door.aclose()


async def test_D3_what_a_log_holds_is_written_once_more_when_the_store_is_opened(tmp_path: Path) -> None:
    first, door = Database(embedded(tmp_path / "store.db")), StoreDoor(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    await upgrade(first)
    kept = await SqlConsentStore(first).register(consent())  # in the log until the last connection is closed

    await door.check()
    (tmp_path / "disk.db").write_bytes((tmp_path / "store.db").read_bytes())
    await door.aclose()
    await first.aclose()

    with closing(sqlite3.connect(tmp_path / "disk.db")) as plain:
        assert plain.execute("SELECT consent_id FROM consents").fetchall() == [(kept.consent_id,)]


async def test_a_file_too_large_to_be_looked_at_whenever_it_is_opened_is_not(tmp_path: Path) -> None:
    database = Database(embedded(tmp_path / "store.db"))
    await upgrade(database)
    statements: list[str] = []

    await require_whole(database)
    async with database.reading() as connection:
        raw = await connection.get_raw_connection()
        await raw.driver_connection.set_trace_callback(statements.append)  # type: ignore[union-attr]
    await require_whole(database, up_to_bytes=1)
    await database.aclose()

    assert [line for line in statements if "page_count" in line]
    assert not [line for line in statements if "quick_check" in line]


def _row(one: Consent) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in Consent.__dataclass_fields__}
    return {**values, "request_id": None, "request_digest": b""}
