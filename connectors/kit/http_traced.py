"""An exchange as the trace configs of its session are told of it, in the words aiohttp's own requests use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL


class TracedExchange:
    """One request under one trace config of the session, told as the session itself would."""

    def __init__(self, session: aiohttp.ClientSession, config: aiohttp.TraceConfig) -> None:
        self._session = session
        self._config = config
        self._context: SimpleNamespace = config.trace_config_ctx()

    async def began(self, method: str, base: URL, headers: dict[str, str]) -> None:
        """Tells that it begins; what is added to the headers goes out with it."""
        told = CIMultiDict(headers)
        self._request = (method, base, told)
        await self._config.on_request_start.send(
            self._session, self._context, aiohttp.TraceRequestStartParams(*self._request)
        )
        headers.update(told)

    async def ended(self, message: Any) -> None:
        """Tells the head of the answer."""
        head: Any = SimpleNamespace(status=message.code, headers=message.headers)
        await self._config.on_request_end.send(
            self._session, self._context, aiohttp.TraceRequestEndParams(*self._request, head)
        )

    async def failed(self, error: BaseException) -> None:
        """Tells that it failed."""
        await self._config.on_request_exception.send(
            self._session, self._context, aiohttp.TraceRequestExceptionParams(*self._request, error)
        )
