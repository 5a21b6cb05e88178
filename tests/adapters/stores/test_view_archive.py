"""One suite for the archive on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.adapters.stores.consent_store import SqlConsentStore
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.schema import downgrade, upgrade
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.domain.errors import CorruptRecordError, StoreUnavailableError
from gateway.domain.evidence import ArchivedView
from tests.adapters.evidence import DEMO, NOON, KeyCipher, archived
from tests.adapters.stores.consents import consent

OTHER = "91310115MAC0DEM080"


@pytest.fixture
async def archive(database: Database) -> SqlViewArchive:
    return SqlViewArchive(database, KeyCipher())


async def kept(archive: SqlViewArchive, copies: Sequence[ArchivedView]) -> None:
    """Keeps copies as the trail's writer does, from a thread of its own."""
    await asyncio.to_thread(archive.keep, copies)


async def changed(database: Database, statement: str, **values: object) -> None:
    async with database.writing() as connection:
        await connection.execute(text(statement), values)


async def test_what_is_kept_is_given_back_whole(archive: SqlViewArchive) -> None:
    copies = [archived(b"view %d" % number * 500, answer_id=f"a-{number}") for number in range(3)]

    await kept(archive, copies)

    assert [await archive.find("bank-a", copy.answer_id) for copy in copies] == copies


async def test_a_bank_never_reaches_another_banks_copy(archive: SqlViewArchive) -> None:
    mine, theirs = archived(b"mine"), archived(b"theirs", bank="bank-b")

    await kept(archive, [mine, theirs])

    assert await archive.find("bank-b", "a-1") == theirs
    assert await archive.find("bank-c", "a-1") is None


async def test_all_of_a_batch_are_kept_or_none(archive: SqlViewArchive) -> None:
    await kept(archive, [archived()])

    with pytest.raises(StoreUnavailableError):
        await kept(archive, [archived(answer_id="a-2"), archived(b"a second answer of one id")])

    assert await archive.find("bank-a", "a-2") is None
    assert await archive.find("bank-a", "a-1") == archived()


async def test_D2_withdrawn_are_the_copies_of_the_failed_commit_and_no_others(archive: SqlViewArchive) -> None:
    first, other, later = (archived(answer_id=f"a-{number}", trail="t-1") for number in range(3))
    await kept(archive, [first, other])
    await kept(archive, [later])

    for copies in ([other, other._replace(answer_id="never kept")], [first._replace(trail="t-2")], [other]):
        await asyncio.to_thread(archive.withdraw, copies)

    assert [await archive.find("bank-a", f"a-{number}") for number in range(3)] == [first, None, later]


async def test_D2_the_copies_at_a_trails_end_are_found_though_one_was_altered(
    archive: SqlViewArchive, database: Database
) -> None:
    mine, altered, theirs = (
        archived(answer_id=name, trail=trail) for name, trail in (("a-1", "t-1"), ("a-2", "t-1"), ("a-3", "t-2"))
    )
    await kept(archive, [mine, altered, theirs])
    await changed(database, "UPDATE archived_views SET content = :content WHERE answer_id = 'a-2'", content=b"x" * 99)

    assert await archive.since("t-1", 6, limit=9) == [mine._replace(view=b"")]
    assert await archive.since("t-1", 7, limit=9) == []


async def test_which_of_a_banks_copies_there_are_is_told_with_their_enterprise(archive: SqlViewArchive) -> None:
    await kept(
        archive, [archived(), archived(answer_id="a-2", uscc="another"), archived(answer_id="a-3", bank="bank-b")]
    )

    assert await archive.among("bank-a", ["a-1", "a-2", "a-3", "a-4"]) == {"a-1": DEMO, "a-2": "another"}
    assert await archive.among("bank-b", []) == {}


