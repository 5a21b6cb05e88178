"""The archive of answered views (归档): who gets a copy back, and how copies are sealed and deleted. Each is in the trail.

Sealing and deleting stand there twice: that it is about to be done, and how many copies it was. So nothing is done that the
trail does not know of, though it may fail in between.

A sealed copy is evidence for a decision already taken: whoever audits the bank gets it, whoever decides does not. To them it
reads like an answer that never was, so that a repaired record cannot be guessed at by asking for it.

A copy whose root does not stand in its trail is an orphan: its commit failed, or the process was killed in it, and nobody was
answered. It is not given, and `settle` takes those that a crash left back at the next start.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.domain.audit_entries import archive_entry
from gateway.domain.caller import Caller
from gateway.domain.errors import AnswerNotFoundError, CorruptRecordError, GatewayError, Reason
from gateway.domain.evidence import ArchivedView, RootStanding, SignedRoot
from gateway.domain.rights import METHOD
from gateway.ports import Clock, Rights
from gateway.store_ports import AuditLog, TrailRoots, ViewArchive

SEALED: Final = "ArchiveService/GetSealedView"
"""What is asked of the policies for a sealed copy, beside the method itself."""
TAIL: Final = 64
"""How far back from a trail's end `settle` looks for orphans: a failed commit's numbers are given to the next entries, and a
few more may come before its copies are withdrawn. Whatever is older is found by `xinyidai archive check`."""
SMALL: Final = 200
"""Copies deleted at once: few enough for a transaction that no answer waits for."""


class Archive:
    """Gives, seals and deletes copies; without a store of views it holds none."""

    def __init__(
        self, views: ViewArchive | None, audit: AuditLog, clock: Clock, rights: Rights, roots: TrailRoots
    ) -> None:
        self._views = views
        self._roots = roots
        self._audit = audit
        self._clock = clock
        self._rights = rights

    async def get(self, caller: Caller, answer_id: str) -> ArchivedView:
        """Gives the bank's copy; raises AnswerNotFoundError, CorruptRecordError or StoreError, after the trail's entry."""
        try:
            found = await self._views.find(caller.bank, answer_id) if self._views is not None else None
            if found is None or found.kept_until <= self._clock.now() or not self._may_see(caller, found):
                raise AnswerNotFoundError
            if await self._roots.standing(found.trail, found.receipt.root) is RootStanding.MISSING:
                raise AnswerNotFoundError
        except GatewayError as error:
            await self._note_read(caller, answer_id, error.reason)
            raise
        await self._note_read(caller, answer_id)
        return found

    async def settle(self, trail: str, head: int) -> int:
        """Takes back what a crash left at a trail's end, before it is written to; gives how many copies that were.

        Raises StoreError. `head` is the number of its last entry.
        """
        if self._views is None:
            return 0
        copies = await self._views.since(trail, max(0, head - TAIL))
        missing = {root for root in {copy.receipt.root for copy in copies} if await self._is_missing(trail, root)}
        orphans = [copy for copy in copies if copy.receipt.root in missing]
        if not orphans:
            return 0
        now, count = self._clock.now(), len(orphans)
        await self._audit.append(archive_entry("archive_withdrawing", now, count=count))
        await asyncio.to_thread(self._views.withdraw, orphans)
        await self._audit.append(archive_entry("archive_withdrawn", now, count=count))
        return count

    async def seal(self, caller: Caller, uscc: str, because: str) -> int:
        """Seals every copy about an enterprise; gives how many that were. Raises StoreError."""
        now = self._clock.now()
        await self._audit.append(archive_entry("archive_sealing", now, caller, uscc=uscc, reason=because))
        count = await self._views.seal(uscc, because, now) if self._views is not None else 0
        await self._audit.append(archive_entry("archive_sealed", now, caller, uscc=uscc, reason=because, count=count))
        return count

    async def delete_expired(self) -> int:
        """Deletes some of the copies whose retention has ended; gives how many that were. Raises StoreError."""
        if self._views is None:
            return 0
        now = self._clock.now()
        due = await self._views.count_expired(now, limit=SMALL)
        if not due:
            return 0
        await self._audit.append(archive_entry("archive_deleting", now, count=due))
        count = await self._views.delete_expired(now, limit=SMALL)
        await self._audit.append(archive_entry("archive_deleted", now, count=count))
        return count

    async def _is_missing(self, trail: str, root: SignedRoot) -> bool:
        try:
            return await self._roots.standing(trail, root) is RootStanding.MISSING
        except CorruptRecordError:  # a trail that was changed proves nothing against a copy; `audit verify` tells of it
            return False

    def _may_see(self, caller: Caller, copy: ArchivedView) -> bool:
        return not copy.sealed_because or self._rights.decide(caller, SEALED, METHOD).is_allowed

    async def _note_read(self, caller: Caller, answer_id: str, reason: Reason | str = "") -> None:
        await self._audit.append(
            archive_entry("archive_read", self._clock.now(), caller, answer_id=answer_id, reason=reason)
        )
