"""Whether the machine itself was busy: a call that ends late then says nothing of the gateway.

Looked at is how late this process's loop is, how long a small write takes until it is on the disk, and how long the gateway's
processes had work and waited for a processor, as the kernel counts it (schedstat): a loop that a fault of ours holds up runs
meanwhile, and does not wait. None of them is the gateway's doing, unless it takes the whole machine.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

_TICK_S: Final = 0.05
_WRITE_S: Final = 0.25
_WAIT_S: Final = 0.25
_WAITED_S: Final = 0.05
"""A fifth of the time without a processor: what is to take a quarter of a second takes longer then."""
_BUSY_S: Final = 0.1
"""A delay that counts; the gateway keeps back a quarter of a second for the answer."""
_LATELY_S: Final = 3.0


class Machine:
    """Remembers when the machine was busy, and for how long."""

    def __init__(self) -> None:
        self._busy: list[tuple[float, float]] = []

    def was_busy(self) -> bool:
        """Whether it was busy a moment ago."""
        return any(at > time.monotonic() - _LATELY_S for at, _ in self._busy[-1:])

    def __str__(self) -> str:
        worst = max((by for _, by in self._busy), default=0.0)
        return f"the machine was busy {len(self._busy)} times, for {worst:.3f} s at worst"

    def _note(self, delay_s: float, bound_s: float = _BUSY_S) -> None:
        if delay_s > bound_s:
            self._busy.append((time.monotonic(), delay_s))

    async def _watch_loop(self) -> None:
        while True:
            due = time.monotonic() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self._note(time.monotonic() - due)

    async def _watch_disk(self, path: Path) -> None:
        while True:
            await asyncio.sleep(_WRITE_S)
            self._note(await asyncio.to_thread(_write, path))

    async def _watch_waits(self, pids: Sequence[int]) -> None:
        waited_s = [_waited_s(pid) for pid in pids]
        while True:
            await asyncio.sleep(_WAIT_S)
            before_s, waited_s = waited_s, [_waited_s(pid) for pid in pids]
            self._note(max(now - then for now, then in zip(waited_s, before_s, strict=True)), _WAITED_S)


def _waited_s(pid: int) -> float:
    """Gives how long the main thread of a process has waited for a processor; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


def _write(path: Path) -> float:
    began = time.monotonic()
    with path.open("ab") as file:
        file.write(b".")
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


@asynccontextmanager
async def watched(folder: Path, pids: Sequence[int]) -> AsyncIterator[Machine]:
    """Watches the machine, the disk of the folder and the waits of the gateway's processes while the block runs."""
    machine = Machine()
    watching = [
        asyncio.create_task(machine._watch_loop()),
        asyncio.create_task(machine._watch_disk(folder / "written")),
        asyncio.create_task(machine._watch_waits(pids)),
    ]
    try:
        yield machine
    finally:
        for task in watching:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*watching)
