"""Which files hold keys that a running gateway has in memory, and what watches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.adapters.crypto.key_files import KeyFiles
from gateway.settings import Settings

_FILE = "file:"


def watch_keys(settings: Settings, trail: Path, told: Callable[[int], None], stack: AsyncExitStack) -> None:
    """Watches the files of keys until the stack closes; `told` is told how many are lost."""
    files = key_files(settings, trail)
    if files:
        stack.push_async_callback(KeyFiles(files, told).aclose)


def key_files(settings: Settings, trail: Path) -> Mapping[str, Path]:
    """Gives the files by the names of their keys: of what is stated, and what was made beside the trail."""
    gateway = settings.gateway
    references = {
        "audit.digest_key": gateway.audit.digest_key,
        "consent.masking_key": gateway.consent.masking_key,
        "lists.token_key": gateway.lists.token_key,
        "store.seal_key": gateway.store.seal_key,
    }
    if gateway.archive.enabled or gateway.evidence.is_stated:
        keys = gateway.evidence.references(trail)
        references["evidence.signing_key"] = keys.signing
        references |= {f"evidence.archive_keys[{at}]": key for at, key in enumerate(keys.archive)}
    return {name: Path(key.removeprefix(_FILE)) for name, key in references.items() if key.startswith(_FILE)}
