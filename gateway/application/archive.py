"""The archive of answered views (归档): who gets a copy back, and how copies are sealed and deleted. Each is in the trail.

Sealing and deleting stand there twice: that it is about to be done, and how many copies it was. So nothing is done that the
trail does not know of, though it may fail in between.

A sealed copy is evidence for a decision already taken: whoever audits the bank gets it, whoever decides does not. To them it
reads like an answer that never was, so that a repaired record cannot be guessed at by asking for it.

A copy is given as it was sent or not at all, since its digest proves its very bytes: whoever may not ask today for all that
it answered is refused it whole. That holds for whoever decides, not for whoever audits: what was known then is the evidence.

A copy whose root does not stand in its trail is an orphan: its commit failed, or the process was killed in it, and nobody was
answered. It is not given, and `settle` takes those that a crash left back at the next start. A crash leaves those of the
commit that was under way; where the archive has more than that after a trail's last entry, or the trail's anchors know of
entries after it, the trail was cut or put back to an older state, the copies are what is left of answers that were given,
and nothing is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import CreditView
from gateway.application.rights import require_readable
from gateway.domain.audit_entries import archive_entry
from gateway.domain.caller import Caller
from gateway.domain.errors import (
    AnswerNotFoundError,
    CorruptRecordError,
    GatewayError,
    PolicyDeniedError,
    Reason,
    StoreError,
)
from gateway.domain.evidence import ArchivedView, RootStanding, SignedRoot
from gateway.domain.rights import METHOD
from gateway.ports import Clock, Rights
from gateway.store_ports import AuditLog, TrailRoots, ViewArchive

SEALED: Final = "ArchiveService/GetSealedView"
"""What is asked of the policies beside the method itself: whether copies are evidence to the caller, sealed ones too."""
TAIL: Final = 64
"""How far back from a trail's end `settle` looks for orphans: a failed commit's numbers are given to the next entries, and a
few more may come before its copies are withdrawn. Whatever is older is found by `xinyidai archive check`."""
_MOST_LEFT: Final = 10_000
"""How many copies `settle` looks at: more than one commit has."""
SMALL: Final = 200
"""Copies deleted at once: few enough for a transaction that no answer waits for."""
_MOST_MOVED: Final = timedelta(days=1)
"""By how much a clock may be corrected, or a machine sleep, before what it says is no reason to delete anything."""


class Archive:
    """Gives, seals and deletes copies; without a store of views it holds none."""

    def __init__(
        self, views: ViewArchive | None, audit: AuditLog, clock: Clock, rights: Rights, roots: TrailRoots
    ) -> None:
        self._views = views
        self._roots = roots
        self._audit = audit
        self._clock = clock
        self._began, self._began_s = clock.now(), clock.monotonic()
        self._rights = rights

    async def get(self, caller: Caller, answer_id: str) -> ArchivedView:
        """Gives the bank's copy; raises after the trail's entry.

        AnswerNotFoundError, PolicyDeniedError where the caller may not ask for all of it now, CorruptRecordError, StoreError.
        """
        found: ArchivedView | None = None
        try:
            found = await self._views.find(caller.bank, answer_id) if self._views is not None else None
            if found is None or found.kept_until <= self._clock.now():
                raise AnswerNotFoundError
            is_evidence = self._rights.decide(caller, SEALED, METHOD).is_allowed
            if found.sealed_because and not is_evidence:
                raise AnswerNotFoundError
            if await self._roots.standing(found.trail, found.receipt.root) is RootStanding.MISSING:
                raise AnswerNotFoundError
            if not is_evidence:
                require_readable(self._rights, caller, CreditView.FromString(found.view))
        except GatewayError as error:
            policy = error.policy if isinstance(error, PolicyDeniedError) else ""
            await self._note_read(caller, answer_id, found, error.reason, policy)
            raise
        await self._note_read(caller, answer_id, found)
        return found

    async def settle(self, trail: str, head: int, is_anchored_beyond: Callable[[], bool] = lambda: False) -> int:
        """Takes back what a crash left at a trail's end, before it is written to; gives how many copies that were.

        Raises StoreError, also for a trail that was cut. `head` is the number of its last entry; whether anchors know of a
        later one is asked, in a thread, where copies are left of one commit only, as a crash leaves them too.
        """
        if self._views is None:
            return 0
        copies = await self._views.since(trail, max(0, head - TAIL), limit=_MOST_LEFT)
        missing = {root for root in {copy.receipt.root for copy in copies} if await self._is_missing(trail, root)}
        beyond = [root for root in missing if root.sequence > head]
        if beyond and (_follow_each_other(beyond) or await asyncio.to_thread(is_anchored_beyond)):
            raise StoreError(
                f"the archive holds answers of this trail from after its last entry, {head}: it was cut, or an older one was "
                "put back. They were not deleted. Keep it with its .lock as evidence, see `xinyidai audit verify`, and move "
                "both away to begin a new trail"
            )
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
        """Deletes some of the copies whose retention has ended; gives how many that were. Raises StoreError.

        Nothing is deleted by a clock that was moved: by one that is years ahead the whole archive would be due.
        """
        if self._views is None:
            return 0
        now = self._clock.now()
        if self._was_moved(now):
            raise StoreError(
                "the clock was moved by more than a day since the start; restart the gateway once it is right"
            )
        due = await self._views.count_expired(now, limit=SMALL)
        if not due:
            return 0
        await self._audit.append(archive_entry("archive_deleting", now, count=due))
        count = await self._views.delete_expired(now, limit=SMALL)
        await self._audit.append(archive_entry("archive_deleted", now, count=count))
        return count

    def _was_moved(self, now: datetime) -> bool:
        ran = timedelta(seconds=self._clock.monotonic() - self._began_s)
        return abs(now - self._began - ran) > _MOST_MOVED

    async def _is_missing(self, trail: str, root: SignedRoot) -> bool:
        try:
            return await self._roots.standing(trail, root) is RootStanding.MISSING
        except CorruptRecordError:  # a trail that was changed proves nothing against a copy; `audit verify` tells of it
            return False

    async def _note_read(
        self, caller: Caller, answer_id: str, found: ArchivedView | None, reason: Reason | str = "", policy: str = ""
    ) -> None:
        now, uscc = self._clock.now(), found.uscc if found is not None else ""
        await self._audit.append(
            archive_entry("archive_read", now, caller, answer_id=answer_id, uscc=uscc, reason=reason, policy=policy)
        )


def _follow_each_other(roots: Sequence[SignedRoot]) -> bool:
    """Whether one may have been written after another: those of failed commits have each the numbers after one last entry."""
    earliest = min((root.sequence for root in roots), default=0)
    return any(root.sequence - root.leaf_count > earliest for root in roots)
