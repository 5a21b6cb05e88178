"""Runs a story that is cut short, and looks at what is left: what was promised is there, whole, and work goes on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from gateway.adapters.stores.door import StoreDoor
from gateway.domain.trail import TrailCheck
from tests.crash.story import ROUNDS, entry, open_store, open_trail

ROOT: Final = Path(__file__).resolve().parents[2]
RESTART_S: Final = 5.0
"""How long a start after a crash may take."""
FOR_EVER: Final = 1_000_000_000


class How(IntEnum):
    """What happens at the write point, as the shim numbers it."""

    COUNT = 0
    KILL = 1
    TEAR = 2
    FAIL_WRITES = 3
    FAIL_SYNCS = 4
    FAIL_OPENS = 5
    LIE = 6
    """Every sync is said to be done, and none is."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a story left behind: its folder, what of it had been synced, what was told, and how each process ended."""

    folder: Path
    synced: Path
    told: tuple[str, ...]
    ends: tuple[int, ...]
    points: int
    """Write points that were met; 0 where a process was killed."""

    @property
    def entries(self) -> Counter[str]:
        """The acknowledged entries of the trails."""
        return Counter(line.split()[1] for line in self.told if line.startswith("entry "))

    @property
    def consents(self) -> dict[str, int]:
        """The newest acknowledged version of each consent."""
        stated = [line.split() for line in self.told if line.startswith("consent ")]
        return {words[1]: int(words[2]) for words in stated}

    @property
    def failed(self) -> list[str]:
        """What failed, with the reason."""
        return [line.removeprefix("failed ") for line in self.told if line.startswith("failed ")]


class Crashes:
    """The server of stories; made by `crashes`."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._count = 0

    def run(
        self,
        story: str,
        *,
        at: int = 0,
        until: int | None = None,
        how: How = How.COUNT,
        error_number: int = errno.EIO,
        writers: int = 1,
        writer: int = 0,
        kill_after_s: float | None = None,
        after: Left | None = None,
        url: str = "",
        armed: Path | None = None,
        count: int = ROUNDS,
    ) -> Left:
        """Runs a story in processes of its own; what happens does so from write point `at` to `until` (None: only at it).

        It goes on in the folder of the story that it comes `after`, if it does; `url` is a store elsewhere, and `armed` the
        folder whose files (or sockets) count where that is not the story's own.
        """
        self._count += 1
        mine = self._folder / str(self._count)
        folder, synced, told = after.folder if after else mine / "var", mine / "synced", mine / "told"
        for made in (folder, synced):
            made.mkdir(parents=True, exist_ok=True)
        job = {
            "story": story, "folder": str(folder), "synced": str(synced), "told": str(told), "at": at,
            "until": at if until is None else until, "how": how, "error_number": error_number, "writers": writers, "writer": writer,
            "kill_after_s": kill_after_s, "url": url, "armed": str(armed or folder), "count": count,
        }  # fmt: skip
        if self._server.stdin is None or self._server.stdout is None:
            raise AssertionError("the server has no pipes")
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        ends = json.loads(self._server.stdout.readline())
        points = told.with_suffix(".points")
        return Left(
            folder,
            synced,
            tuple(told.read_text().splitlines()) if told.exists() else (),
            tuple(ends),
            int(points.read_text()) if points.exists() else 0,
        )

    def forget(self, left: Left) -> None:
        """Removes what a story left."""
        shutil.rmtree(left.folder.parent)


@contextlib.contextmanager
def crashes(folder: Path) -> Iterator[Crashes]:
    """Compiles the shim, starts the server of stories under it, and ends it."""
    shim = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            shim,
            source,
            "-ldl",
        ],
        check=True,
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim)},
    )  # fmt: skip
    try:
        yield Crashes(server, folder)
    finally:
        if server.stdin is not None:
            server.stdin.close()
        server.wait(30)


async def assert_all_is_kept(left: Left, folder: Path, *, writers: int = 1) -> None:
    """Starts on a folder that a crash left, as a gateway would, and holds it against what was acknowledged."""
    began = time.monotonic()
    entries: Counter[str] = Counter()
    for writer in range(writers):
        trail = open_trail(folder, writer)
        path = folder / f"audit-{writer}.jsonl"
        lines = path.read_text().splitlines()
        answered = [json.loads(line).get("answer_id") for line in lines]  # other entries are about no answer
        entries += Counter(answer_id for answer_id in answered if answer_id)
        await trail.append(entry(f"next-{writer}"))
        await trail.aclose()
        assert f'"answer_id":"next-{writer}"' in path.read_text()
        assert_chain_holds(path)
    await assert_consents_are_kept(left, open_store(folder))
    took_s = time.monotonic() - began

    assert not (left.entries - entries), "an acknowledged entry is missing"
    assert set(entries.values()) <= {1}, "an entry stands twice"
    assert took_s < RESTART_S
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert plain.execute("PRAGMA foreign_key_check").fetchall() == []


async def assert_consents_are_kept(left: Left, door: StoreDoor) -> None:
    """Opens a store, holds it against what was acknowledged, and closes it."""
    try:
        await door.check()
        store = await door.consents()
        for consent_id, version in left.consents.items():
            kept = await store.get("bank-a", consent_id)
            assert kept is not None, "an acknowledged consent is missing"
            assert kept.version in (version, version + 1), "an acknowledged change is missing"
            history = await store.history("bank-a", consent_id, limit=100)
            assert [change.version for change in history] == list(range(1, kept.version + 1))
            assert history[-1].state is kept.state
    finally:
        await door.aclose()


def assert_chain_holds(path: Path) -> None:
    """Holds a trail's file: whole lines, each chained to the one before, and every root that of its leaves."""
    content = path.read_bytes()
    assert content.endswith(b"\n")
    check = TrailCheck()
    for line in content.splitlines():
        check.take(line)
        assert check.finding is None
