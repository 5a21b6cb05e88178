"""Keeping things up: sandboxes and a gateway on one event loop, until a signal says stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.loopback import is_loopback_address
from gateway.bootstrap import build_gateway
from gateway.connector_bootstrap import find_plugins, find_sandboxes
from gateway.domain.errors import ConfigError
from gateway.evidence_bootstrap import key_faults
from gateway.ports import RunningSandbox
from gateway.process import Gateway, Worker, calm_collector
from gateway.settings import Settings

CONTROL_OFFSET = 1_000
_LARGEST_PORT = 65_535


@asynccontextmanager
async def stop_signals(*more: signal.Signals) -> AsyncIterator[asyncio.Event]:
    """Gives an event that SIGTERM and SIGINT set, and `more`: what ends with its terminal ends by SIGHUP."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT, *more)
    for number in numbers:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def hangups(told: Callable[[], object]) -> Iterator[None]:
    """Calls `told` at every SIGHUP while the block runs."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, told)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def require_reach(settings: Settings, listen: str, tls: TlsFiles | None) -> None:
    """Raises ConfigError off loopback, unless certificates and keys are configured and consents enforced."""
    gateway = settings.gateway
    may_leave = tls is not None and gateway.server.tls.is_stated and gateway.consent.enforced
    if not (may_leave or is_loopback_address(listen)):
        raise ConfigError(
            [
                f"gateway.toml: server.listen: {listen} is not loopback; development permits, a development authority's "
                "certificates and plain text are served on loopback only: use 127.0.0.1, or state server.tls and set "
                "consent.enforced = true"
            ]
        )
    faults = key_faults(settings) if not is_loopback_address(listen) else []
    if faults:
        raise ConfigError(faults)


def admin_address(settings: Settings, stated: str | None = None) -> str | None:
    """Gives where the admin port is to listen: as stated on the command line, else as configured; None when it is off."""
    admin = settings.gateway.admin
    return stated or (admin.listen if admin.enabled else None)


@dataclass(frozen=True, slots=True)
class World:
    """How large the simulated world is and how it is drawn."""

    enterprises: int = 1_000
    seed: int = 20_260_401


def sandbox_ports(settings: Settings) -> Mapping[str, int]:
    """Gives where the gateway looks for those platforms that it takes to be on this machine: there their sandboxes listen."""
    addresses = {name: urlsplit(table.base_url) for name, table in settings.platforms.items()}
    return {
        name: address.port
        for name, address in addresses.items()
        if address.scheme == "http" and address.port and is_loopback_address(address.netloc)
    }


@asynccontextmanager
async def sandboxes(
    names: Sequence[str], world: World, ports: Mapping[str, int] | None = None
) -> AsyncIterator[Mapping[str, RunningSandbox]]:
    """Starts the named simulated platforms, each on its port or on a free one, and stops them."""
    ports = ports or {}
    running: dict[str, RunningSandbox] = {}
    try:
        for name, plugin in find_sandboxes(names).items():
            port = ports.get(name, 0)
            control = port + CONTROL_OFFSET if 0 < port <= _LARGEST_PORT - CONTROL_OFFSET else 0
            try:
                running[name] = await plugin.start(
                    "127.0.0.1", port, control, enterprises=world.enterprises, seed=world.seed
                )
            except OSError as error:
                where = f"platforms.toml: {name}.base_url: the sandbox cannot listen on 127.0.0.1:{port}"
                beside = f" and, for its faults, on {control}" if control else ""
                raise ConfigError([f"{where}{beside}: {error.strerror or error}"]) from error
        yield running
    finally:
        for sandbox in running.values():
            await sandbox.aclose()


@asynccontextmanager
async def gateway(
    settings: Settings,
    *,
    listen: str,
    admin: str | None = None,
    audit_path: Path | None = None,
    worker: Worker | None = None,
    tls: TlsFiles | None = None,
) -> AsyncIterator[tuple[Gateway, int]]:
    """Starts a gateway, with an admin port where an address is given, and gives it with its port; drains it at the end.

    Without `tls` it speaks plain text and takes callers at their word: a gateway of development.
    """
    require_reach(settings, listen, tls)
    built = await build_gateway(settings, find_plugins(settings), audit_path=audit_path, worker=worker, tls=tls)
    calm_collector()
    try:
        yield built, await built.start(listen, admin=admin)
    finally:
        await built.aclose()


def at_sandboxes(settings: Settings, running: Mapping[str, RunningSandbox]) -> Settings:
    """Gives the settings with those platforms' addresses replaced that have a running sandbox."""
    platforms = dict(settings.platforms)
    for name, sandbox in running.items():
        platforms[name] = settings.platforms[name].model_copy(update={"base_url": sandbox.url})
    return replace(settings, platforms=platforms)
