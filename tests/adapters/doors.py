"""A door and those who enter by it, on a loop whose time passes only when nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway.adapters.rpc.admission import AdmissionPolicy, Admissions

T = TypeVar("T")


class _NoWaiting(selectors.SelectSelector):
    """Instead of waiting lets the time pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only when nothing else is left to do; also the clock of what runs on it."""

    def __init__(self) -> None:
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    monotonic = time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)


def simulated(story: Coroutine[Any, Any, T]) -> T:
    """Runs the story on such a loop."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


def door(**policy: Any) -> Admissions:
    """Gives a door on the running loop's time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Admissions(AdmissionPolicy(**policy), loop)


async def enter(admissions: Admissions, bank: str, *, is_batch: bool = False, within_s: float = 60.0) -> None:
    """Enters at once or waits so long; raises AdmissionError."""
    if not admissions.try_enter(bank, is_batch=is_batch):
        await admissions.wait(bank, asyncio.get_running_loop().time() + within_s, is_batch=is_batch)
