"""Another process on one store of consents: permits by what it keeps of them, and tells when it would release no more.

    python -m tests.bench.follower URL

The first call about an enterprise gets a permit; the second waits until what was fetched under it may not be released any
more, and gives when that was, by the clock that all processes of the machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time

from gateway.domain.consent import Permit
from gateway.domain.errors import ConsentError
from tests.bench.child import run, serve
from tests.bench.lookup import consents_at, permit_of, question

_LOOK_S = 0.001


async def main(told: asyncio.Event) -> None:
    """Follows until told to end."""
    permits: dict[bytes, Permit] = {}
    async with consents_at(sys.argv[1]) as (_, authoriser):

        async def ask(uscc: bytes) -> bytes:
            query = question(uscc.decode())
            if uscc not in permits:
                permits[uscc] = await permit_of(authoriser, query)
                return b""
            try:
                while True:
                    rechecked = authoriser.recheck(query, permits[uscc])
                    if rechecked is not None:
                        await rechecked
                    await asyncio.sleep(_LOOK_S)
            except ConsentError:
                return f"{time.monotonic():.6f}".encode()

        await serve(ask, told, request=None, response=None)


if __name__ == "__main__":
    run(main)
