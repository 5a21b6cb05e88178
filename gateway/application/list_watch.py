"""Following joint lists: the index that screening asks, and watches that miss nothing and see nothing twice.

Changes of this process wake everybody at once; those of others are seen at the next look at the store.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import date
from typing import Final, NamedTuple

from gateway.domain.dates import china_date
from gateway.domain.errors import AdmissionError, StoreRewoundError
from gateway.domain.joint_lists import JointEntry, Provision
from gateway.domain.list_index import ListIndex
from gateway.domain.resume_token import ResumeTokens
from gateway.ports import Clock
from gateway.store_ports import JointListStore

_AT_ONCE: Final = 1_000
_RETRY_AFTER_S: Final = 30.0


class Seen(NamedTuple):
    """What a watcher is told: an entry that is shown, or one that is no more, and where to resume after it."""

    entry: JointEntry
    is_removed: bool
    resume_token: str


class ListWatch:
    """One process's look at the changes of joint lists."""

    def __init__(
        self,
        store: Callable[[], Awaitable[JointListStore]],
        clock: Clock,
        tokens: ResumeTokens,
        *,
        poll_s: float = 1.0,
        bank_most: int = 16,
    ) -> None:
        """Takes how often other processes' changes are looked for, and how many watches one bank may have at once."""
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._poll_s = poll_s
        self._index = ListIndex()
        self._indexing = asyncio.Lock()
        self._indexed_at = float("-inf")
        self._changes = 0
        self._bank_most = bank_most
        self._waiting: set[asyncio.Event] = set()
        self._of_bank: Counter[str] = Counter()
        self._is_closing = False

    async def changed(self, entries: Sequence[JointEntry]) -> None:
        """Wakes whoever waits for changes, and has the index look again before it is next asked."""
        self._indexed_at = float("-inf")
        self._changes += 1
        for event in self._waiting:
            event.set()

    def close(self) -> None:
        """Ends every watch when it has told what it knows; each is resumed elsewhere, or later, by its token."""
        self._is_closing = True
        for event in self._waiting:
            event.set()

    async def index(self) -> ListIndex:
        """Gives the index, no older than the time between looks."""
        if self._clock.monotonic() - self._indexed_at < self._poll_s:
            return self._index
        async with self._indexing:
            began = self._clock.monotonic()
            if began - self._indexed_at >= self._poll_s:
                changes = self._changes
                try:
                    await self._read_on()
                except StoreRewoundError:
                    self._index = ListIndex()
                    await self._read_on()
                if changes == self._changes:  # else what was read may be from before the change
                    self._indexed_at = began
        return self._index

    async def _read_on(self) -> None:
        store = await self._store()
        index = self._index
        if index.mark == 0:  # nothing is known yet: what stands is less than all that ever changed
            while part := await store.search(
                list_codes=(), province="", list_year=None, after=index.mark, limit=_AT_ONCE
            ):
                index.take(part)
        while part := await store.changes_since(index.mark, limit=_AT_ONCE):
            index.take(part)

    async def provisions(self) -> Sequence[Provision]:
        """Gives which province provided which list's year."""
        return await (await self._store()).provisions()

    async def watch(
        self, bank: str, list_codes: Collection[str], resume_token: str, *, ends_when_told: bool
    ) -> AsyncGenerator[Sequence[Seen], None]:
        """Gives what stands, or what changed since the token, and then every change of enterprises' entries: some at a time.

        Raises InvalidRequestError for a token that is not the bank's, AdmissionError where the bank has as many as it may:
        each looks into the store again and again.
        """
        mark = self._tokens.read(resume_token, bank, list_codes) if resume_token else 0
        if self._of_bank[bank] >= self._bank_most:
            raise AdmissionError(
                f"this bank has {self._bank_most} watches here; end one first", retry_after_s=_RETRY_AFTER_S
            )
        event = asyncio.Event()
        self._waiting.add(event)
        self._of_bank[bank] += 1
        try:
            store = await self._store()
            began_after = 0 if resume_token else await store.newest_mark()
            while True:
                event.clear()
                while part := await store.seen_since(mark, list_codes=list_codes, limit=_AT_ONCE):
                    seen: list[Seen] = []
                    for entry in part:
                        mark = entry.seen_mark
                        is_removed = not entry.is_shown(self._today())
                        # What was over before a watch began is nothing to whoever never heard of it.
                        if not entry.person_ref and not (is_removed and mark <= began_after):
                            seen.append(Seen(entry, is_removed, self._tokens.give(bank, list_codes, mark)))
                    if seen:
                        yield seen
                if ends_when_told or self._is_closing:
                    return
                try:
                    async with asyncio.timeout(self._poll_s):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiting.discard(event)
            self._of_bank[bank] -= 1
            if not self._of_bank[bank]:
                del self._of_bank[bank]

    def _today(self) -> date:
        return china_date(self._clock.now())
