"""Files of keys that are lost under a running gateway, and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from structlog.testing import capture_logs

from gateway.adapters.crypto.key_files import KeyFiles
from gateway.key_bootstrap import key_files
from tests.shipped import shipped_settings

_FOR_EVER = 3_600.0


def keys(folder: Path) -> Mapping[str, Path]:
    files = {name: folder / name for name in ("signing", "archive")}
    for name, file in files.items():
        file.write_text(f"the key of {name}")
    return files


async def test_A11_a_key_whose_file_is_gone_or_holds_another_is_told_once_and_when_it_is_back(tmp_path: Path) -> None:
    files = keys(tmp_path)
    lost: list[int] = []
    watch = KeyFiles(files, lost.append, every_s=_FOR_EVER)

    with capture_logs() as logs:
        await watch.look()
        files["signing"].unlink()
        files["archive"].write_text("")
        await watch.look()
        await watch.look()
        files = keys(tmp_path)
        await watch.look()
    await watch.aclose()

    assert lost == [0, 2, 2, 0]
    assert [(log["event"], log["key"], log.get("why")) for log in logs] == [
        ("key.lost", "archive", "holds another key"),
        ("key.lost", "signing", "cannot be read"),
        ("key.back", "archive", None),
        ("key.back", "signing", None),
    ]


def test_what_is_watched_is_what_the_configuration_names_by_file_and_what_was_made(tmp_path: Path) -> None:
    settings = shipped_settings()
    gateway = settings.gateway
    stated = gateway.model_copy(
        update={
            "archive": gateway.archive.model_copy(update={"enabled": True}),
            "consent": gateway.consent.model_copy(update={"masking_key": "env:MASKING_KEY"}),
            "store": gateway.store.model_copy(update={"seal_key": "file:/safe/seal"}),
        }
    )

    watched = key_files(replace(settings, gateway=stated), tmp_path / "audit.jsonl")

    assert watched == {
        "store.seal_key": Path("/safe/seal"),
        "evidence.signing_key": tmp_path / "evidence-ed25519.pem",
        "evidence.archive_keys[0]": tmp_path / "archive-aes-256-gcm.key",
    }
