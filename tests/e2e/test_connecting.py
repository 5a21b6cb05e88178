"""How commands get the options of how to reach a gateway, and what these come to."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from gateway.cli.reach import Reach, connecting

OPTIONS = ("--address", "--cert", "--key", "--ca", "--plaintext")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[typer.Typer, list[tuple[str, Reach]]]:
    """Gives a command with one option on either side of the connection's, and what it was called with."""
    for name in ("XINYIDAI_CERT", "XINYIDAI_KEY", "XINYIDAI_CA", "XINYIDAI_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XINYIDAI_CERTS", str(tmp_path / "certs"))
    app, calls = typer.Typer(add_completion=False), []

    @app.command()
    @connecting(Kind.BANK)
    def greet(name: str, *, at: Reach, loud: bool = False) -> None:
        calls.append((name.upper() if loud else name, at))

    return app, calls


def test_the_options_stand_where_the_argument_stands_and_come_to_it(
    told: tuple[typer.Typer, list[tuple[str, Reach]]],
) -> None:
    app, calls = told

    shown = CliRunner().invoke(app, ["--help"])
    called = CliRunner().invoke(app, ["bank", "--loud", "--plaintext", "--address", "127.0.0.1:7"])

    assert (shown.exit_code, called.exit_code) == (0, 0)
    places = [shown.output.index(option) for option in (*OPTIONS, "--loud")]
    assert places == sorted(places)
    assert calls == [("BANK", Reach("127.0.0.1:7"))]


def test_plain_text_goes_no_further_than_this_machine(told: tuple[typer.Typer, list[tuple[str, Reach]]]) -> None:
    app, calls = told

    ended = CliRunner().invoke(app, ["bank", "--plaintext", "--address", "gateway.example:7"])

    assert (ended.exit_code, "--cert, --key and --ca" in ended.output) == (2, True)
    assert calls == []


def test_stated_files_and_the_profile_of_the_commands_kind_make_credentials(
    told: tuple[typer.Typer, list[tuple[str, Reach]]], tmp_path: Path
) -> None:
    app, calls = told
    authority = Authority(tmp_path / "certs")
    authority.init()
    authority.issue(Kind.BANK, "bank-a")
    files = [str(authority.folder / name) for name in ("bank-a.pem", "bank-a.key", "ca.pem")]

    by_profile = CliRunner().invoke(app, ["bank"])
    by_files = CliRunner().invoke(app, ["bank", "--cert", files[0], "--key", files[1], "--ca", files[2]])
    in_part = CliRunner().invoke(app, ["bank", "--cert", files[0]])

    assert (by_profile.exit_code, by_files.exit_code, in_part.exit_code) == (0, 0, 2)
    assert [at.credentials is not None for _, at in calls] == [True, True]
