"""A client that streams is heard out before its call is refused.

A call may end while its client still writes, and HTTP/2 has the client keep the status then. Clients of grpc.aio (1.85, and
earlier; issue 36066 of gRPC) do not: a write that fails since the call has ended leaves INTERNAL in the place of the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

_LONGEST_S: Final = 1.0


async def hear_out(requests: AsyncIterator[object]) -> None:
    """Takes what a client still sends, and drops it; for a second at most, and without an error of its own."""
    with suppress(Exception):  # what cannot be read, or never ends: the call is refused already, and for its own reason
        async with asyncio.timeout(_LONGEST_S):
            async for _ in requests:
                pass
