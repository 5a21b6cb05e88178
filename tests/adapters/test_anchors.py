"""Anchors: one suite for the file and the receiver, and the schedule that tells when they fail for too long."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiohttp import web

from gateway.adapters.anchors.file import FileAnchor
from gateway.adapters.anchors.http import HttpAnchor
from gateway.adapters.anchors.schedule import Anchoring, AnchorPolicy, signed_head
from gateway.adapters.egress import DeclaredHostsConnector
from gateway.domain.anchor import TrailHead, head_line, heads_by_sequence
from gateway.domain.errors import StoreError
from gateway.domain.trail import Link
from gateway.store_ports import Anchor
from tests.domain.trails import KeySigner
from tests.verifier.test_verify_trail import verify

AT = datetime(2026, 11, 26, tzinfo=UTC)


def head(sequence: int) -> TrailHead:
    return signed_head("audit.jsonl", Link(sequence, f"{sequence:064x}"), AT, KeySigner())


class Place:
    """Where heads go: what was kept there, and whether it takes any."""

    def __init__(self, anchor: Anchor, path: Path) -> None:
        self.anchor = anchor
        self.path = path
        self.posted: list[bytes] | None = None
        self.is_down = False

    def kept(self) -> list[bytes]:
        if self.posted is not None:
            return self.posted
        return self.path.read_bytes().splitlines(keepends=True) if self.path.is_file() else []

    def break_down(self, *, is_down: bool) -> None:
        self.is_down = is_down
        if self.posted is None:
            # A folder in the file's place: what cannot be opened to append to.
            if is_down:
                self.path.rename(self.path.with_suffix(".away")) if self.path.exists() else None
                self.path.mkdir()
            else:
                self.path.rmdir()
                away = self.path.with_suffix(".away")
                away.rename(self.path) if away.exists() else None


@pytest.fixture(params=["file", "http"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    path = tmp_path / "elsewhere" / "anchors.jsonl"
    if request.param == "file":
        yield Place(FileAnchor(path), path)
        return
    async with AsyncExitStack() as stack:

        async def take(request: web.Request) -> web.Response:
            if there.is_down:
                return web.Response(status=503)
            assert request.content_type == "application/json"
            posted.append(await request.read())
            return web.Response(status=201)

        posted: list[bytes] = []
        app = web.Application()
        app.router.add_post("/heads", take)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/heads"
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=DeclaredHostsConnector([url])))
        there = Place(HttpAnchor(url, session), path)
        there.posted = posted
        yield there


async def test_heads_are_kept_one_after_the_other_and_prove_their_entries(place: Place) -> None:
    await place.anchor.publish(head(7))
    await place.anchor.publish(head(12))

    assert place.kept() == [head_line(head(7)), head_line(head(12))]
    assert heads_by_sequence(place.kept(), "audit.jsonl", verify) == {7: f"{7:064x}", 12: f"{12:064x}"}
    await place.anchor.aclose()


async def test_an_anchor_that_fails_says_so_and_takes_the_next_head(place: Place) -> None:
    await place.anchor.publish(head(1))
    place.break_down(is_down=True)
    with pytest.raises(StoreError, match="anchors"):
        await place.anchor.publish(head(2))
    place.break_down(is_down=False)

    await place.anchor.publish(head(3))

    assert place.kept() == [head_line(head(1)), head_line(head(3))]


async def test_a_receiver_that_is_not_declared_is_not_reached() -> None:
    async with aiohttp.ClientSession(connector=DeclaredHostsConnector(["http://127.0.0.1:1"])) as session:
        with pytest.raises(StoreError, match="InvalidU"):
            await HttpAnchor("http://127.0.0.1:2/heads", session).publish(head(1))


class Trail:
    """A trail that is nothing but its end."""

    name = "audit.jsonl"

    def __init__(self) -> None:
        self.head = Link(0, "")
        self.stopped = ""

    def grow(self) -> None:
        sequence = self.head.sequence + 1
        self.head = Link(sequence, f"{sequence:064x}")

    def stop(self, because: str) -> None:
        self.stopped = because


class Kept:
    """An anchor in memory."""

    def __init__(self) -> None:
        self.heads: list[TrailHead] = []
        self.is_down = False
        self.is_closed = False

    async def publish(self, head: TrailHead) -> None:
        if self.is_down:
            raise StoreError("the receiver is down")
        self.heads.append(head)

    async def aclose(self) -> None:
        self.is_closed = True


class Hanging(Kept):
    """An anchor that takes no head and does not say so, until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.goes_on = asyncio.Event()

    async def publish(self, head: TrailHead) -> None:
        self.asked += 1
        await self.goes_on.wait()
        await super().publish(head)


class Seen:
    """What an observer is told."""

    def __init__(self) -> None:
        self.failures = 0
        self.late: list[int] = []

    def anchor_failed(self) -> None:
        self.failures += 1

    def anchors_late(self, count: int) -> None:
        self.late.append(count)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.at


async def test_a_head_is_published_when_the_trail_has_grown_and_only_then() -> None:
    trail, kept = Trail(), Kept()
    anchoring = Anchoring(trail, {"url": kept}, KeySigner(), Time(), Seen(), AnchorPolicy())

    await anchoring.round()
    trail.grow()
    await anchoring.round()
    await anchoring.round()
    trail.grow()
    anchoring.start()
    await anchoring.aclose()

    assert kept.heads == [head(1), head(2)]
    assert kept.is_closed


