"""The real gateway as the composition root builds it, connected to the benchmark's platforms or to the sandboxes.

    python -m tests.bench.gateway_server --audit FILE [OPTIONS] plain|realistic|dialects ADDRESS...

Addresses are the platforms' in order; for `dialects` those of the sandboxes by the order of `DIALECTS`. Settings are those
that ship, but for the limits a benchmark is not about: see `NOT_LIMITED`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from connectors.kit.manifest import Manifest, read_manifest
from connectors.kit.mapping import PayloadMapping, compile_mapping
from connectors.kit.rest import RestConnector
from gateway.adapters.telemetry.logs import configure_logs
from gateway.bootstrap import build_gateway
from gateway.connector_bootstrap import Plugins, find_plugins
from gateway.domain.platform import Platform
from gateway.gateway_file import ArchiveSettings, TracingSettings
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup
from gateway.process import calm_collector
from gateway.resilience_settings import DEFAULT, BulkheadTable, CacheTable, HedgeTable, QuotaTable
from gateway.settings import PlatformSettings, Settings, load_settings
from tests.bench.child import announce, run
from tests.bench.fixture import ENTERPRISES, PLATFORMS, PROVINCES
from tests.bench.questions import PRIVATE
from tests.bench.trusted import certificates, enforcing, register

DIALECTS: Final = ("shanghai", "jiangsu", "zhejiang", "anhui")
NOT_LIMITED: Final = (
    "Raised in every gateway row: no quota (the sandboxes' manifests limit calls per second), a bulkhead of 100,000 calls a "
    "platform, 20,000 queries under way for one bank. All else is as it ships, the hedge included."
)
TRACED_SHARE: Final = 0.01
_PLENTY: Final = 100_000
_UNDER_WAY: Final = 20_000
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


def plain_plugins(count: int) -> Plugins:
    """Gives the first so many plain platforms, each of a province of its own."""
    connectors: Mapping[str, ConnectorPlugin] = {
        platform: PlainPlugin(platform, province)
        for platform, province in zip(PLATFORMS[:count], PROVINCES[:count], strict=True)
    }
    return Plugins(connectors, {name: plugin.platform() for name, plugin in connectors.items()}, ())


THREE_ATTEMPTS: Final = HedgeTable(attempts=3, budget_share=0.06)
"""What a second attempt that is slow too needs, and what five slow answers in a hundred need."""


def bench_settings(traces: str, *, is_caching: bool, has_three_attempts: bool) -> Settings:
    """Gives the settings that ship, with the limits the benchmark is not about raised."""
    settings = load_settings()
    file = settings.gateway
    shipped = settings.resilience_of(DEFAULT)
    default = shipped.model_copy(
        update={
            "quota": QuotaTable(enabled=False),
            "bulkhead": BulkheadTable(fewest=_PLENTY, first=_PLENTY, most=_PLENTY),
            "cache": shipped.cache if is_caching else CacheTable(enabled=False),
            "hedge": THREE_ATTEMPTS if has_three_attempts else shipped.hedge,
        }
    )
    admission = file.admission.model_copy(update={"most_under_way": _UNDER_WAY, "bank_most_under_way": _UNDER_WAY})
    tracing = TracingSettings(endpoint=traces, share=TRACED_SHARE)
    gateway = file.model_copy(update={"admission": admission, "tracing": tracing})
    return replace(settings, gateway=gateway, resilience={DEFAULT: default})


def _connected(settings: Settings, kind: str, addresses: Sequence[str]) -> tuple[Settings, Plugins]:
    if kind == "dialects":
        tables = {
            name: settings.platforms[name].model_copy(update={"base_url": address})
            for name, address in zip(DIALECTS, addresses, strict=True)
        }
        settings = replace(settings, platforms=tables)
        return settings, find_plugins(settings)
    tables = {
        name: PlatformSettings(base_url=f"{address}/{kind}")
        for name, address in zip(PLATFORMS[: len(addresses)], addresses, strict=True)
    }
    return replace(settings, platforms=tables), plain_plugins(len(addresses))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway_server")
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument("--traces", default="")
    parser.add_argument("--no-cache", dest="is_caching", action="store_false")
    parser.add_argument("--three-attempts", action="store_true")
    parser.add_argument("--trusted", action="store_true", help="mTLS, a bank's certificate, consents enforced")
    parser.add_argument("--proven", action="store_true", help="answers are signed and archived")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("kind", choices=("plain", "realistic", "dialects"))
    parser.add_argument("addresses", nargs="+")
    return parser.parse_args()


async def main(told: asyncio.Event) -> None:
    """Serves until told to end, draining as the gateway does."""
    arguments = _arguments()
    configure_logs("info")
    settings = bench_settings(
        arguments.traces, is_caching=arguments.is_caching, has_three_attempts=arguments.three_attempts
    )
    settings, plugins = _connected(settings, arguments.kind, arguments.addresses)
    if arguments.proven:
        archive = ArchiveSettings(enabled=True)
        settings = replace(settings, gateway=settings.gateway.model_copy(update={"archive": archive}))
    tls = None
    if arguments.trusted:
        settings, tls = enforcing(settings, arguments.audit), certificates(arguments.audit)
        await register(settings, arguments.audit, ENTERPRISES, PRIVATE)
    gateway = await build_gateway(settings, plugins, audit_path=arguments.audit, tls=tls)
    profile = cProfile.Profile() if arguments.profile else None
    try:
        calm_collector()  # as `xinyidai serve` does
        announce(await gateway.start("127.0.0.1:0"))
        if profile is not None:
            profile.enable()
        await told.wait()
    finally:
        if profile is not None:
            profile.disable()
            profile.dump_stats(arguments.profile)
        await gateway.aclose()


if __name__ == "__main__":
    run(main)
