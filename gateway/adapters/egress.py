"""Egress: the gateway's session talks to the hosts its configuration declares, and to no other.

The check stands below pooling and redirects, so neither a connector's mistake nor an address smuggled in by a platform's
answer leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiohttp
from yarl import URL


class DeclaredHostsConnector(aiohttp.TCPConnector):
    """A TCP connector for declared (host, port) pairs only."""

    def __init__(self, addresses: Iterable[str], **settings: Any) -> None:
        super().__init__(**settings)
        self._declared = {(url.host, url.port) for url in map(URL, addresses)}

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: Any) -> Any:
        """Connects, or raises aiohttp.InvalidURL for a host that is not declared."""
        if (req.url.host, req.url.port) not in self._declared:
            raise aiohttp.InvalidURL(f"{req.url.host}:{req.url.port}", "is not a declared host")
        return await super().connect(req, traces, timeout)
