"""Repairs that one process knows of (信用修复): what the merge is told, what answers tell, what other processes decided.

    stated by an operator   in force here before the decision is answered; caches that may still show the record forget it
    heard in an answer      in force here at once, kept in the store soon after: no query waits for it
    of another process      the store's logs of changes are read every `poll_s`, repairs as well as what left the joint lists

A query pays a look-up in a dict. While the store cannot be reached everything known stays in force. What was heard and not
kept yet when the process ends is heard again with the next answer that tells it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway.application.rounds import Rounds
from gateway.domain.errors import GatewayError, StoreError, StoreRewoundError
from gateway.domain.joint_lists import SHOWN, VISIBLE
from gateway.domain.keeping import RepairTombstone
from gateway.domain.merge import NONE_REPAIRED, Merged
from gateway.domain.record_repair import Heard, RecordRepair, Remembered, RepairState, SeenStale, heard_repair
from gateway.ports import Clock
from gateway.store_ports import JointListStore, RepairStore

_PAGE: Final = 1_000
_KEPT_AFTER_S: Final = 2.0
_SEEN_AGAIN_S: Final = 3_600.0
_MOST_WAITING: Final = 100_000
_log = structlog.get_logger("gateway.repairs")


class RepairStores(NamedTuple):
    """Gives the stores, opened; `is_there` says whether there is one yet: nothing is made for the sake of looking."""

    repairs: Callable[[], Awaitable[RepairStore]]
    lists: Callable[[], Awaitable[JointListStore]]
    is_there: Callable[[], bool]


class Forgets(NamedTuple):
    """What forgets: answers and views that may still show what was repaired, or the views of an enterprise only."""

    repaired: Callable[[Sequence[RepairTombstone]], Awaitable[object]]
    views: Callable[[str], None]


EntryHeard = Callable[[str, Heard], Awaitable[None]]
"""Takes that the recogniser's platform withdrew a list entry of an enterprise: it may be one that is kept here."""


