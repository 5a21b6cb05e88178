"""Deletes archived copies whose retention has ended, now and then, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.application.rounds import Rounds
from gateway.domain.errors import StoreError


class ArchivePurge:
    """Runs from `start` to `aclose`; several processes may, since each copy is deleted and told of once."""

    def __init__(self, delete_some: Callable[[], Awaitable[int]], *, every_s: float, pause_s: float = 0.05) -> None:
        """Takes what deletes some copies and gives how many; it is called again after a pause until there are none."""
        self._delete_some = delete_some
        self._pause_s = pause_s
        self._rounds = Rounds("archive.purge", self.run_once, every_s=every_s, is_at_once=True)
        self._deleting: asyncio.Future[int] | None = None

    def start(self) -> None:
        """Begins, at once with what is due."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Ends after the copies being deleted now are told of in the trail."""
        await self._rounds.aclose()
        if self._deleting is not None:
            await asyncio.gather(self._deleting, return_exceptions=True)

    async def run_once(self) -> None:
        """Deletes whatever is due now; a store or trail that fails is told in the log, and tried again the next time."""
        log = structlog.get_logger("gateway.store")
        total = 0
        try:
            while True:
                self._deleting = asyncio.ensure_future(self._delete_some())
                count = await asyncio.shield(self._deleting)
                if not count:
                    break
                total += count
                await asyncio.sleep(self._pause_s)
        except StoreError as error:
            log.warning("archive.not_purged", why=str(error))
        if total:
            log.info("archive.purged", views=total)
