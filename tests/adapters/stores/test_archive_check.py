"""`xinyidai archive check`, run in this process: it tells answered copies from those nobody was answered with."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from gateway.adapters.stores.audit_file import FileAuditLog
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.cli.archive import archive
from gateway.domain.audit_entries import archive_entry
from gateway.domain.evidence import ViewCopy, kept_until
from gateway.domain.statement import sm3
from gateway.domain.trail import line_of, taken_apart, with_copy
from gateway.evidence_settings import EvidenceSettings
from tests.adapters.evidence import DEMO, archived
from tests.adapters.test_audit_file import entry

TRAIL: Final = Path("var/audit.jsonl")
COPY: Final = ViewCopy(b"the view", DEMO, sm3(b"asked"), "enterprise")
SEALED_AT: Final = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def run(*words: str) -> Result:
    return CliRunner().invoke(archive, ["check", *words])


async def kept(*orphans: str) -> None:
    """Answers twice as a gateway does, and leaves copies behind as a crash would, one of another machine's trail."""
    async with house() as (trail, views):
        for answer_id in ("answered-1", "answered-2"):
            await trail.append(entry(answer_id), COPY)
        copies = [archived(answer_id=name, trail=trail.id) for name in orphans]
        await asyncio.to_thread(views.keep, [*copies, archived(answer_id="theirs", trail="another")])


@asynccontextmanager
async def house(
    *, is_archiving: bool = True, months: int = 1_200
) -> AsyncIterator[tuple[FileAuditLog, SqlViewArchive]]:
    """Opens trail and archive as a gateway does."""
    suite = EvidenceSettings().built(TRAIL)
    door = StoreDoor("sqlite+aiosqlite:///var/store.db")
    views = await door.views(suite.cipher)
    until = partial(kept_until, {"enterprise": months})
    archive = views if is_archiving else None
    trail = FileAuditLog(TRAIL, evidence=Evidence(suite.signer, suite.digest, suite.digest_of, archive, until))
    yield trail, views
    await trail.aclose()
    await door.aclose()


def test_D2_copies_nobody_was_answered_with_are_named() -> None:
    asyncio.run(kept("orphan-1", "orphan-2"))

    told, as_json = run(), run("--json")

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    assert "5 copies" in told.stdout
    assert "of 1 the trail is not here" in told.stdout
    assert told.stderr.count("was never answered") == 2
    assert json.loads(as_json.stdout) == {
        "copies": 5,
        "corrupt": [],
        "corrupt_count": 0,
        "orphans": [{"bank": "bank-a", "answer_id": f"orphan-{number}"} for number in (1, 2)],
        "orphan_count": 2,
        "elsewhere": 1,
        "without_copy": 0,
        "missing": [],
        "unsealed": [],
        "changed_trails": [],
    }


def test_A7_a_copy_that_was_taken_back_since_its_answer_was_withheld_is_not_missed() -> None:
    async def story() -> None:
        async with house() as (trail, _):
            receipts = [await trail.append(entry(answer_id), COPY) for answer_id in ("given", "withheld")]
            await trail.append(entry("withheld", event="withheld"), taken_back=receipts[1])

    asyncio.run(story())

    sound = run("--json")
    with closing(sqlite3.connect("var/store.db")) as store, store:
        store.execute("DELETE FROM archived_views")
    lost = run("--json")

    assert (sound.exit_code, lost.exit_code) == (0, 1)
    assert json.loads(sound.stdout)["copies"] == 1
    assert [(each["count"], each["first"]["answer_id"]) for each in json.loads(lost.stdout)["missing"]] == [
        (1, "given")
    ]


def test_D5_altered_copies_are_named_and_sound_ones_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(kept())

    sound = run()
    with closing(sqlite3.connect("var/store.db")) as store, store:
        store.execute("UPDATE archived_views SET content = content || x'00' WHERE answer_id = 'answered-1'")
        store.execute("UPDATE archived_views SET kept_until = 'never' WHERE answer_id = 'answered-2'")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    altered = run()

    assert (sound.exit_code, altered.exit_code) == (0, 1)
    assert [f"银行 bank-a：answered-{number} 与归档时不符" in altered.stderr for number in (1, 2)] == [True, True]
    assert "归档应答 3 份" in altered.stdout


async def answered_and_put_back() -> None:
    """Answers before a backup and after it, seals an enterprise's copies, and puts the backup back."""
    async with house() as (trail, views):
        await trail.append(entry("before"), COPY)
        with closing(sqlite3.connect("var/store.db")) as store, closing(sqlite3.connect("backup.db")) as backup:
            store.backup(backup)
        for day in ("2026-11-24", "2026-11-25"):
            late = f"{day}T16:00:00.000+00:00"  # the next day in China
            await trail.append(replace(entry(f"of {day}"), time=late), COPY)
        await trail.append(replace(entry("refused"), event="refused"))
        await trail.append(archive_entry("archive_sealing", SEALED_AT, uscc=DEMO, reason="LEGAL_DELETION"))
        await views.seal(DEMO, "LEGAL_DELETION", SEALED_AT)
    for path in Path("var").glob("store.db*"):
        path.unlink()
    Path("backup.db").rename("var/store.db")


