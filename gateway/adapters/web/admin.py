"""The admin port: what an operator's own machines ask, apart from the banks' port and never opened to them.

    /metrics    the page for Prometheus
    /healthz    200 while the process lives and its loop is not stuck; 503 is a reason to end it
    /readyz     200 while queries are taken; 503 before the start and while draining is a reason to send none

A loop that is stuck for good does not answer at all, which every prober takes for a failure; 503 is for one that lives but
is late for whatever it does. Bodies are plain text and say why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.adapters.telemetry.metrics import CONTENT_TYPE
from gateway.domain.errors import ConfigError

_CLOSE_S: Final = 1.0
"""How long a request under way may go on when the port closes."""


class AdminServer:
    """Answers on one address once started; `ails` and `unready` give what is wrong, or nothing where all is well."""

    def __init__(
        self, page: Callable[[], Awaitable[bytes]], *, ails: Callable[[], str], unready: Callable[[], str]
    ) -> None:
        self._page = page
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", _verdict(ails))
        app.router.add_get("/readyz", _verdict(unready))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_S)

    async def start(self, listen: str) -> int:
        """Starts listening on "host:port"; gives the port. Raises ConfigError when the address cannot be had."""
        host, _, port = listen.rpartition(":")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                [
                    f"gateway.toml: admin.listen: cannot listen on {listen}: {error.strerror or error}; "
                    "choose another port, or switch the admin port off with admin.enabled = false"
                ]
            ) from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def aclose(self) -> None:
        """Stops listening; harmless where it never started."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=await self._page(), headers={"Content-Type": CONTENT_TYPE})


def _verdict(complaint: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        what = complaint()
        return web.Response(text=f"{what or 'ok'}\n", status=503 if what else 200)

    return answer