@pytest.mark.parametrize("stops", [False, True])
async def test_A12_within_grace_it_goes_on_and_after_it_an_anchor_is_late_and_stops_only_where_it_must(
    stops: bool,
) -> None:
    trail, kept, other, seen, time = Trail(), Kept(), Kept(), Seen(), Time()
    policy = AnchorPolicy(grace_s=600, stops_after_grace=stops)
    anchoring = Anchoring(trail, {"file": other, "url": kept}, KeySigner(), time, seen, policy)
    kept.is_down = True
    told = []
    for at in (0, 60, 599, 600, 660):
        time.at = at
        trail.grow()
        await anchoring.round()
        told.append((anchoring.late, bool(trail.stopped)))
    kept.is_down = False
    await anchoring.round()
    told.append((anchoring.late, bool(trail.stopped)))

    assert told == [((), False)] * 3 + [(("url",), stops)] * 2 + [((), False)]
    assert (seen.failures, seen.late) == (5, [1, 0])
    assert [each.sequence for each in other.heads] == [1, 2, 3, 4, 5]
    assert [each.sequence for each in kept.heads] == [5]


async def test_an_anchor_that_hangs_becomes_late_holds_up_no_other_and_is_asked_once_until_it_is_back() -> None:
    trail, hanging, other, seen, time = Trail(), Hanging(), Kept(), Seen(), Time()
    policy = AnchorPolicy(grace_s=600, stops_after_grace=True, longest_s=0.01)
    anchoring = Anchoring(trail, {"nfs": hanging, "url": other}, None, time, seen, policy)
    told = []
    for at in (0, 599, 600):
        time.at = at
        trail.grow()
        await anchoring.round()
        told.append((anchoring.late, bool(trail.stopped)))
    asked = hanging.asked
    hanging.goes_on.set()
    await anchoring.round()
    await anchoring.round()

    assert told == [((), False), ((), False), (("nfs",), True)]
    assert (asked, seen.failures, seen.late) == (1, 3, [1, 0])
    assert [each.sequence for each in other.heads] == [1, 2, 3]
    assert [each.sequence for each in hanging.heads] == [1, 3]
    assert (anchoring.late, trail.stopped) == ((), "")


async def test_a_schedule_ends_though_an_anchor_hangs() -> None:
    trail, hanging = Trail(), Hanging()
    policy = AnchorPolicy(longest_s=0.01)
    anchoring = Anchoring(trail, {"nfs": hanging}, None, Time(), Seen(), policy)
    trail.grow()
    await anchoring.round()

    anchoring.start()
    await anchoring.aclose()

    assert (hanging.asked, hanging.is_closed, hanging.heads) == (1, True, [])


_ENDS_THOUGH_IT_HANGS = """
import asyncio, os, sys
from pathlib import Path
from gateway.adapters.anchors.file import FileAnchor
from gateway.domain.anchor import TrailHead

async def main():
    publishing = asyncio.create_task(FileAnchor(Path(sys.argv[1])).publish(TrailHead("audit.jsonl", 1, "00", "")))
    done, _ = await asyncio.wait([publishing], timeout=0.1)
    assert not done
    publishing.cancel()

asyncio.run(main())
"""


def test_the_process_ends_though_a_file_of_anchors_hangs(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    os.mkfifo(path)  # to open it waits for whoever reads it: for ever, as of a disk whose server is gone

    ended = subprocess.run([sys.executable, "-c", _ENDS_THOUGH_IT_HANGS, str(path)], timeout=30, check=False)

    assert ended.returncode == 0


async def test_an_anchor_that_fails_in_a_way_of_its_own_is_told_of_and_asked_again() -> None:
    class Odd(Kept):
        async def publish(self, head: TrailHead) -> None:
            if self.is_down:
                raise RuntimeError("can't start new thread")
            await super().publish(head)

    trail, odd, seen = Trail(), Odd(), Seen()
    anchoring = Anchoring(trail, {"file": odd}, None, Time(), seen, AnchorPolicy())
    odd.is_down = True
    trail.grow()
    await anchoring.round()
    odd.is_down = False
    await anchoring.round()

    assert seen.failures == 1
    assert [each.sequence for each in odd.heads] == [1]


async def test_anchors_are_late_though_what_signs_heads_fails_in_a_way_of_its_own() -> None:
    class Odd(KeySigner):
        def sign(self, message: bytes) -> bytes:
            raise AttributeError("a fault of a module's library")

    trail, seen, time = Trail(), Seen(), Time()
    anchoring = Anchoring(trail, {"url": Kept()}, Odd(), time, seen, AnchorPolicy(grace_s=600))
    trail.grow()
    await anchoring.round()
    time.at = 600
    await anchoring.round()

    assert (anchoring.late, seen.failures) == (("url",), 2)


async def test_a_head_is_not_taken_where_the_anchors_disk_is_another_than_before(tmp_path: Path) -> None:
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.fail("needs two disks, of which one is /dev/shm")
    mounted = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        there, below = tmp_path / "mount", tmp_path / "below"
        below.mkdir()
        there.symlink_to(mounted)
        anchor = FileAnchor(there / "anchors.jsonl")
        with structlog.testing.capture_logs() as logs:
            await anchor.publish(head(1))
            there.unlink()
            there.symlink_to(below)
            with pytest.raises(StoreError, match="another disk"):
                await anchor.publish(head(2))
            there.unlink()
            there.symlink_to(mounted)
            await anchor.publish(head(3))

        kept = (mounted / "anchors.jsonl").read_bytes().splitlines(keepends=True)
        assert kept == [head_line(head(1)), head_line(head(3))]
        assert list(below.iterdir()) == []
        assert [entry["event"] for entry in logs] == ["anchor.made"]
    finally:
        shutil.rmtree(mounted)
