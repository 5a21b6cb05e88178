"""The part of the composition root that finds connectors and sandboxes, connects them, and puts the wrappers around them."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast
from urllib.parse import urlsplit

import aiohttp

from gateway.adapters.loopback import is_loopback_address
from gateway.adapters.resilience.chain import ChainPolicy, Chains, resilient
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.domain.errors import ConfigError
from gateway.domain.platform import Platform
from gateway.ports import CallObserver, Connector, ConnectorPlugin, ConnectorSetup, SandboxPlugin
from gateway.secret_references import resolve_secret
from gateway.settings import Settings

CONNECTORS: Final = "xinyidai.connectors"
SANDBOXES: Final = "xinyidai.sandboxes"
_UNKNOWN: Final = {
    "crosswalk": "its grades read as UNMAPPED 其等级均为未对照",
    "lists": "no rule is known for its entries 其条目无规则可循",
}
"""What comes of an id that a table of the deployment does not have."""


@dataclass(frozen=True, slots=True)
class Plugins:
    """Connectors that are configured, by platform, with their facts; and every fault of those that are broken."""

    connectors: Mapping[str, ConnectorPlugin]
    platforms: Mapping[str, Platform]
    faults: tuple[str, ...]


def find_plugins(settings: Settings) -> Plugins:
    """Finds the configured platforms' connectors by entry point; a broken one stops nobody else."""
    found = _installed(CONNECTORS)
    connectors: dict[str, ConnectorPlugin] = {}
    platforms: dict[str, Platform] = {}
    faults: list[str] = []
    for name in settings.enabled_platforms:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            faults.append(f"platforms.toml: {name}: no connector of that name is installed (installed: {known})")
            continue
        try:
            plugin = cast(ConnectorPlugin, found[name].load())
            platform = plugin.platform()
        except Exception as error:  # a third party's code, which may raise anything
            faults += [f"connector {name}: {fault}" for fault in _told(error, f": {error}")]
            continue
        if platform.id != name:
            faults.append(f"connector {name}: its manifest says it is {platform.id!r}")
            continue
        connectors[name] = plugin
        platforms[name] = platform
    if not settings.platforms:
        faults.append("platforms.toml: names no platform")
    return Plugins(connectors, platforms, tuple(faults))


def find_sandboxes(names: Sequence[str]) -> Mapping[str, SandboxPlugin]:
    """Finds sandboxes by entry point, of the named platforms only; missing and broken ones are left out."""
    found: dict[str, SandboxPlugin] = {}
    for name, point in _installed(SANDBOXES).items():
        if name in names:
            try:
                found[name] = cast(SandboxPlugin, point.load())
            except ImportError:
                continue  # a sandbox is a convenience: its connector is reported on its own
    return found


@cache
def _installed(group: str) -> Mapping[str, EntryPoint]:
    """Gives what installed packages offer, read once in a process: every package's metadata is looked through for it."""
    return {point.name: point for point in entry_points(group=group)}


def connector_faults(settings: Settings, plugins: Plugins) -> list[str]:
    """Gives every fault of plugins and of their deployment settings, without connecting to anything."""

    async def check() -> list[str]:
        async with aiohttp.ClientSession() as session:
            try:
                chain_policies(settings, connected(settings, plugins, session, SystemClock()))
            except ConfigError as error:
                return list(error.faults)
        return []

    return asyncio.run(check())


def connected(
    settings: Settings, plugins: Plugins, session: aiohttp.ClientSession, clock: SystemClock
) -> dict[str, Connector]:
    """Gives the connectors of the plugins, connected; raises ConfigError with every fault."""
    faults = list(plugins.faults)
    sandboxes = find_sandboxes(list(plugins.connectors))
    connectors: dict[str, Connector] = {}
    for name, plugin in plugins.connectors.items():
        table = settings.platforms[name]
        sandbox: Mapping[str, str] = sandboxes[name].credentials() if name in sandboxes else {}
        secrets: dict[str, Any] = {}
        for key, reference in table.secrets.items():
            try:
                secrets[key] = resolve_secret(reference, sandbox)
            except ValueError as error:
                faults.append(f"platforms.toml: {name}.secrets.{key}: {error}")
        if len(secrets) < len(table.secrets):
            continue
        try:
            tls = ssl.create_default_context(cafile=table.ca_file) if table.ca_file else None
        except OSError as error:
            faults.append(f"platforms.toml: {name}.ca_file: {table.ca_file} cannot be read: {error.strerror}")
            continue
        try:
            setup = ConnectorSetup(table.base_url, session, clock, secrets, table.options, tls)
            connectors[name] = plugin.connect(setup)
        except Exception as error:  # a third party's code, which may raise anything: its text may hold a secret
            told = [_without(str(fault), secrets.values()) for fault in _told(error)]
            faults += [f"{_place(name, fault)}: {fault}" for fault in told]
    if faults:
        raise ConfigError(faults)
    return connectors