class RepairMemory:
    """What this process knows; fulfils `KnownRepairs`. Made on the running loop, closed by who made it."""

    def __init__(
        self,
        stores: RepairStores,
        forgets: Forgets,
        clock: Clock,
        *,
        hub: str = "",
        poll_s: float = 1.0,
        kept_after_s: float = _KEPT_AFTER_S,
    ) -> None:
        """Takes which platform is the gateway's own: what it says is in the store already."""
        self._hub = hub
        self._entry_heard: EntryHeard | None = None
        self._entries: list[tuple[str, Heard]] = []
        self._stores = stores
        self._forgets = forgets
        self._clock = clock
        self._kept_after_s = kept_after_s
        self._by_uscc: dict[str, dict[bytes, tuple[Remembered, ...]]] = {}
        self._lifted: set[str] = set()
        self._mark = -1
        self._list_mark = 0
        self._heard: list[RecordRepair] = []
        self._seen: list[SeenStale] = []
        self._seen_at: dict[tuple[str, bytes], float] = {}
        self._keep_at = float("inf")
        self._following = Rounds("repairs.follow", self._follow, every_s=poll_s)
        self._is_lost = False

    def tell(self, entry_heard: EntryHeard) -> None:
        """Has whoever keeps the joint lists told of their entries that were heard to be withdrawn."""
        self._entry_heard = entry_heard

    def knows(self, repair_id: str, uscc: str) -> bool:
        """Whether a repair is in force."""
        return any(one.repair_id == repair_id for about in self.of(uscc).values() for one in about)

    def was_lifted(self, repair_id: str) -> bool:
        """Whether a repair was lifted."""
        return repair_id in self._lifted

    def of(self, uscc: str) -> Mapping[bytes, Sequence[Remembered]]:
        """Gives the repairs in force of an enterprise's records, by record key."""
        return self._by_uscc.get(uscc, NONE_REPAIRED)

    def note(self, uscc: str, merged: Merged, at: datetime) -> None:
        """Takes what answers told; what is news voids the enterprise's kept views, which may not know of it."""
        is_news = False
        known = self.of(uscc)
        for heard in merged.heard:
            told = (heard.status, heard.day, heard.platform)
            if heard.platform == self._hub or any(
                (one.status, one.day, one.platform) == told for one in known.get(heard.record_key, ())
            ):
                continue  # nearly always: it was heard before
            repair = heard_repair(heard, uscc, at)
            if repair is None or repair.repair_id in self._lifted or not self._apply(repair):
                continue
            is_news = True
            if len(self._heard) < _MOST_WAITING:
                self._heard.append(repair)
                if heard.category == CATEGORY_LIST_ENTRY:
                    self._entries.append((uscc, heard))
        now = self._clock.monotonic()
        for copy in merged.stale_copies:
            key = (copy.platform, copy.record_key)
            last = self._seen_at.get(key)
            if len(self._seen) < _MOST_WAITING and (last is None or now - last >= _SEEN_AGAIN_S):
                if len(self._seen_at) >= _MOST_WAITING:
                    self._seen_at.clear()
                self._seen_at[key] = now
                self._seen.append(SeenStale(copy.platform, copy.record_key, uscc, copy.category, at, at))
        if self._heard or self._seen:
            self._keep_at = min(self._keep_at, now + self._kept_after_s)
        if is_news:
            self._forgets.views(uscc)

    async def take(self, repairs: Sequence[RecordRepair]) -> None:
        """Puts repairs in force, or out of it, as they stand now; what may show otherwise is forgotten."""
        stated: list[RepairTombstone] = []
        for repair in repairs:
            if repair.state is RepairState.LIFTED:
                self._lifted.add(repair.repair_id)
            elif repair.is_in_force:
                self._lifted.discard(repair.repair_id)
            if not self._apply(repair):
                continue
            if repair.platform:
                # Answers need not be forgotten: the merge knows better now than the copies in them.
                self._forgets.views(repair.uscc)
            else:
                stated.append(RepairTombstone(repair.uscc, repair.category))
        if stated:
            await self._forgets.repaired(stated)

    async def start(self) -> None:
        """Learns what is in force and begins to follow; raises StoreError where the store is there and cannot be read.

        What left the lists before is kept nowhere here yet. Where another process makes the store later, all of it is news.
        """
        if self._stores.is_there():
            self._list_mark = await (await self._stores.lists()).newest_mark()
        await self.look()
        self._following.start()

    async def aclose(self) -> None:
        """Stops following; keeps what was heard where the store is there already."""
        await self._following.aclose()
        if (self._heard or self._seen) and self._stores.is_there():
            try:
                await self.keep()
            except StoreError as error:
                _log.warning("repairs.not_kept", reason=error.reason)

    async def look(self) -> None:
        """Takes what changed since the last look, of repairs and of joint lists; raises StoreError."""
        if not self._stores.is_there():
            return
        try:
            await self._look()
        except StoreRewoundError:
            self._mark, self._list_mark = -1, 0
            await self._look()

    async def _look(self) -> None:
        store, lists = await self._stores.repairs(), await self._stores.lists()
        while part := await store.search("", after=self._mark, limit=_PAGE):
            await self.take(part)
            self._mark = part[-1].mark
        while changed := await lists.changes_since(self._list_mark, limit=_PAGE):
            gone = {entry.uscc for entry in changed if entry.event in VISIBLE and entry.state not in SHOWN}
            if gone:
                await self._forgets.repaired([RepairTombstone(uscc, CATEGORY_LIST_ENTRY) for uscc in sorted(gone)])
            self._list_mark = changed[-1].mark

    async def keep(self) -> None:
        """Keeps what was heard and seen in the store; raises StoreError. What was not kept is kept later, or at the end."""
        self._keep_at = float("inf")
        heard, self._heard = self._heard, []
        seen, self._seen = self._seen, []
        entries, self._entries = self._entries, []
        try:
            store = await self._stores.repairs()
            if heard:
                await store.remember(heard)
                heard = []
            while entries:
                if self._entry_heard is not None:
                    await self._entry_heard(*entries[0])
                del entries[0]
            if seen:
                await store.saw(seen)
        except BaseException:  # cancelled too: at the end it is kept once more
            self._heard, self._seen = heard + self._heard, seen + self._seen
            self._entries = entries + self._entries
            self._keep_at = self._clock.monotonic() + self._kept_after_s
            raise

    async def _follow(self) -> None:
        try:
            if self._clock.monotonic() >= self._keep_at:
                await self.keep()
            await self.look()
        except GatewayError as error:  # a change of an entry may also be refused, where another one came first
            if not self._is_lost:
                _log.error("repairs.unreachable", reason=error.reason, note="what is known stays in force")
            self._is_lost = True
        else:
            if self._is_lost and self._keep_at == float("inf"):  # nothing waits to be kept: it takes changes too
                _log.info("repairs.reachable")
                self._is_lost = False

    def _apply(self, repair: RecordRepair) -> bool:
        """Whether that changed what is in force."""
        known = self._by_uscc.get(repair.uscc, {})
        about = known.get(repair.record_key, ())
        others = tuple([one for one in about if one.repair_id != repair.repair_id])
        now = (*others, repair.remembered) if repair.is_in_force else others
        if len(now) == len(about) and set(now) == set(about):
            return False
        changed = {**known, repair.record_key: now}
        if not now:
            del changed[repair.record_key]
        if changed:
            self._by_uscc[repair.uscc] = changed
        else:
            del self._by_uscc[repair.uscc]
        return True
