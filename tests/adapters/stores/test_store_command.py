"""`xinyidai store …`, run in this process: what it prints, and what it leaves alone unless it is told to go on."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.standing import revisions
from gateway.cli.store import store
from gateway.domain.consent import Consent
from tests.adapters.stores.consents import consent


def run(*words: str) -> Result:
    return CliRunner().invoke(store, list(words))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_D6_a_downgrade_tells_what_is_lost_and_does_nothing_before_it_is_confirmed() -> None:
    run("upgrade")

    told = run("downgrade", "--to", "base")
    shown = json.loads(run("show", "--json").stdout)
    done = run("downgrade", "--to", "base", "--yes", "--json")

    assert (told.exit_code, shown["standing"]) == (1, "RIGHT")
    assert "revision 0001 is taken back: lost is every consent of every bank; rows now: 0" in told.stdout
    assert "run it again with --yes" in told.stderr
    assert (done.exit_code, json.loads(done.stdout)["standing"]) == (0, "EMPTY")
    assert [one["revision"] for one in json.loads(done.stdout)["losses"]] == list(revisions())[::-1]


def test_D6_a_downgrade_goes_one_step_where_no_revision_is_named() -> None:
    run("upgrade")

    done = run("downgrade", "--yes")

    assert done.exit_code == 0
    assert f"BEHIND: revision {revisions()[-2]}" in done.stdout
    assert "start the older version of the gateway now" in done.stdout


def test_what_a_downgrade_loses_is_told_in_chinese_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    run("upgrade")

    told = run("downgrade", "--to", "base")

    assert "将丢失所有银行的全部授权；现有 0 行" in told.stdout
    assert "再加 --yes 运行" in told.stderr


def test_D6_a_downgrade_to_what_is_no_revision_says_which_there_are() -> None:
    run("upgrade")

    told = run("downgrade", "--to", "7777", "--yes")

    assert (told.exit_code, "no revision 7777 to go back to" in told.stderr) == (2, True)


def test_D5_the_command_names_consents_that_were_altered_and_a_key_seals_the_others_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("upgrade")
    register(consent(1), consent(2))
    whole = run("check")
    with closing(sqlite3.connect(tmp_path / "var" / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE consents SET max_uses = 7 WHERE consent_id = ?", (consent(2).consent_id,))
    monkeypatch.setenv("XINYIDAI_SEAL", "a key of the deployment")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.toml").write_text('[store]\nseal_key = "env:XINYIDAI_SEAL"\n')

    altered = run("check", "--json")
    sealed = run("seal", "--config", "config")
    checked = run("check", "--config", "config", "--json")

    named = [{"bank": "bank-a", "consent_id": consent(2).consent_id}]
    assert (whole.exit_code, whole.stdout) == (0, "2 consents\n")
    assert (altered.exit_code, json.loads(altered.stdout)["corrupt"]) == (1, named)
    assert f"consent {consent(2).consent_id} is not what was registered" in sealed.stderr
    assert (checked.exit_code, json.loads(checked.stdout)) == (1, {"consents": 2, "corrupt": named, "file": []})


def register(*consents: Consent) -> None:
    async def main() -> None:
        door = StoreDoor("sqlite+aiosqlite:///var/store.db")
        for one in consents:
            await (await door.consents()).register(one)
        await door.aclose()

    asyncio.run(main())
