"""`xinyidai archive check`, run in this process: it tells answered copies from those nobody was answered with."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.adapters.stores.audit_file import FileAuditLog
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.trail_batch import Evidence
from gateway.cli.archive import archive
from gateway.domain.evidence import ViewCopy
from gateway.domain.statement import sm3
from gateway.evidence_settings import EvidenceSettings
from tests.adapters.evidence import DEMO, archived
from tests.adapters.test_audit_file import entry

TRAIL = Path("var/audit.jsonl")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def run(*words: str) -> Result:
    return CliRunner().invoke(archive, ["check", *words])


async def kept(*orphans: str) -> None:
    """Answers twice as a gateway does, and leaves copies behind as a crash would, one of another machine's trail."""
    suite = EvidenceSettings().built(TRAIL)
    door = StoreDoor("sqlite+aiosqlite:///var/store.db")
    views = await door.views(suite.cipher)
    trail = FileAuditLog(TRAIL, evidence=Evidence(suite.signer, suite.digest, suite.digest_of, views))
    for answer_id in ("answered-1", "answered-2"):
        await trail.append(entry(answer_id), ViewCopy(b"the view", DEMO, sm3(b"asked"), "enterprise"))
    copies = [archived(answer_id=name, trail=trail.id) for name in orphans]
    await asyncio.to_thread(views.keep, [*copies, archived(answer_id="theirs", trail="another")])
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
        "orphans": [{"bank": "bank-a", "answer_id": f"orphan-{number}"} for number in (1, 2)],
        "elsewhere": 1,
    }


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


def test_without_keys_or_a_store_it_says_what_is_missing() -> None:
    keyless = run()
    EvidenceSettings().built(TRAIL)
    storeless = run()

    assert (keyless.exit_code, storeless.exit_code) == (2, 2)
    assert "evidence.archive_keys" in keyless.stderr
    assert "the store" in storeless.stderr
