"""A simulated platform (沙箱): a real HTTP server that is as strict about signatures, clocks and nonces as a platform.

It renders the common world of raw facts in its own dialect and knows nothing of the connector's mapping or signing code.
Faults are switched on and off over a control port of its own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from aiohttp import web

from connectors.kit.enterprise import PLATFORMS, World
from connectors.kit.enterprises import make_world
from connectors.kit.sandbox_faults import KINDS, Faults

_NONCES_KEPT: Final = 100_000
CLOCK_WINDOW_S: Final = 300.0


class NonceBook:
    """Remembers nonces that were used; a replay is refused."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_fresh(self, nonce: str) -> bool:
        """Whether the nonce was not used before; it is from now on."""
        if not nonce or nonce in self._seen:
            return False
        self._seen[nonce] = None
        if len(self._seen) > _NONCES_KEPT:
            self._seen.popitem(last=False)
        return True


class SimulatedPlatform(ABC):
    """What every sandbox is made of; a dialect adds its routes.

    The world knows what four platforms hold. A fifth says by `holds_facts_of` which of them it holds the same facts as, and
    asks the world by its own name like the four.
    """

    platform: str
    holds_facts_of: str | None = None

    def __init__(self, world: World) -> None:
        if self.holds_facts_of is not None:
            if self.holds_facts_of not in PLATFORMS:
                raise ValueError(f"holds_facts_of: {self.holds_facts_of!r}; use one of {', '.join(PLATFORMS)}")
            for enterprise in world.enterprises.values():
                enterprise.share(self.holds_facts_of, self.platform)
        self.world = world
        self.faults = Faults()

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Gives the dialect's routes."""


class Running:
    """A sandbox that is up."""

    def __init__(self, simulated: SimulatedPlatform, host: str) -> None:
        self.simulated = simulated
        self._host = host
        self._app = web.Application(middlewares=[simulated.faults.middleware()])
        self._app.add_routes(simulated.routes())
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.1)
        self._site: web.TCPSite | None = None
        self._control_runner: web.AppRunner | None = None
        self._port = 0
        self._control_port = 0

    @property
    def url(self) -> str:
        """Where the platform answers."""
        return f"http://{self._host}:{self._port}"

    @property
    def control_url(self) -> str:
        """Where its faults are switched on and off."""
        return f"http://{self._host}:{self._control_port}"

    async def start(self, port: int, control_port: int) -> None:
        """Starts platform and control port; 0 takes a free one."""
        await self._runner.setup()
        await self._listen(port)
        control = web.Application()
        control.add_routes(
            [
                web.get("/faults", self._get_faults),
                web.post("/faults", self._set_fault),
                web.delete("/faults", self._clear_faults),
                web.post("/repairs", self._repair),
            ]
        )
        self._control_runner = web.AppRunner(control, access_log=None, shutdown_timeout=0.1)
        await self._control_runner.setup()
        site = web.TCPSite(self._control_runner, self._host, control_port)
        await site.start()
        self._control_port = self._control_runner.addresses[0][1]

    async def _listen(self, port: int) -> None:
        self._site = web.TCPSite(self._runner, self._host, port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def set_fault(self, kind: str, **settings: Any) -> None:
        """Switches a fault on, as the control port does."""
        self.simulated.faults.set(kind, **settings)
        if kind == "refuse" and self._site is not None:
            await self._site.stop()
            self._site = None
            for connection in list(self._runner.server.connections if self._runner.server else ()):
                if connection.transport is not None:
                    connection.transport.abort()

    async def clear_faults(self) -> None:
        """Switches all faults off; a platform that refused listens again on its port."""
        self.simulated.faults.clear()
        if self._site is None:
            await self._listen(self._port)

    async def _get_faults(self, request: web.Request) -> web.Response:
        faults = self.simulated.faults
        return web.json_response({"active": faults.active, "calls": faults.calls, "kinds": KINDS})

    async def _set_fault(self, request: web.Request) -> web.Response:
        settings: dict[str, Any] = await request.json()
        try:
            await self.set_fault(settings.pop("kind", ""), **settings)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._get_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        await self.clear_faults()
        return await self._get_faults(request)

    async def _repair(self, request: web.Request) -> web.Response:
        """Takes {"uscc", "kind", "on"}: from that day what this platform holds of the kind is repaired, or off its list."""
        asked: dict[str, str] = await request.json()
        try:
            enterprise = self.simulated.world.enterprises[asked["uscc"]]
            count = enterprise.repair(self.simulated.platform, asked["kind"], date.fromisoformat(asked["on"]))
        except (KeyError, ValueError) as error:
            return web.json_response({"error": repr(error)}, status=400)
        return web.json_response({"repaired": count})

    async def aclose(self) -> None:
        """Stops it; calls under way are cut off."""
        for runner in (self._runner, self._control_runner):
            if runner is not None:
                await runner.cleanup()
        await asyncio.sleep(0)


class SandboxOf:
    """What an entry point of the group `xinyidai.sandboxes` names, for a platform of this kit."""

    def __init__(self, kind: type[SimulatedPlatform], credentials: Mapping[str, str]) -> None:
        self._kind = kind
        self._credentials = credentials

    def credentials(self) -> Mapping[str, str]:
        """Gives the credentials its connector needs; worthless anywhere but at this sandbox."""
        return self._credentials

    async def start(self, host: str, port: int, control_port: int, *, enterprises: int, seed: int) -> Running:
        """Starts the platform; port 0 takes a free one."""
        running = Running(self._kind(make_world(enterprises, seed)), host)
        await running.start(port, control_port)
        return running
