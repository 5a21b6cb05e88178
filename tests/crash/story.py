"""The story that is cut short: trail and consents are written by the real adapters, and what was acknowledged is told at once.

It is told to a file of its own, by a plain write as each promise is made: what stands there was promised to somebody.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN, CreditView, QueryScope
from gateway.adapters.stores.audit_file import FileAuditLog
from gateway.adapters.stores.door import StoreDoor, open_database
from gateway.adapters.stores.schema import downgrade, upgrade
from gateway.adapters.stores.trail_batch import Evidence
from gateway.domain.audit import AuditEntry
from gateway.domain.audit_entries import audit_entry
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import ConfigError, StoreError
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.domain.statement import sm3
from gateway.store_ports import ConsentStore, ViewArchive
from tests.adapters.evidence import KeyCipher
from tests.adapters.stores.consents import DEMO, NOON, consent
from tests.domain.trails import KeySigner

ROUNDS: Final = 3
AT_ONCE: Final = 4
"""Entries that come together, so that a group commit has company."""
QUERY: Final = CreditQuery(Uscc.parse(DEMO), PURPOSE_PRE_LOAN, (5,), ("a",), bank="bank-a", operator="op-7")


@dataclass(frozen=True, slots=True)
class Job:
    """One process: where it writes, where it tells, and which of several it is; no `url` means an SQLite file there."""

    folder: Path
    told: Path
    writer: int = 0
    url: str = ""
    count: int = ROUNDS

    def tell(self, *words: str | int) -> None:
        """Says what was promised."""
        file = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
        os.close(file)


def open_trail(folder: Path, writer: int = 0, views: ViewArchive | None = None) -> FileAuditLog:
    """Gives the trail of a writer; each has its own, as the workers of a gateway have. With an archive, it signs."""
    evidence = Evidence(KeySigner(), "SM3", sm3, views) if views is not None else None
    return FileAuditLog(trail_in(folder, writer), evidence=evidence)


def trail_in(folder: Path, writer: int) -> Path:
    """Gives where the trail of a writer stands."""
    return folder / f"audit.{writer}.jsonl"


async def open_both(job: Job) -> tuple[FileAuditLog, StoreDoor]:
    """Gives a trail that signs and archives what is answered, and the store it does that in."""
    door = open_store(job.folder, job.url)
    return open_trail(job.folder, job.writer, await door.views(KeyCipher())), door


def open_store(folder: Path, url: str = "") -> StoreDoor:
    """Gives the door to the store that all writers share."""
    return StoreDoor(url or sqlite_in(folder))


def sqlite_in(folder: Path) -> str:
    """Gives the address of the SQLite file of a folder."""
    return f"sqlite+aiosqlite:///{folder / 'store.db'}"


def entry(answer_id: str) -> AuditEntry:
    """Gives the entry of an answered query."""
    return audit_entry("answered", QUERY, None, (), answer_id=answer_id, at=datetime(2026, 11, 26, tzinfo=UTC))


def copy_of(answer_id: str) -> ViewCopy:
    """Gives what is archived of an answer."""
    view = CreditView(view_id=answer_id, query=QueryScope(uscc=DEMO, purpose=PURPOSE_PRE_LOAN))
    return ViewCopy(view.SerializeToString(), DEMO, sm3(answer_id.encode()), "enterprise")


def packed(receipt: Receipt) -> str:
    """Gives a receipt as one word."""
    return msgspec.msgpack.encode(receipt).hex()


def numbered(writer: int, number: int) -> Consent:
    """Gives a consent of a writer that may be used a few times."""
    return consent(1_000 * (writer + 1) + number, max_uses=5)


async def everything(job: Job) -> None:
    """Consents are registered, used, paused and revoked, and queries answered, a few of each; then all is closed."""
    trail, door = await open_both(job)
    for number in range(ROUNDS):
        store = await door.consents()
        one = await store.register(numbered(job.writer, number))
        _tell(job, one)
        used = await store.use(one.bank, one.consent_id, one.version, NOON)
        if used is None:
            raise AssertionError("a consent of its own could not be used")
        _tell(job, used)
        await asyncio.gather(*(_answer(trail, job, f"{job.writer}-{number}-{n}") for n in range(AT_ONCE)))
        state = (ConsentState.PAUSED, ConsentState.REVOKED)[number % 2]
        _tell(job, await store.change(one.bank, one.consent_id, used.version, state, NOON, "as told"))
    await trail.aclose()
    await door.aclose()


async def endlessly(job: Job) -> None:
    """The same, round by round, until somebody ends it."""
    trail, door = await open_both(job)
    store = await door.consents()
    number = 0
    while True:
        await _round(store, trail, job, number)
        number += 1


async def consents_alone(job: Job) -> None:
    """What `everything` does with the store."""
    door = open_store(job.folder, job.url)
    store = await door.consents()
    for number in range(ROUNDS):
        one = await store.register(numbered(job.writer, number))
        _tell(job, one)
        used = await store.use(one.bank, one.consent_id, one.version, NOON)
        if used is not None:
            _tell(job, used)
    await door.aclose()


async def upgrading(job: Job) -> None:
    """Brings a schema to the newest revision."""
    database = open_database(job.url or sqlite_in(job.folder))
    await upgrade(database)
    await database.aclose()
    job.tell("upgraded")


async def downgrading(job: Job) -> None:
    """Takes a schema back to the first revision."""
    database = open_database(job.url or sqlite_in(job.folder))
    await downgrade(database, "0001")
    await database.aclose()
    job.tell("downgraded")


async def hasty(job: Job) -> None:
    """Promises first and writes then: what the harness must find out."""
    trail = open_trail(job.folder, job.writer)
    for number in range(ROUNDS):
        job.tell("entry", f"hasty-{number}")
        await trail.append(entry(f"hasty-{number}"))
    await trail.aclose()


async def answers_alone(job: Job) -> None:
    """What `everything` does with the trail."""
    trail = open_trail(job.folder, job.writer)
    for number in range(ROUNDS):
        await _answer(trail, job, f"{job.writer}-{number}")
    await trail.aclose()


async def answers_archived(job: Job) -> None:
    """Signs and archives answers, two at a time."""
    trail, door = await open_both(job)
    for number in range(ROUNDS):
        await asyncio.gather(*(_answer(trail, job, f"{number}-{n}") for n in range(2)))
    await trail.aclose()
    await door.aclose()


async def many_changes(job: Job) -> None:
    """So many consents one after another, in whatever company."""
    door = open_store(job.folder, job.url)
    store = await door.consents()
    for number in range(job.count):
        one = await store.register(consent(10_000 * (job.writer + 1) + number))
        _tell(job, one)
    await door.aclose()


async def with_a_failing_disk(job: Job) -> None:
    """Writes on whatever the disk says, and tells what failed and why; what is read in between is told as well."""
    trail, door = open_trail(job.folder, job.writer), open_store(job.folder, job.url)
    for number in range(ROUNDS):
        for n in range(2):
            await _tried(job, f"entry {number}-{n}", lambda name=f"{number}-{n}": _answer(trail, job, name))  # type: ignore[misc]
        await _tried(job, f"consent {number}", lambda number=number: _register(door, job, number))  # type: ignore[misc]
    job.tell("door", "red" if door.is_red else "green")
    await _tried(job, "aclose", trail.aclose)
    await door.aclose()


async def archiving_on_a_failing_disk(job: Job) -> None:
    """Opens both, then lets the disk fail as it will, and answers on: each answer is archived, or fails."""
    trail, door = await open_both(job)
    for number in range(ROUNDS):
        await asyncio.gather(
            *(
                _tried(job, f"entry {number}-{n}", lambda name=f"{number}-{n}": _answer(trail, job, name))  # type: ignore[misc]
                for n in range(2)
            )
        )
    await _tried(job, "aclose", trail.aclose)
    await door.aclose()


async def on_a_read_only_disk(job: Job) -> None:
    """Starts as a gateway does, trail first."""

    async def trail() -> None:
        await open_trail(job.folder, job.writer).aclose()

    await _tried(job, "trail", trail)
    await _tried(job, "store", open_store(job.folder, job.url).check)


async def with_files_that_may_not_grow(job: Job) -> None:
    """Has room at first, then none, then room again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    trail, door = open_trail(job.folder, job.writer), open_store(job.folder, job.url)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def both(name: str, number: int) -> None:
        await _tried(job, f"entry {name}", lambda: _answer(trail, job, name))
        await _tried(job, f"consent {number}", lambda: _register(door, job, number))

    await both("before", 0)
    room = trail_in(job.folder, job.writer).stat().st_size + 20  # what is told takes less
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    await both("full", 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await both("after", 2)
    await door.aclose()
    await trail.aclose()


STORIES: Final[Mapping[str, Callable[[Job], Awaitable[None]]]] = {
    one.__name__: one
    for one in (
        everything,
        endlessly,
        consents_alone,
        upgrading,
        downgrading,
        hasty,
        answers_alone,
        answers_archived,
        many_changes,
        with_a_failing_disk,
        archiving_on_a_failing_disk,
        on_a_read_only_disk,
        with_files_that_may_not_grow,
    )
}


async def _round(store: ConsentStore, trail: FileAuditLog, job: Job, number: int) -> None:
    one = await store.register(numbered(job.writer, number))
    _tell(job, one)
    await _answer(trail, job, f"{job.writer}-{number}")
    used = await store.use(one.bank, one.consent_id, one.version, NOON)
    if used is not None:
        _tell(job, used)


async def _answer(trail: FileAuditLog, job: Job, answer_id: str) -> None:
    receipt = await trail.append(entry(answer_id), copy_of(answer_id))
    job.tell("entry", answer_id, *([packed(receipt)] if receipt is not None else []))


async def _register(door: StoreDoor, job: Job, number: int) -> None:
    _tell(job, await (await door.consents()).register(numbered(job.writer, number)))


def _tell(job: Job, one: Consent) -> None:
    job.tell("consent", one.consent_id, one.version)


async def _tried(job: Job, what: str, attempt: Callable[[], Awaitable[Any]]) -> None:
    try:
        await attempt()
    except (StoreError, ConfigError) as error:
        job.tell("failed", what, type(error).__name__, str(error))
