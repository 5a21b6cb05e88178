"""What a connector's entry point names: manifest and mapping from its folder, and the class that talks to the wire."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from typing import Any

from connectors.kit.gaps import flagging_gaps
from connectors.kit.manifest import Manifest, ManifestFault, read_manifest
from connectors.kit.mapping import MappingFault, PayloadMapping, compile_mapping
from connectors.kit.stated_ids import stated_ids
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.platform import Platform
from gateway.ports import Connector, ConnectorSetup

Build = Callable[[Manifest, PayloadMapping, ConnectorSetup], Connector]


class Plugin:
    """A connector found by entry point; its files are read once, when it is first asked for.

    `secrets` names what a deployment must give, `options` what it may give besides; both reach `build` by `ConnectorSetup`.
    """

    def __init__(
        self,
        package: str,
        build: Build,
        *,
        secrets: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        notes: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._package = package
        self._build = build
        self._secrets = secrets
        self._options = options
        self._notes = notes

    @cached_property
    def _read(self) -> tuple[Manifest, PayloadMapping]:
        faults: list[str] = []
        manifest = mapping = table = None
        try:
            facts = self._table("manifest.toml", faults)
            manifest = read_manifest(facts) if facts is not None else None
        except ManifestFault as error:
            faults += [f"manifest.toml: {fault}" for fault in error.faults]
        try:
            table = self._table("mapping.toml", faults)
            mapping = flagging_gaps(compile_mapping(table), table) if table is not None else None
        except MappingFault as error:
            faults += [f"mapping.toml: {fault}" for fault in error.faults]
        if manifest is not None and mapping is not None:
            faults += [
                f"mapping.toml: {CATALOGUE.by_category[category].records_field}: is missing; the manifest covers its category"
                for category in manifest.platform.coverage
                if category not in mapping.by_category
            ]
        if faults or manifest is None or mapping is None or table is None:
            raise MappingFault(faults)
        return replace(manifest, platform=replace(manifest.platform, stated_ids=stated_ids(table))), mapping

    def _table(self, name: str, faults: list[str]) -> Mapping[str, Any] | None:
        try:
            return tomllib.loads((files(self._package) / name).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            faults.append(f"{name}: not TOML: {error}")
        except OSError as error:
            faults.append(f"{name}: cannot be read: {error.strerror}")
        return None

    def platform(self) -> Platform:
        """Gives the facts of the manifest; raises MappingFault with every fault of manifest and mapping."""
        return self._read[0].platform

    def notes(self) -> Sequence[str]:
        """Gives what an operator should know of how the connector runs here."""
        return self._notes()

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Builds the connector; raises MappingFault naming secrets and options that are missing or unknown."""
        faults = [f"secrets.{name}: is missing" for name in self._secrets if name not in setup.secrets]
        faults += [f"secrets.{name}: is not used" for name in setup.secrets if name not in self._secrets]
        faults += [f"options.{name}: is not used" for name in setup.options if name not in self._options]
        if faults:
            raise MappingFault(faults)
        manifest, mapping = self._read
        return self._build(manifest, mapping, setup)
