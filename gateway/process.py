"""A gateway that is up in this process: how it starts to serve, is told to read its files anew, drains and ends."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.adapters.rights.reload import PolicyWatch
from gateway.adapters.rpc.server import RpcServer
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.adapters.telemetry.metrics import Metrics
from gateway.adapters.web.admin import AdminServer
from gateway.adapters.web.lifecycle import Stage, ails, unready
from gateway.application.query_credit import CreditQueries
from gateway.domain.merge import Merger
from gateway.identity_reload import BankWatch
from gateway.ports import Connector

_LAST_ENTRIES_S: Final = 5.0
_LOOK_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of how many processes on one port this one is; numbers begin with 1."""

    number: int
    of: int

    def trail(self, path: Path) -> Path:
        """Gives this worker's own trail beside the configured one: a file is synced, and taken back, by one writer."""
        return path.with_name(f"{path.stem}.{self.number}{path.suffix}")


class Gateway:
    """A gateway that is up: its queries, its server's parts, and how it ends."""

    def __init__(
        self,
        server: RpcServer,
        queries: CreditQueries,
        merger: Merger,
        health: PlatformHealth,
        connectors: Mapping[str, Connector],
        metrics: Metrics,
        loop_lag: LoopLag,
        policies: PolicyWatch,
        banks: BankWatch | None,
        stack: AsyncExitStack,
        drain_s: float,
        answers_ail: Callable[[], str],
    ) -> None:
        self.server = server
        self.queries = queries
        self.merger = merger
        self.health = health
        self.connectors = connectors
        self.metrics = metrics
        self.policies = policies
        self.banks = banks
        self.admin_port: int | None = None
        """Where the admin port listens; None where it does not."""
        self._stage = Stage.STARTING
        self._answers_ail = answers_ail
        self._admin = AdminServer(metrics.page, ails=lambda: ails(loop_lag.lag_s), unready=self.unready)
        self._stack = stack
        self._drain_s = drain_s

    def unready(self) -> str:
        """Gives why no queries should be sent here, nothing where they are answered."""
        return unready(self._stage, self._answers_ail())

    async def start(self, listen: str, *, admin: str | None = None) -> int:
        """Starts the admin port, where an address is given, then the server; gives the server's port. Raises ConfigError."""
        if admin is not None:
            self.admin_port = await self._admin.start(admin)
        port = await self.server.start(listen)
        self._stage = Stage.SERVING
        return port

    def reload(self) -> None:
        """Has policies and banks.toml read anew, changed or not; what is broken leaves what is in force."""
        self.policies.tell()
        if self.banks is not None:
            self.banks.tell()

    async def aclose(self) -> None:
        """Drains calls under way, then closes sessions and the trail, in that order: no entry is lost.

        The admin port goes last, so that a prober can see the draining and a scraper the last numbers.
        """
        self._stage = Stage.DRAINING
        try:
            await self.server.stop(self._drain_s)
            # gRPC gives a call up before its handler has ended: what was cut off still writes that it was.
            until = time.monotonic() + _LAST_ENTRIES_S
            while self.queries.under_way and time.monotonic() < until:  # noqa: ASYNC110  # once in a process's life
                await asyncio.sleep(_LOOK_S)
            await self._stack.aclose()
        finally:
            await self._admin.aclose()


def calm_collector() -> None:
    """Spares the garbage collector what it need not look at; called once, when everything is built.

    What start-up made lives as long as the process. A query's objects die by reference counting as it ends, so that young
    generations hold little but queries under way: they are searched for cycles more rarely than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
