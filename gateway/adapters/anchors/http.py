"""Anchors heads at an HTTP receiver: a bank's or a regulator's notary (公证).

Each head is posted as JSON; any status from 200 to 299 says that it is kept. Whatever else happens, the next head is posted
at its time: a head that comes later proves all entries before it too.
"""

from __future__ import annotations

import aiohttp

from gateway.domain.anchor import TrailHead, head_line
from gateway.domain.errors import StoreError

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


class HttpAnchor:
    """Posts heads to an address by a session that is allowed to reach it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def publish(self, head: TrailHead) -> None:
        """Posts the head; raises StoreError where it is not received."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                self._url, data=head_line(head), headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StoreError(f"the receiver of anchors cannot be reached: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise StoreError(f"the receiver of anchors answers {status}")

    async def aclose(self) -> None:
        """Does nothing: the session is its owner's."""
