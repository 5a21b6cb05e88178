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
_LONGEST_IN_TALK_S: Final = 0.3
"""For a client that may wait for answers before it ends, so that each refusal takes as long: what it sent at once is there by
then."""


async def hear_out(requests: AsyncIterator[object], *, in_talk: bool = False) -> None:
    """Takes what a client still sends, and drops it; for a limited time, and without an error of its own.

    `in_talk` says that it is answered while it sends, and may wait for that: the time is shorter then.
    """
    with suppress(Exception):  # what cannot be read, or never ends: the call is refused already, and for its own reason
        async with asyncio.timeout(_LONGEST_IN_TALK_S if in_talk else _LONGEST_S):
            async for _ in requests:
                pass
