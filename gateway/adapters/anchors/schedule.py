"""Anchors the trail's head on a schedule, wherever it is configured to, and tells when that fails for too long.

An anchor that fails is tried again at its next time. Within the grace period the gateway goes on, and the operator is told
once; after it the anchor is late: flagged, and, only where it is configured so, nothing is answered until it is back.

An anchor may also hang, as a disk across a network does whose server is gone: nobody waits for it longer than a while, it
fails as any other does, and it is given no further head before it has done with that one, so that no more than one thread
hangs with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog

from gateway.application.rounds import Rounds
from gateway.domain.anchor import TrailHead
from gateway.domain.errors import StoreError
from gateway.domain.trail import Link
from gateway.ports import Clock
from gateway.store_ports import Anchor, Signer

_LAST_S: Final = 2.0
_log = structlog.get_logger("gateway.anchor")


class Trail(Protocol):
    """What is anchored."""

    @property
    def name(self) -> str:
        """Its name, in every head."""
        ...

    @property
    def head(self) -> Link:
        """The end of what is durable."""
        ...

    def stop(self, because: str) -> None:
        """Takes no more entries; with no reason, takes them again."""
        ...


class AnchorObserver(Protocol):
    """Whoever counts what becomes of heads."""

    def anchor_failed(self) -> None:
        """One anchor did not take a head."""
        ...

    def anchors_late(self, count: int) -> None:
        """So many anchors have taken no head for longer than the grace period."""
        ...


@dataclass(frozen=True, slots=True)
class AnchorPolicy:
    """How often, for how long it may fail, whether nothing is answered after that, and how long a head is waited for."""

    every_s: float = 60.0
    grace_s: float = 3_600.0
    stops_after_grace: bool = False
    longest_s: float = 20.0


@dataclass(slots=True)
class _Standing:
    """How one anchor does: up to which entry it has heads, and since when it fails."""

    sequence: int = 0
    failing_since: float | None = None
    is_late: bool = False
    under_way: asyncio.Task[int] | None = None
    """The publishing of a head that has not ended; gives which entry it is of."""


class Anchoring:
    """Publishes heads to anchors by their names; started on the running loop, closed by who made it."""

    def __init__(
        self,
        trail: Trail,
        anchors: Mapping[str, Anchor],
        signer: Signer | None,
        clock: Clock,
        observer: AnchorObserver,
        policy: AnchorPolicy,
    ) -> None:
        self._trail = trail
        self._anchors = anchors
        self._signer = signer
        self._clock = clock
        self._observer = observer
        self._policy = policy
        self._standings = {name: _Standing() for name in anchors}
        self._rounds = Rounds("anchor.schedule", self.round, every_s=policy.every_s, is_at_once=True)
        self._has_begun = False

    def start(self) -> None:
        """Begins the schedule, at once."""
        self._has_begun = True
        self._rounds.start()

    @property
    def late(self) -> tuple[str, ...]:
        """Names the anchors that have taken no head for longer than the grace period."""
        return tuple([name for name, standing in self._standings.items() if standing.is_late])

    async def round(self) -> None:
        """Publishes the head to every anchor that has not this one yet."""
        link = self._trail.head
        behind = [name for name, standing in self._standings.items() if standing.sequence < link.sequence]
        if behind:
            try:
                head = await asyncio.to_thread(signed_head, self._trail.name, link, self._clock.now(), self._signer)
            except Exception as error:  # whatever it is: that the anchors are late must be seen
                why = str(error) if isinstance(error, StoreError) else f"no head is signed: {type(error).__name__}"
                for name in behind:
                    self._failed(name, why)
            else:
                await asyncio.gather(*[self._publish(name, head) for name in behind])
        self._judge()

    async def aclose(self) -> None:
        """Ends the schedule, after a last head."""
        await self._rounds.aclose()
        if self._has_begun:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self.round()
        hanging = [standing.under_way for standing in self._standings.values() if standing.under_way is not None]
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        for anchor in self._anchors.values():
            await anchor.aclose()

    async def _publish(self, name: str, head: TrailHead) -> None:
        standing = self._standings[name]
        task = standing.under_way
        if task is None:
            task = standing.under_way = asyncio.create_task(_published(self._anchors[name], head))
        longest_s = self._policy.longest_s
        await asyncio.wait([task], timeout=longest_s)
        if not task.done():
            self._failed(name, f"it hangs: a head was not taken within {longest_s:g} s")
            return
        standing.under_way = None
        try:
            standing.sequence = task.result()
        except StoreError as error:
            self._failed(name, str(error))
            return
        except Exception as error:  # the schedule goes on: an anchor that is asked no more would fail unseen
            self._failed(name, f"it failed in a way of its own: {type(error).__name__}")
            return
        if standing.failing_since is not None:
            standing.failing_since = None
            _log.info("anchor.back", anchor=name, sequence=standing.sequence)

    def _failed(self, name: str, why: str) -> None:
        self._observer.anchor_failed()
        standing = self._standings[name]
        if standing.failing_since is None:
            standing.failing_since = self._clock.monotonic()
            _log.warning("anchor.failed", anchor=name, why=why)

    def _judge(self) -> None:
        now, before = self._clock.monotonic(), self.late
        for standing in self._standings.values():
            since = standing.failing_since
            standing.is_late = since is not None and now - since >= self._policy.grace_s
        late = self.late
        if late == before:
            return
        self._observer.anchors_late(len(late))
        for name in late:
            if name not in before:
                _log.error("anchor.late", anchor=name, grace_s=self._policy.grace_s)
        if self._policy.stops_after_grace:
            names = ", ".join(late)
            because = f"the trail was not anchored ({names}) for {self._policy.grace_s:g} s, as this gateway must"
            self._trail.stop(because if late else "")


async def _published(anchor: Anchor, head: TrailHead) -> int:
    """Gives the number of the entry up to which the anchor has heads once it has this one."""
    await anchor.publish(head)
    return head.sequence


def signed_head(trail: str, link: Link, at: datetime, signer: Signer | None) -> TrailHead:
    """Gives the head of a trail, signed where there is who signs; raises SigningUnavailableError."""
    time = at.isoformat(timespec="milliseconds")
    if signer is None:
        return TrailHead(trail, link.sequence, link.hash, time)
    head = TrailHead(trail, link.sequence, link.hash, time, signer.algorithm, signer.key_id)
    return msgspec.structs.replace(head, signature=signer.sign(head.message).hex())
