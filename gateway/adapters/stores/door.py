"""The door to the store: opened when it is first needed, watched from then on, closed with the gateway.

A gateway that needs no consents pays nothing for the store, neither its file nor the import of what reads it: so everything
of SQLAlchemy is imported here, in functions. What is there already is looked at when the gateway starts: a schema that is
behind or half done is a reason not to start. An SQLite file is brought to the newest schema by itself; a server's database
only by `xinyidai store upgrade`, since other versions of the gateway may be at work on it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from gateway.application.rounds import Rounds
from gateway.domain.errors import ConfigError, StoreUnavailableError
from gateway.store_ports import Cipher, ConsentStore, JointListStore, RepairStore

if TYPE_CHECKING:
    from gateway.adapters.stores.engine import Database
    from gateway.adapters.stores.view_archive import SqlViewArchive

_LOOK_S: Final = 2.0
_log = structlog.get_logger("gateway.store")


class StoreDoor:
    """Opens the store at an address; `password` takes the place of the one in it, if any is given."""

    def __init__(
        self,
        url: str,
        password: str | None = None,
        *,
        seal_key: bytes = b"",
        changed: Callable[[], None] = lambda: None,
        corrupt: Callable[[str], None] = lambda kind: None,
    ) -> None:
        """Takes what consents are sealed with, and what is called when the store comes to be out of reach or back.

        `corrupt` is told, on the loop, of each record that is found altered when it is read: of consents or of the archive.
        """
        self._corrupt = corrupt
        self._seal_key = seal_key
        self._url = url
        self._password = password
        self._file = url.partition(":///")[2] if url.startswith("sqlite") else None
        self._changed = changed
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._consents: ConsentStore | None = None
        self._joint_lists: JointListStore | None = None
        self._repairs: RepairStore | None = None
        self._watch = Rounds("store.look", self.look, every_s=_LOOK_S, failed=self._not_seen)
        self._has_failed = False
        self._opened_file: tuple[int, int] | None = None
        self._is_lost = False
        self._is_unseen = False
        self._was_red = False

    @property
    def is_red(self) -> bool:
        """Whether the store could not be opened, or was and cannot be reached, changed or looked at any more."""
        opened = self._database
        has_gone = opened is not None and (opened.is_read_only or not opened.is_reachable)
        return self._has_failed or self._is_lost or self._is_unseen or has_gone

    @property
    def is_there(self) -> bool:
        """Whether there is a store already: opened, a server's, or a file that some process has made."""
        return self._database is not None or self._file is None or os.path.exists(self._file)  # noqa: PTH110  # the cheaper one

    async def check(self) -> None:
        """Opens a store that is there already; raises ConfigError for a schema that is not right, StoreUnavailableError."""
        if self.is_there:
            await self._open()

    async def consents(self) -> ConsentStore:
        """Gives the store of consents, opening it the first time; raises StoreUnavailableError when that fails."""
        if self._consents is not None:
            return self._consents
        try:
            opened = await self._open()
        except (ConfigError, StoreUnavailableError) as error:
            self._tell(has_failed=True)
            _log.error("store.not_opened", why=str(error))
            raise StoreUnavailableError(
                "the store of consents cannot be opened; the operator's log says why"
            ) from error
        self._tell(has_failed=False)
        return opened

    async def views(self, cipher: Cipher) -> SqlViewArchive:
        """Gives the archive, encrypted with that cipher, opening the store; raises ConfigError, StoreUnavailableError."""
        await self._open()
        from gateway.adapters.stores.view_archive import SqlViewArchive

        if self._database is None:
            raise StoreUnavailableError("the store is closed")
        return SqlViewArchive(self._database, cipher, lambda: self._corrupt("archive"))

    async def joint_lists(self) -> JointListStore:
        """Gives the store of joint lists, opening it the first time; raises StoreUnavailableError when that fails."""
        if self._joint_lists is None:
            await self.consents()
            from gateway.adapters.stores.joint_list_store import SqlJointListStore

            assert self._database is not None  # opened with the other
            self._joint_lists = SqlJointListStore(self._database)
        return self._joint_lists

    async def repairs(self) -> RepairStore:
        """Gives the store of records' repairs, opening it the first time; raises StoreUnavailableError when that fails.

        Unlike the others it is first needed in the middle of answering: what reads it is loaded in a thread.
        """
        if self._repairs is None:
            if self._database is None:
                await asyncio.to_thread(importlib.import_module, "gateway.adapters.stores.schema")
            await self.consents()
            from gateway.adapters.stores.repair_store import SqlRepairStore

            assert self._database is not None  # opened with the other
            self._repairs = SqlRepairStore(self._database)
        return self._repairs

    async def aclose(self) -> None:
        """Closes what was opened."""
        await self._watch.aclose()
        if self._database is not None:
            await self._database.aclose()

    async def _open(self) -> ConsentStore:
        async with self._opening:
            if self._consents is not None:
                return self._consents
            from gateway.adapters.stores.consent_seal import Seal
            from gateway.adapters.stores.consent_store import SqlConsentStore
            from gateway.adapters.stores.schema import make_right
            from gateway.adapters.stores.wholeness import require_whole, settle

            seal = Seal(self._seal_key)
            is_new = self._file is not None and not _holds_anything(Path(self._file))
            database = open_database(self._url, self._password)
            try:
                await require_whole(database)
                await settle(database)
                await make_right(database, seal)
            except BaseException:
                await database.aclose()
                raise
            if is_new:
                note = "it holds no consent and no copy; was there one before?"
                _log.warning("store.made", file=self._file, note=note)
            self._opened_file = self._file_there()
            self._database = database
            self._consents = SqlConsentStore(database, seal, lambda: self._corrupt("consents"))
            self._watch.start()
            return self._consents

    def _tell(self, *, has_failed: bool) -> None:
        if has_failed != self._has_failed:
            self._has_failed = has_failed
            self._changed()

    async def look(self) -> None:
        """Looks whether the opened database answers, and whether its file still stands at its path."""
        if self._database is None:
            return
        await self._database.ping()
        was_lost = self._is_lost
        self._is_lost = await asyncio.to_thread(self._file_there) != self._opened_file
        if self._is_lost and not was_lost:  # SQLite does not see it: what is written goes where nobody will find it
            note = "it was removed or replaced while in use; stop the gateway, put the right file there, start"
            _log.error("store.lost", file=self._file, note=note)
        self._is_unseen = False
        self._tell_if_turned()

    def _not_seen(self) -> None:
        """A store that cannot be looked at, by a fault of ours or of a driver, may be in any state."""
        self._is_unseen = True
        self._tell_if_turned()

    def _tell_if_turned(self) -> None:
        if self.is_red != self._was_red:
            self._was_red = self.is_red
            self._changed()

    def _file_there(self) -> tuple[int, int] | None:
        """Gives which file stands at the path, None where there is none or the store is a server's."""
        try:
            found = os.stat(self._file) if self._file else None  # noqa: PTH116
        except OSError:
            return None
        return None if found is None else (found.st_dev, found.st_ino)


def _holds_anything(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def open_database(url: str, password: str | None = None, *, is_patient: bool = False) -> Database:
    """Gives the database at an address, not connected yet; makes a file where that is. Raises ConfigError.

    A patient one lets a command take as long as it takes: a migration of many rows does.
    """
    from gateway.adapters.stores.engine import Database, parse_url
    from gateway.adapters.stores.server_connections import COMMAND_S

    parsed = parse_url(url)
    if password is not None:
        parsed = parsed.set(password=password)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT, 0o600))  # as the trail: for nobody else to read
        except OSError as error:
            raise ConfigError([f"gateway.toml: store.url: {parsed.database}: {error.strerror}"]) from error
    return Database(parsed, command_s=None if is_patient else COMMAND_S)
