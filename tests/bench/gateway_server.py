"""The real gateway as the composition root builds it, connected to the benchmark's platforms or to the sandboxes.

    python -m tests.bench.gateway_server AUDIT_FILE PROFILE_FILE|- plain|realistic|dialects ADDRESS...

Addresses are the platforms' in order; for `dialects` those of the sandboxes by the order of `DIALECTS`.
"""

from __future__ import annotations

import asyncio
import cProfile
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from connectors.kit.manifest import Manifest, read_manifest
from connectors.kit.mapping import PayloadMapping, compile_mapping
from connectors.kit.rest import RestConnector
from gateway.adapters.telemetry.logs import configure_logs
from gateway.bootstrap import Plugins, build_gateway, calm_collector, find_plugins
from gateway.domain.platform import Platform
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup
from gateway.settings import PlatformSettings, Settings, load_settings
from tests.bench.child import announce, run
from tests.bench.fixture import PLATFORMS

DIALECTS: Final = ("shanghai", "jiangsu", "zhejiang", "anhui")
_TABLES: Final = Path(__file__).parent / "platforms"


class PlainPlugin:
    """One of the benchmark's platforms: the common manifest and mapping, with its own id and province."""

    def __init__(self, platform: str, province: str) -> None:
        document: dict[str, Any] = _table("manifest.toml")
        document["platform"] |= {"id": platform, "province": province}
        self._manifest: Manifest = read_manifest(document)
        self._mapping: PayloadMapping = compile_mapping(_table("mapping.toml"))

    def platform(self) -> Platform:
        """Gives the facts of the manifest."""
        return self._manifest.platform

    def notes(self) -> Sequence[str]:
        """Has none."""
        return ()

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Builds the connector."""
        return RestConnector(self._manifest, self._mapping, setup)


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((_TABLES / name).read_text(encoding="utf-8"))


def plain_plugins() -> Plugins:
    """Gives the four plain platforms, of the provinces 31 to 34."""
    connectors: Mapping[str, ConnectorPlugin] = {
        platform: PlainPlugin(platform, str(31 + index)) for index, platform in enumerate(PLATFORMS)
    }
    return Plugins(connectors, {name: plugin.platform() for name, plugin in connectors.items()}, ())


def _connected(settings: Settings, kind: str, addresses: Sequence[str]) -> tuple[Settings, Plugins]:
    if kind == "dialects":
        tables = {
            name: settings.platforms[name].model_copy(update={"base_url": address})
            for name, address in zip(DIALECTS, addresses, strict=True)
        }
        # The sandboxes' manifests limit calls per second; a benchmark asks as often as it can.
        table = settings.resilience_of("default")
        unlimited = table.model_copy(update={"quota": table.quota.model_copy(update={"enabled": False})})
        settings = replace(settings, platforms=tables, resilience={"default": unlimited})
        return settings, find_plugins(settings)
    tables = {
        name: PlatformSettings(base_url=f"{address}/{kind}") for name, address in zip(PLATFORMS, addresses, strict=True)
    }
    return replace(settings, platforms=tables), plain_plugins()


async def main(told: asyncio.Event) -> None:
    """Serves until told to end, draining as the gateway does."""
    audit_path, profile_path, kind, *addresses = sys.argv[1:]
    configure_logs("info")
    settings, plugins = _connected(load_settings(), kind, addresses)
    gateway = await build_gateway(settings, plugins, audit_path=Path(audit_path))
    profile = cProfile.Profile() if profile_path != "-" else None
    try:
        calm_collector()  # as `xinyidai serve` does
        port = await gateway.server.start("127.0.0.1:0")
        announce(port)
        if profile is not None:
            profile.enable()
        await told.wait()
    finally:
        if profile is not None:
            profile.disable()
            profile.dump_stats(profile_path)
        await gateway.aclose()


if __name__ == "__main__":
    run(main)
