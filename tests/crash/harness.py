"""Runs a story that is cut short, and looks at what is left: what was promised is there, whole, and work goes on."""

from __future__ import annotations

import asyncio
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
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from gateway.adapters.state.clock import SystemClock
from gateway.adapters.stores.archive_check import check_archive
from gateway.adapters.stores.audit_file import FileAuditLog
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.kept_answers import KeptAnswers
from gateway.adapters.stores.trail_files import trails_of
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.application.archive import Archive
from gateway.domain.caller import Role
from gateway.domain.errors import AnswerNotFoundError
from gateway.domain.merkle import is_included, root_message
from gateway.domain.statement import sm3
from gateway.domain.trail import TrailCheck
from gateway.store_ports import ViewArchive
from tests.adapters.evidence import KeyCipher
from tests.adapters.policies import caller, rights
from tests.crash.story import ROUNDS, copy_of, entry, open_store, open_trail, packed, trail_in
from tests.domain.trails import KEY

ROOT: Final = Path(__file__).resolve().parents[2]
RESTART_S: Final = 5.0
"""How long a start after a crash may take."""
RIGHTS: Final = rights()
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
    orphans: list[str] = field(default_factory=list)
    """Copies nobody was answered with, as far as they were looked for."""

    @property
    def entries(self) -> Counter[str]:
        """The acknowledged entries of the trails."""
        return Counter(line.split()[1] for line in self.told if line.startswith("entry "))

    @property
    def receipts(self) -> dict[str, str]:
        """The receipts of acknowledged entries that were signed and archived."""
        stated = [line.split() for line in self.told if line.startswith("entry ")]
        return {words[1]: words[2] for words in stated if len(words) > 2}

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


class Stopwatch:
    """How long something took in all, what is checked in between left out."""

    def __init__(self) -> None:
        self.s = 0.0

    @contextlib.contextmanager
    def runs(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.s += time.monotonic() - began


async def assert_all_is_kept(left: Left, folder: Path, *, writers: int = 1) -> None:
    """Starts on a folder that a crash left, as a gateway would, and holds it against what was acknowledged."""
    restart = Stopwatch()
    entries: Counter[str] = Counter()
    with restart.runs():
        door = open_store(folder)
        views = await door.views(KeyCipher())
    for writer in range(writers):
        with restart.runs():
            trail = open_trail(folder, writer, views)
            archive = archive_of(folder, trail, views)
        if not writer:
            await assert_copies_are_kept(left, archive, views)
        with restart.runs():
            await archive.settle(trail.id, trail.head.sequence)
        path = trail_in(folder, writer)
        lines = path.read_text().splitlines()
        read = [json.loads(line) for line in lines]
        entries += Counter(each["answer_id"] for each in read if each["event"] == "answered")
        with restart.runs():
            await trail.append(entry(f"next-{writer}"), copy_of(f"next-{writer}"))
        await trail.aclose()
        assert f'"answer_id":"next-{writer}"' in path.read_text()
        assert_chain_holds(path)
    trails = [KeptAnswers(each) for each in trails_of(folder / "audit.jsonl")]
    checked = await check_archive(views, FileTrailRoots(folder / "audit.jsonl"), trails, pause_s=0)
    await assert_consents_are_kept(left, door)

    assert checked.is_sound, f"a copy nobody was answered with, or an answer without its copy: {checked}"
    assert not checked.elsewhere
    assert checked.copies >= len(left.receipts)

    assert not (left.entries - entries), "an acknowledged entry is missing"
    assert set(entries.values()) <= {1}, "an entry stands twice"
    assert restart.s < RESTART_S
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert plain.execute("PRAGMA foreign_key_check").fetchall() == []


async def assert_answers_are_kept(left: Left, url: str) -> None:
    """Starts on the trail that a crash left and the server it archived in; holds both against what was acknowledged."""
    folder, door = left.folder, open_store(left.folder, url)
    try:
        views = await door.views(KeyCipher())
        trail = open_trail(folder, 0, views)
        archive = archive_of(folder, trail, views)
        await assert_copies_are_kept(left, archive, views)
        await archive.settle(trail.id, trail.head.sequence)
        await trail.append(entry("next"), copy_of("next"))
        await trail.aclose()
        assert_chain_holds(trail_in(folder, 0))
        checked = await check_archive(views, FileTrailRoots(folder / "audit.jsonl"), pause_s=0)
        assert checked.is_sound
        await asyncio.to_thread(views.withdraw, [copy async for _, copy in views.every() if copy is not None])
    finally:
        await door.aclose()


def archive_of(folder: Path, trail: FileAuditLog, views: ViewArchive) -> Archive:
    """Gives the archive as a bank asks it, before a trail that was just opened."""
    roots = FileTrailRoots(folder / "audit.jsonl", lambda: (trail.name, trail.head.sequence))
    return Archive(views, trail, SystemClock(), RIGHTS, roots)


async def assert_copies_are_kept(left: Left, archive: Archive, views: SqlViewArchive) -> None:
    """Holds what a bank is given against what was acknowledged, before anything is put right: no more, and no less."""
    asked = caller(Role.BANK_QUERY)
    written = {answer_id async for (_, answer_id), _ in views.every()}
    for answer_id in written | set(left.receipts):
        try:
            given = await archive.get(asked, answer_id)
        except AnswerNotFoundError:
            assert answer_id not in left.receipts, "an acknowledged copy is missing"
            left.orphans.append(answer_id)
            continue
        assert given.view == copy_of(answer_id).view
        assert is_included(given.receipt, sm3)
        KEY.public_key().verify(given.receipt.root.signature, root_message(given.receipt.root))
        assert answer_id not in left.receipts or packed(given.receipt) == left.receipts[answer_id]


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
