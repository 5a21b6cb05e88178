"""A door and those who enter by it, in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.adapters.rpc.admission import AdmissionPolicy, Admissions
from tests.adapters.simulated import LoopClock


def door(**policy: Any) -> Admissions:
    """Gives a door on the running loop's time."""
    return Admissions(AdmissionPolicy(**policy), LoopClock())


async def enter(admissions: Admissions, bank: str, *, is_batch: bool = False, within_s: float = 60.0) -> None:
    """Enters at once or waits so long; raises AdmissionError."""
    if not admissions.try_enter(bank, is_batch=is_batch):
        await admissions.wait(bank, asyncio.get_running_loop().time() + within_s, is_batch=is_batch)
