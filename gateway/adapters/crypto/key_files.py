"""Files of keys, looked at while the gateway runs on with what it read from them at its start.

One that is gone, or holds another key, is no trouble of today: answers are signed and sealed as before. But the next start
fails, and of a key that stood nowhere else the process has the last copy, which ends with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from gateway.adapters.looking import Looking

_LOOK_EVERY_S: Final = 30.0
_log = structlog.get_logger("gateway.keys")


class KeyFiles:
    """Watches files by the names that the configuration has for them; made on its loop, closed by who made it.

    `told` is told how many are gone or hold another key than at the start.
    """

    def __init__(
        self, files: Mapping[str, Path], told: Callable[[int], None], *, every_s: float = _LOOK_EVERY_S
    ) -> None:
        self._files = files
        self._told = told
        self._at_start = {name: _digest(file) for name, file in files.items()}
        self._lost: frozenset[str] = frozenset()
        self._looking = Looking("keys.look", self._look, every_s=every_s)

    async def look(self) -> None:
        """Looks at each file, and logs what is new."""
        found = await asyncio.to_thread(lambda: {name: _digest(file) for name, file in self._files.items()})
        lost = frozenset(name for name, digest in found.items() if digest is None or digest != self._at_start[name])
        for name in sorted(lost - self._lost):
            why = "cannot be read" if found[name] is None else "holds another key"
            note = "the key in use is in memory only: put its file back before anything is restarted"
            _log.error("key.lost", key=name, file=str(self._files[name]), why=why, note=note)
        for name in sorted(self._lost - lost):
            _log.warning("key.back", key=name, file=str(self._files[name]))
        self._lost = lost
        self._told(len(lost))

    async def aclose(self) -> None:
        """Stops looking."""
        await self._looking.aclose()

    async def _look(self, _: bool) -> None:
        await self.look()


def _digest(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return None
