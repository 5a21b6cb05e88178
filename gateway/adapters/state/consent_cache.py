"""Consents at hand: what this process keeps of the store of consents, and how soon it learns that it may not.

    own change         what was kept is forgotten before the change is given back
    another process's  the store's log of changes is read every `poll_s`: each change forgets what was kept of it
    busy process       whoever finds that the last look was too long ago looks, once for all who wait: not each for its own
    store rewound      everything kept is forgotten: which changes are missing, or came in their place, is not known
    store unreachable  nothing kept is trusted for longer than `trusted_s` after the last look at the log
    look failed        by a fault of ours or of a driver: all that is kept is forgotten, nothing trusted until a look is well

So a revocation is effective in every process within `trusted_s` at the latest, well under a second. A consent with a limit
of uses is never kept: the store alone knows how many are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from gateway.application.rounds import Rounds
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange
from gateway.domain.errors import StoreError, StoreRewoundError
from gateway.ports import Clock
from gateway.store_ports import ConsentStore

POLL_S: Final = 0.4
TRUSTED_S: Final = 0.9
_MOST: Final = 100_000
_PAGE: Final = 1_000
_log = structlog.get_logger("gateway.consents")


class CachedConsents:
    """A store of consents with what is kept of it in front; made on the running loop, closed by who made it."""

    def __init__(
        self,
        store: ConsentStore,
        clock: Clock,
        *,
        most: int = _MOST,
        poll_s: float = POLL_S,
        trusted_s: float = TRUSTED_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._trusted_s = trusted_s
        self._kept: dict[tuple[str, str], Consent] = {}
        self._trusted_until = float("-inf")
        self._mark: int | None = None
        self._forgettings = 0
        self._told: list[Callable[[str, str, ConsentState], None]] = []
        self._following = Rounds("consents.follow", self._follow, every_s=poll_s, failed=self._distrust)
        self._looking: asyncio.Task[None] | None = None
        self._is_lost = False

    def tell(self, told: Callable[[str, str, ConsentState], None]) -> None:
        """Has every change told, by bank, consent and state after it, as soon as this process knows of it."""
        self._told.append(told)

    async def itself(self) -> ConsentStore:
        """Gives itself, for whoever opens its store when it first needs it."""
        return self

    async def start(self) -> None:
        """Begins to follow the log of changes; raises StoreError when the store cannot be reached."""
        await self.catch_up()
        self._following.start()

    async def aclose(self) -> None:
        """Stops following."""
        await self._following.aclose()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def catch_up(self) -> None:
        """Forgets what has changed since the last look; raises StoreError when the store cannot be reached."""
        try:
            await self._catch_up()
        except StoreRewoundError:
            self._distrust()
            self._mark = None
            await self._catch_up()

    async def _catch_up(self) -> None:
        looked_at = self._clock.monotonic()
        if self._mark is None:
            self._mark = await self._store.newest_mark()
            self._forgettings += 1  # a look-up that is under way may be from before a change that this mark is after
        else:
            changes = await self._store.versions_since(self._mark, limit=_PAGE)
            while changes:
                for change in changes:
                    self._forget(change.bank, change.consent_id, change.state)
                self._mark = changes[-1].mark
                changes = await self._store.versions_since(self._mark, limit=_PAGE) if len(changes) >= _PAGE else ()
        self._trusted_until = looked_at + self._trusted_s

    def at_hand(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank as it was within the last second, if it is kept; never waits."""
        kept = self._kept.get((bank, consent_id))
        return kept if kept is not None and self._clock.monotonic() < self._trusted_until else None

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank as it was within the last second; None when it has no such one."""
        kept = self.at_hand(bank, consent_id)
        if kept is not None:
            return kept
        key = (bank, consent_id)
        if key in self._kept:
            await self._look()
            kept = self.at_hand(bank, consent_id)
            if kept is not None:
                return kept
        before = self._forgettings
        found = await self._store.get(bank, consent_id)
        # What was forgotten meanwhile may have been this one: then what was read may be from before its change.
        if found is not None and not found.max_uses and before == self._forgettings and self._mark is not None:
            if len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found
        return found

    async def register(self, consent: Consent, *, request_id: str = "", request_digest: bytes = b"") -> Consent:
        """Keeps a new consent in the store, as that does."""
        return await self._store.register(consent, request_id=request_id, request_digest=request_digest)

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> Sequence[Consent]:
        """Gives the store's."""
        return await self._store.list(bank, uscc, after=after, limit=limit)

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        """Changes the store's consent; what was kept of it is forgotten, whatever came of the change."""
        try:
            changed = await self._store.change(bank, consent_id, expected_version, state, at, reason)
        except BaseException:
            self._drop((bank, consent_id))
            raise
        self._forget(bank, consent_id, changed.state)
        return changed

    async def use(self, bank: str, consent_id: str, version: int, at: datetime) -> Consent | None:
        """Takes a use in the store, which alone knows how many are left."""
        return await self._store.use(bank, consent_id, version, at)

    async def history(self, bank: str, consent_id: str, *, limit: int) -> Sequence[ConsentChange]:
        """Gives the store's."""
        return await self._store.history(bank, consent_id, limit=limit)

    async def newest_mark(self) -> int:
        """Gives the store's."""
        return await self._store.newest_mark()

    async def versions_since(self, mark: int, *, limit: int = _PAGE) -> Sequence[ConsentChange]:
        """Gives the store's."""
        return await self._store.versions_since(mark, limit=limit)

    async def _follow(self) -> None:
        try:
            await self.catch_up()
        except StoreError as error:
            if not self._is_lost:
                _log.error("consents.unreachable", reason=error.reason, note="asked of the store one by one")
            self._is_lost = True
        else:
            if self._is_lost:
                _log.info("consents.reachable")
            self._is_lost = False

    def _distrust(self) -> None:
        """Forgets all that is kept, and what is being looked up meanwhile: which changes it missed is not known."""
        self._kept.clear()
        self._forgettings += 1
        self._trusted_until = float("-inf")

    async def _look(self) -> None:
        """Reads the log once for all who wait for it; one that cannot be read leaves nothing to be trusted."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self.catch_up())
            self._looking.add_done_callback(_read)
        await asyncio.wait([self._looking])

    def _forget(self, bank: str, consent_id: str, state: ConsentState) -> None:
        self._drop((bank, consent_id))
        for told in self._told:
            told(bank, consent_id, state)

    def _drop(self, key: tuple[str, str]) -> None:
        self._kept.pop(key, None)
        self._forgettings += 1


def _read(looked: asyncio.Task[None]) -> None:
    """Marks a failure as seen: who waited asks the store itself, and is told by that."""
    if not looked.cancelled():
        looked.exception()