def _told(error: Exception, text: str = "") -> Sequence[str]:
    """Gives the faults that an error lists; of one that nobody meant, what it is, its text where given, and its place."""
    listed: Sequence[str] | None = getattr(error, "faults", None)
    if listed is not None:
        return listed
    if isinstance(error, ValueError):
        return [str(error)]
    if isinstance(error, SyntaxError):
        return [f"{error.filename}:{error.lineno}: {error.msg}"]
    *_, place = traceback.extract_tb(error.__traceback__)
    return [f"{type(error).__name__}{text} ({place.filename}:{place.lineno})"]


def _without(text: str, secrets: Iterable[str]) -> str:
    """Gives a text without the secrets that stand in it, as they do where one is no number, say."""
    for secret in secrets:
        text = text.replace(secret, "****") if secret else text
    return text


def _place(platform: str, fault: str) -> str:
    """Gives where a fault found while connecting is to be mended: in the connector's own files, or in the deployment's."""
    is_own = fault.startswith(("manifest.toml: ", "mapping.toml: "))
    return f"connector {platform}" if is_own else f"platforms.toml: {platform}"


def platform_notes(settings: Settings, plugins: Plugins, platform: str) -> list[str]:
    """Gives what an operator should know of how a platform is reached, and of how its connector runs here."""
    address = urlsplit(settings.platforms[platform].base_url)
    is_open = address.scheme == "http" and not is_loopback_address(f"{address.hostname}:")
    notes = (
        ["plain text beyond this machine: credentials and records can be read on the way; use https ⚠"]
        if is_open
        else []
    )
    return [*notes, *unknown_ids(settings, plugins.platforms[platform]), *plugins.connectors[platform].notes()]


def unknown_ids(settings: Settings, platform: Platform) -> list[str]:
    """Gives where a connector states an id that no table of the deployment has.

    No fault: the records are right, and say so of what is not known. But nobody would see that it is a slip of the pen.
    """
    known = {"crosswalk": settings.crosswalk.schemes, "lists": settings.joint_lists}
    return [
        f"{one.where}: {one.id!r} is in no file of {one.table}/: {_UNKNOWN[one.table]} ⚠"
        for one in platform.stated_ids
        if one.id != "UNMAPPED" and one.id not in known[one.table]
    ]


def chain_policies(
    settings: Settings, connectors: Mapping[str, Connector], *, processes: int = 1
) -> Mapping[str, ChainPolicy]:
    """Gives what each platform's wrappers hold to in one of so many processes; raises ConfigError with every fault."""
    policies: dict[str, ChainPolicy] = {}
    faults: list[str] = []
    for name, connector in connectors.items():
        try:
            policy = settings.resilience_of(name).policy(connector.platform.limits)
            policies[name] = replace(policy, quota=policy.quota.shared_by(processes))
        except ValueError as error:
            faults.append(f"connector {name}: manifest.toml: limits: {error}")
    if faults:
        raise ConfigError(faults)
    return policies


def chains_of(
    settings: Settings,
    connectors: Mapping[str, Connector],
    policies: Mapping[str, ChainPolicy],
    clock: SystemClock,
    observer: CallObserver,
) -> Chains:
    """Puts the wrappers around the connectors."""
    ledger = QuotaLedger({name: policy.quota for name, policy in policies.items()}, clock)
    room = settings.gateway.cache
    cache = LocalAnswerCache(clock, most_answers=room.most_answers, most_bytes=room.most_bytes)
    flights = Flights()
    chains = {
        name: resilient(connector, policies[name], ledger, cache, flights, clock, observer)
        for name, connector in connectors.items()
    }
    return Chains(chains, ledger, cache, flights)
