"""Submit, then poll: asks until the task is done, at the platform's own pace, never past the query's point in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_TIMEOUT
from gateway.domain.errors import PlatformError
from gateway.ports import Clock

T = TypeVar("T")


async def poll_until(
    ask: Callable[[], Awaitable[tuple[T | None, float]]],
    *,
    first_wait_s: float,
    fetch_by: float,
    clock: Clock,
) -> T:
    """Gives what `ask` gives once it is not None; `ask` says how long to wait before the next time, in seconds.

    Raises PlatformError TIMEOUT(pending) when the next look would come too late: the task goes on over there.
    """
    wait_s, look_s = first_wait_s, 0.0
    while True:
        if clock.monotonic() + wait_s + look_s >= fetch_by:
            raise PlatformError(OUTCOME_TIMEOUT, "pending", detail="the task is still running")
        await asyncio.sleep(wait_s)
        started = clock.monotonic()
        found, wait_s = await ask()
        if found is not None:
            return found
        look_s = 2 * (clock.monotonic() - started)  # the next look needs room to come back in
