"""`[evidence]`, `xinyidai keys` and `check-config`: keys are made, rotated and shown, and no key is ever told."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.crypto.keys import shown_reference
from gateway.adapters.crypto.suite import SUITES
from gateway.cli.main import app
from gateway.domain.errors import ConfigError
from gateway.evidence_settings import EvidenceSettings
from gateway.settings import load_settings


def _run(*arguments: str, code: int = 0) -> str:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told), pytest.raises(SystemExit) as ended:
        app(args=list(arguments), prog_name="xinyidai")
    assert (ended.value.code or 0) == code, told.getvalue()
    return told.getvalue()


def _configured(folder: Path, table: dict[str, Any], *, archives: bool = False) -> Path:
    config = folder / "config"
    config.mkdir(exist_ok=True)
    rows = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    more = ["[archive]", "enabled = true"] if archives else []
    (config / "gateway.toml").write_text("\n".join(["[evidence]", *rows, *more]))
    return config


def _generated(folder: Path, suite: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(_run("keys", "generate", "--suite", suite, "--out", str(folder), "--json"))
    return made


def _table(made: dict[str, Any]) -> dict[str, Any]:
    return {key: made[key] for key in ("suite", "signing_key", "archive_keys", "public_keys")}


@pytest.mark.parametrize("suite", SUITES)
def test_keys_are_made_rotated_and_shown_with_the_old_ones(suite: str, tmp_path: Path) -> None:
    first, second = (_generated(tmp_path / "keys", suite) for _ in range(2))
    config = _configured(tmp_path, _table(second))

    shown = json.loads(_run("keys", "show", "--config", str(config), "--json"))["keys"]

    assert [(key["key_id"], key["signs"]) for key in shown] == [(first["key_id"], False), (second["key_id"], True)]
    evidence = load_settings(config).gateway.evidence
    sealed = EvidenceSettings(**_table(first)).built(tmp_path / "a").cipher.seal(b"a view", b"x")
    assert evidence.built(tmp_path / "a").cipher.open(sealed, b"x") == b"a view"
    secret = [path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir() if path.suffix in (".pem", ".key")]
    assert secret == [0o600] * 4


def test_check_config_says_which_suite_serves_and_that_it_is_not_certified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _generated(tmp_path / "keys", "gm")
    config = _configured(tmp_path, _table(made))

    english = _run("check-config", "--config", str(config))
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = _run("check-config", "--config", str(config))

    assert "SM2-SM3" in english
    assert "no certified product" in english
    assert f"{made['key_id']} (" in english
    assert made["signing_key"] in english
    assert "answers are signed, not archived" in english
    assert "应答签名, 不归档" in chinese
    assert "不具备商用密码产品认证" in chinese
    for path in (tmp_path / "keys").glob("*.key"):
        assert path.read_text().strip() not in english


@pytest.mark.parametrize(
    ("is_stated", "archives", "told"),
    [
        (False, False, "answers are neither signed nor archived"),
        (False, True, "answers are signed, archived"),
        (True, False, "answers are signed, not archived"),
        (True, True, "answers are signed, archived"),
    ],
)
def test_check_config_says_whether_answers_are_signed_and_archived_and_by_which_keys(
    is_stated: bool, archives: bool, told: str, tmp_path: Path
) -> None:
    table = _table(_generated(tmp_path / "keys", "mixed")) if is_stated else {}

    output = _run("check-config", "--config", str(_configured(tmp_path, table, archives=archives)))

    lines = [line.removeprefix("evidence").strip() for line in output.splitlines() if line.startswith("evidence")]
    assert lines[0].startswith(told)
    assert any("keys of development" in line for line in lines) == (archives and not is_stated)
    assert any(table.get("signing_key", "file:") in line for line in lines) == is_stated
    assert any(table.get("archive_keys", ["file:"])[0] in line for line in lines) == (is_stated and archives)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"consent": {"enforced": True, "masking_key": "env:GIVEN"}}, "consent.masking_key: "),
        ({"consent": {"masking_key": "env:GIVEN"}}, "consent.masking_key: "),
        ({"audit": {"digest_key": "env:GIVEN"}}, "audit.digest_key: "),
        ({"lists": {"token_key": "env:GIVEN"}}, "lists.token_key: "),
    ],
)
def test_check_config_names_every_key_that_is_missing_or_too_short_to_start_with(
    stated: dict[str, dict[str, Any]], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [
        [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in rows.items())] for name, rows in stated.items()
    ]
    (tmp_path / "gateway.toml").write_text("\n".join(line for table in tables for line in table))

    monkeypatch.delenv("GIVEN", raising=False)
    missing = _run("check-config", "--config", str(tmp_path), code=2)
    monkeypatch.setenv("GIVEN", "too-short")
    short = _run("check-config", "--config", str(tmp_path), code=2)
    monkeypatch.setenv("GIVEN", "long enough for everything here!")
    _run("check-config", "--config", str(tmp_path))

    assert missing.splitlines()[1:] == [f"gateway.toml: {told}set the environment variable GIVEN"]
    assert [line.startswith(f"gateway.toml: {told}") for line in short.splitlines()[1:]] == [True]


def test_a_reference_to_a_module_is_shown_without_its_pin() -> None:
    shown = shown_reference("pkcs11:module=/lib/m.so;token=t;key=k;pin=env:SOFT_PIN")

    assert shown == "pkcs11:module=/lib/m.so;token=t;key=k"


def test_check_config_names_the_key_that_cannot_be_had(tmp_path: Path) -> None:
    table = {"signing_key": f"file:{tmp_path / 'none.pem'}", "archive_keys": ["env:NO_SUCH_ARCHIVE_KEY"]}

    output = _run("check-config", "--config", str(_configured(tmp_path, table)), code=2)

    assert "gateway.toml: evidence.signing_key: the key file" in output
    assert "gateway.toml: evidence.archive_keys: set the environment variable NO_SUCH_ARCHIVE_KEY" in output


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"suite": "rot13"}, "evidence.suite"),
        ({"signing_key": "file:/a"}, "or neither"),
        ({"signing_key": "0123secret", "archive_keys": ["file:/a"]}, "never the key"),
        ({"signing_key": "file:/a", "archive_keys": ["0123secret"]}, "never the key"),
        (
            {"suite": "gm", "signing_key": "file:/a", "archive_keys": ["pkcs11:module=m;token=t;key=k;pin=env:P"]},
            "SM4",
        ),
        ({"suite": "gm", "signing_key": "pkcs11:module=m;token=t;key=k;pin=env:P", "archive_keys": ["file:/a"]}, "SM2"),
    ],
)
def test_a_fault_of_the_table_is_named_and_no_key_is_shown(table: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(_configured(tmp_path, table))

    assert fault in str(raised.value)
    assert "0123secret" not in str(raised.value)
