"""`xinyidai serve`: in one process, or in several on one port under a supervisor."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import structlog

from gateway.adapters.telemetry.metrics import MERGED_BY
from gateway.adapters.telemetry.open_files import ENOUGH, allow_most
from gateway.cli.running import gateway, hangups, require_reach, stop_signals
from gateway.cli.supervisor import HeldPort, Supervisor, worker_command
from gateway.cli.trust import trust
from gateway.cli.worker import tied_to_supervisor
from gateway.process import Worker
from gateway.settings import Settings


async def serve_alone(
    settings: Settings, listen: str, admin: str | None, worker: Worker | None = None, *, is_development: bool = False
) -> None:
    """Serves in this process until a signal; as a worker also until its supervisor is gone."""
    if worker is not None:
        structlog.contextvars.bind_contextvars(worker=worker.number)
    log = structlog.get_logger("gateway")
    files = allow_most()
    trusted = trust(settings, is_development=is_development)
    reloads: list[Callable[[], None]] = []
    async with AsyncExitStack() as stack:
        stopped = await stack.enter_async_context(stop_signals())
        # Before there is what is reloaded, until it is closed: else a hangup ends the process, at the start and in a drain.
        stack.enter_context(hangups(lambda: [reload() for reload in reloads]))
        built, port = await stack.enter_async_context(
            gateway(settings, listen=listen, admin=None if worker else admin, worker=worker, tls=trusted.tls)
        )
        reloads.append(built.reload)
        log.info(
            "gateway.serving", port=port, admin_port=built.admin_port, platforms=sorted(settings.enabled_platforms)
        )
        if worker is None:
            trusted.warn()
            _warn_of_permits(settings)
            _warn_of_files(files)
        else:
            await stack.enter_async_context(tied_to_supervisor(stopped, built.unready))
        await stopped.wait()
        log.info("gateway.draining", at_most_s=settings.gateway.server.drain_s)


async def serve_by_workers(
    settings: Settings,
    config: Path | None,
    listen: str,
    admin: str | None,
    workers: int,
    *,
    is_development: bool = False,
) -> int:
    """Serves in so many worker processes until a signal; gives the exit code."""
    files = allow_most()
    trusted = trust(settings, is_development=is_development)
    require_reach(settings, listen, trusted.tls)
    held = HeldPort(listen)
    with closing(held), tempfile.TemporaryDirectory(prefix="xinyidai-metrics-") as folder:
        trusted.warn()
        _warn_of_permits(settings)
        _warn_of_files(files)
        arguments = ["--listen", held.address, *(["--config", str(config)] if config is not None else [])]
        arguments += ["--development"] if is_development else []
        supervisor = Supervisor(
            workers,
            worker_command(arguments, workers),
            {**os.environ, MERGED_BY: folder},
            Path(folder),
            port=held.port,
            drain_s=settings.gateway.server.drain_s,
        )
        async with stop_signals() as stopped:
            with hangups(supervisor.reload):
                return await supervisor.run(stopped, admin)


def _warn_of_permits(settings: Settings) -> None:
    if not settings.gateway.consent.enforced:
        note = "consents are not enforced: what policies permit is permitted; loopback only"
        structlog.get_logger("gateway").warning("gateway.development_permits", note=note)


def _warn_of_files(allowed: int) -> None:
    if allowed < ENOUGH:
        note = "each connection is a file; allow 65,536 (ulimit -Hn, LimitNOFILE)"
        structlog.get_logger("gateway").warning("gateway.few_open_files", allowed=allowed, note=note)