def test_D5_answers_whose_copies_went_with_an_older_store_are_found_and_so_is_what_was_sealed() -> None:
    asyncio.run(answered_and_put_back())

    told, as_json = run(), json.loads(run("--json").stdout)

    assert told.exit_code == 1
    assert (
        "the copies of 2 answers are gone before their time, the first of entry 3: of 2026-11-24 of bank bank-a"
        in told.stderr
    )
    assert told.stderr.splitlines()[1:3] == ["  2026-11-25  1", "  2026-11-26  1"]
    assert f"{DEMO}: 1 copies are not sealed" in told.stderr
    assert f"xinyidai archive seal {DEMO} --reason LEGAL_DELETION" in told.stderr
    first = {"sequence": 3, "bank": "bank-a", "answer_id": "of 2026-11-24", "time": "2026-11-25T00:00:00.000+08:00"}
    days = {"2026-11-25": 1, "2026-11-26": 1}
    assert as_json["missing"] == [{"trail": "audit.jsonl", "count": 2, "first": first, "days": days}]
    assert as_json["unsealed"] == [{"uscc": DEMO, "reason": "LEGAL_DELETION", "count": 1}]


async def answered_without_copies() -> None:
    """Answers before the archive is on; then with it on, but for so long ago that the copy was deleted; and not at all."""
    async with house(is_archiving=False) as (trail, _):
        await trail.append(entry("archive off"), COPY)
    async with house(months=60) as (trail, views):
        await trail.append(replace(entry("past"), time="2011-11-25T16:00:00.000+00:00"), COPY)
        assert await views.delete_expired(SEALED_AT, limit=9) == 1
        await trail.append(replace(entry("refused"), event="refused"))
        await trail.append(replace(entry("a step of it"), event="streamed"))


def test_answers_that_never_had_a_copy_or_whose_time_is_over_are_not_missed() -> None:
    asyncio.run(answered_without_copies())
    lines = TRAIL.read_bytes().splitlines()
    last = taken_apart(lines[-1])
    assert last is not None
    cut_off = with_copy(
        msgspec.json.encode(entry("of a commit that a crash cut off")), datetime(2099, 1, 1, tzinfo=UTC)
    )
    TRAIL.write_bytes(TRAIL.read_bytes() + line_of(last.link, cut_off, bytes(32))[0])

    told = run()

    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "0 copies",
        "1 answers in the trail state no copy: the archive was off, or an older version wrote it",
    ]


def test_a_trail_that_was_changed_is_said_and_what_it_still_tells_too() -> None:
    asyncio.run(kept())
    TRAIL.write_bytes(TRAIL.read_bytes().replace(b'"answer_id":"answered-1"', b'"answer_id":"answered-9"'))
    with closing(sqlite3.connect("var/store.db")) as store, store:
        store.execute("DELETE FROM archived_views WHERE answer_id = 'answered-2'")

    told = run()

    assert told.exit_code == 1
    assert "audit.jsonl: entry 1 is not as it was written" in told.stderr
    assert "the first of entry 3: answered-2 of bank bank-a" in told.stderr


async def forged() -> None:
    """Has a copy replaced by whoever holds the archive's key, and another one moved from under its enterprise."""
    await kept()
    async with house() as (_, views):
        copy = await views.find("bank-a", "answered-1")
        assert copy is not None
        await asyncio.to_thread(views.withdraw, [copy])
        leaf = copy.receipt.leaf._replace(view_digest=sm3(b"another view"))
        forged = copy._replace(view=b"another view", receipt=copy.receipt._replace(leaf=leaf))
        await asyncio.to_thread(views.keep, [forged])
    with closing(sqlite3.connect("var/store.db")) as store, store:
        store.execute("UPDATE archived_views SET uscc = 'another' WHERE answer_id = 'answered-2'")


def test_D5_copies_forged_with_the_key_or_moved_to_another_enterprise_are_named() -> None:
    asyncio.run(forged())

    found = json.loads(run("--json").stdout)

    assert found["corrupt_count"] == 2
    assert {each["answer_id"] for each in found["corrupt"]} == {"answered-1", "answered-2"}


def test_without_keys_or_a_store_it_says_what_is_missing() -> None:
    keyless = run()
    EvidenceSettings().built(TRAIL)
    storeless = run()

    assert (keyless.exit_code, storeless.exit_code) == (2, 2)
    assert "evidence.archive_keys" in keyless.stderr
    assert "the store" in storeless.stderr