async def test_writers_on_the_loop_and_of_the_trail_take_turns(archive: SqlViewArchive, database: Database) -> None:
    store = SqlConsentStore(database)

    await asyncio.gather(
        *(kept(archive, [archived(answer_id=f"a-{number}")]) for number in range(20)),
        *(store.register(consent(number)) for number in range(20)),
    )

    found = [await archive.find("bank-a", f"a-{number}") for number in range(20)]
    assert None not in found
    assert len(await store.list("bank-a", "", after="", limit=100)) == 20


async def test_nothing_of_a_view_can_be_read_without_the_key(archive: SqlViewArchive, database: Database) -> None:
    await kept(archive, [archived(b"legal representative: nobody real")])

    async with database.reading() as connection:
        row = (await connection.execute(text("SELECT * FROM archived_views"))).one()
    with pytest.raises(CorruptRecordError):
        await SqlViewArchive(database, KeyCipher(b"k" * 32)).find("bank-a", "a-1")

    assert b"representative" not in b"".join(str(value).encode() for value in row)


async def test_copies_about_an_enterprise_are_sealed_once(archive: SqlViewArchive) -> None:
    await kept(archive, [archived(), archived(bank="bank-b"), archived(answer_id="a-2", uscc=OTHER)])

    counts = [await archive.seal(DEMO, why, NOON) for why in ("REPAIR", "LEGAL_DELETION")]

    assert counts == [2, 0]
    assert await archive.find("bank-a", "a-1") == archived(sealed_because="REPAIR")
    assert await archive.find("bank-a", "a-2") == archived(answer_id="a-2", uscc=OTHER)


async def test_expired_copies_go_a_few_at_a_time_and_others_stay(archive: SqlViewArchive) -> None:
    for number in range(5):
        await kept(archive, [archived(answer_id=f"a-{number}", kept_until=NOON + timedelta(days=number))])

    counts = [await archive.delete_expired(NOON + timedelta(days=2), limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert [await archive.find("bank-a", f"a-{number}") is None for number in range(5)] == [True] * 3 + [False] * 2


async def test_D5_an_altered_copy_is_found_and_not_given(archive: SqlViewArchive, database: Database) -> None:
    await kept(archive, [archived()])
    content = await _content(database, "a-1")

    await changed(
        database,
        "UPDATE archived_views SET content = :content",
        content=content[:-1] + bytes([content[-1] ^ 1]),
    )

    with pytest.raises(CorruptRecordError):
        await archive.find("bank-a", "a-1")


@pytest.mark.parametrize(("column", "value"), [("answer_id", "a-9"), ("bank", "bank-z")])
async def test_D5_a_copy_in_anothers_place_does_not_open(
    archive: SqlViewArchive, database: Database, column: str, value: str
) -> None:
    await kept(archive, [archived()])

    await changed(database, f"UPDATE archived_views SET {column} = :value", value=value)  # of two names

    with pytest.raises(CorruptRecordError):
        await archive.find(*(("bank-a", value) if column == "answer_id" else (value, "a-1")))


async def test_D5_a_copy_that_is_not_its_receipts_is_not_given(archive: SqlViewArchive) -> None:
    swapped = archived(b"another view")._replace(receipt=archived().receipt)

    await kept(archive, [swapped])

    with pytest.raises(CorruptRecordError, match="a-1 is not what was kept"):
        await archive.find("bank-a", "a-1")


async def test_the_archive_goes_with_its_migration_and_consents_stay(
    archive: SqlViewArchive, database: Database
) -> None:
    await kept(archive, [archived()])

    await downgrade(database, "0002")
    with pytest.raises(StoreUnavailableError):
        await archive.find("bank-a", "a-1")
    await upgrade(database)

    assert await archive.find("bank-a", "a-1") is None


async def _content(database: Database, answer_id: str) -> bytes:
    async with database.reading() as connection:
        found = await connection.execute(
            text("SELECT content FROM archived_views WHERE answer_id = :of"), {"of": answer_id}
        )
        return bytes(found.scalar_one())
