"""Settings: one TOML file per concern, read once into frozen values; unknown keys are errors, every fault is listed.

The files in `config/` ship with the package; a folder given with `--config` overrides them file by file. Secrets are
references, never values: "env:NAME", "file:/path", or "sandbox:name" for the worthless credentials of a sandbox.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError, field_validator

from gateway.adapters.hub_lists import HUB
from gateway.adapters.rights.sources import PolicyFolders
from gateway.adapters.rules.book import RuleBook
from gateway.domain.crosswalk import Crosswalk, CrosswalkFaults
from gateway.domain.divisions import DivisionTable
from gateway.domain.errors import ConfigError
from gateway.domain.green import VETO
from gateway.domain.green_policy import GreenPolicies, strangers
from gateway.domain.joint_list_tables import joint_lists_of, stay_rules
from gateway.domain.joint_lists import JointList
from gateway.domain.publication import PublicationRule, PublicationTable
from gateway.domain.purposes import PurposeMatrix
from gateway.domain.recognition import criteria_faults
from gateway.domain.supervision import SupervisionScheme, supervision_schemes_of
from gateway.gateway_file import GatewayFile
from gateway.identity_settings import NOBODY, BankFiles, Banks, read_banks, strange_banks
from gateway.resilience_settings import DEFAULT, ResilienceTable, read_resilience
from gateway.table import Table, table_faults

_PACKAGED: Final = Path(__file__).parent / "_config"


_CHECKOUT: Final = Path(__file__).parent.parent / "config"


_T = TypeVar("_T", bound=BaseModel)


class PlatformSettings(Table):
    """One table of `platforms.toml`: what differs by deployment."""

    base_url: str
    enabled: bool = True
    ca_file: Path | None = None
    secrets: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        address = urlsplit(value)
        if not address.hostname or address.port == 0:  # a port that is none is refused by its own error
            raise ValueError("must name a host, and a port above 0 where it names one")
        return value

    @field_validator("secrets")
    @classmethod
    def _are_references(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, reference in value.items():
            if not reference.startswith(("env:", "file:", "sandbox:")):
                raise ValueError(f"{name}: write a reference (env:NAME, file:/path), never the secret")
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the composition root needs, checked."""

    gateway: GatewayFile
    platforms: Mapping[str, PlatformSettings]
    resilience: Mapping[str, ResilienceTable]
    publication: PublicationTable
    crosswalk: Crosswalk
    authorities: Mapping[str, str]
    divisions: DivisionTable
    purposes: PurposeMatrix
    policies: PolicyFolders
    rules: RuleBook
    green: GreenPolicies
    joint_lists: Mapping[str, JointList] = field(default_factory=dict)
    supervision: Mapping[str, SupervisionScheme] = field(default_factory=dict)
    banks: Banks = NOBODY
    bank_files: BankFiles = field(default_factory=BankFiles)

    @property
    def enabled_platforms(self) -> list[str]:
        """The platforms that are not switched off, in the order of the file."""
        return [name for name, table in self.platforms.items() if table.enabled]

    def resilience_of(self, platform: str) -> ResilienceTable:
        """Gives what holds for a platform."""
        return self.resilience.get(platform) or self.resilience.get(DEFAULT) or ResilienceTable()


def load_settings(folder: Path | None = None) -> Settings:
    """Reads all files; raises ConfigError with every fault as "file: key: what is wrong"."""
    faults: list[str] = []
    read = _Files(folder, faults)
    gateway = _model(GatewayFile, read.table("gateway.toml"), "gateway.toml", faults)
    platform_tables = read.table("platforms.toml")
    platforms = {
        name: model
        for name, table in platform_tables.items()
        if (model := _model(PlatformSettings, table, f"platforms.toml: {name}", faults)) is not None
    }
    resilience = read_resilience(read.table("resilience.toml"), platform_tables, faults)
    if gateway is not None:
        unknown = sorted(gateway.tracing.told_platforms - platform_tables.keys())
        faults += [f"gateway.toml: tracing.told_platforms: {name} is not in platforms.toml" for name in unknown]
    banks = read_banks(read.table("banks.toml"), faults)
    if read.table("lists.toml"):
        faults.append("lists.toml: is read no more; put its tables into a file of the folder lists/")
    lists: Mapping[str, JointList] = {}
    list_files = read.folder("lists")
    try:
        lists = joint_lists_of(list_files)
    except ConfigError as error:
        faults += [f"lists/{fault}" for fault in error.faults]
    publication = _publication(read.table("publication.toml"), lists, faults)
    supervision: Mapping[str, SupervisionScheme] = {}
    try:
        supervision = supervision_schemes_of(read.table("supervision.toml"))
    except ConfigError as error:
        faults += error.faults
    crosswalk = None
    try:
        crosswalk = Crosswalk.from_tables(read.folder("crosswalk"))
    except CrosswalkFaults as error:
        faults += [f"crosswalk/{fault}" for fault in error.faults]
    authorities = read.table("authorities.toml").get("authority", {})
    divisions = None
    try:
        divisions = DivisionTable.from_toml(read.table("divisions.toml"))
    except ConfigError as error:
        faults += error.faults
    purposes = None
    try:
        purposes = PurposeMatrix.from_toml(read.table("purposes.toml"))
    except ConfigError as error:
        faults += error.faults
    rules = green = None
    try:
        rules = RuleBook.read(read.table("rules/facts.toml"), read.texts("rules", "*.json"))
        proposing = {row.group for table in rules.tables if table.table_id == VETO for row in table.rows}
        green = GreenPolicies.from_tables(read.folder("green"), proposing)
    except ConfigError as error:
        faults += error.faults
    if rules is not None:
        stated_in = {code: f"lists/{name}" for name, file in list_files.items() for code in file.get("list", {})}
        faults += criteria_faults(lists, stated_in, rules.tables)
    if green is not None:
        faults += strange_banks(green.by_bank.keys(), banks)
        faults += strangers(green, {*platform_tables, HUB}, lists)
    if (
        faults
        or gateway is None
        or crosswalk is None
        or divisions is None
        or purposes is None
        or rules is None
        or green is None
    ):
        raise ConfigError(faults)
    return Settings(
        gateway=gateway,
        platforms=platforms,
        resilience=resilience,
        publication=publication,
        crosswalk=crosswalk,
        divisions=divisions,
        purposes=purposes,
        banks=banks,
        bank_files=read.banks(frozenset(green.by_bank)),
        authorities={name: code for code, names in authorities.items() for name in names},
        policies=read.policies(),
        rules=rules,
        green=green,
        joint_lists=lists,
        supervision=supervision,
    )


class _Files:
    """Finds a file in the given folder first, then among those that ship with the package."""

    def __init__(self, folder: Path | None, faults: list[str]) -> None:
        shipped = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
        self._folders = [folder, shipped] if folder is not None else [shipped]
        self._faults = faults
        if folder is not None and not folder.is_dir():
            faults.append(f"{folder}: no such folder")

    def table(self, name: str) -> dict[str, Any]:
        """Gives the parsed file, an empty table when there is none or it cannot be read."""
        for folder in self._folders:
            path = folder / name
            if path.is_file():
                return self._read(path, name)
        return {}

    def folder(self, name: str) -> dict[str, dict[str, Any]]:
        """Gives all parsed files of a sub-folder by name."""
        found: dict[str, dict[str, Any]] = {}
        for folder in reversed(self._folders):
            for path in sorted((folder / name).glob("*.toml")):
                found[path.name] = self._read(path, f"{name}/{path.name}")
        return found

    def texts(self, name: str, pattern: str) -> dict[str, str]:
        """Gives the texts of a sub-folder's files by name."""
        found: dict[str, str] = {}
        for folder in reversed(self._folders):
            for path in sorted((folder / name).glob(pattern)):
                try:
                    found[path.name] = path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    self._faults.append(f"{name}/{path.name}: is not UTF-8")
                except OSError as error:
                    self._faults.append(f"{name}/{path.name}: cannot be read: {error.strerror}")
        return found

    def policies(self) -> PolicyFolders:
        """Gives where the policies stand; they are read when they are compiled, and again when they change."""
        return PolicyFolders(tuple(reversed(self._folders)))

    def banks(self, wanted: frozenset[str]) -> BankFiles:
        """Gives where banks.toml is looked for, again and again while the gateway runs."""
        return BankFiles(tuple(self._folders), wanted)

    def _read(self, path: Path, name: str) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self._faults.append(f"{name}: not TOML: {error}")
        except OSError as error:
            self._faults.append(f"{name}: cannot be read: {error.strerror}")
        return {}


def _model(kind: type[_T], table: Any, where: str, faults: list[str]) -> _T | None:
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        faults += [f"{where}: {fault}" for fault in table_faults(error)]
        return None


def _publication(rules: Mapping[str, Any], lists: Mapping[str, JointList], faults: list[str]) -> PublicationTable:
    found: list[PublicationRule] = []
    for number, rule in enumerate(rules.get("rule", ())):
        try:
            found.append(
                PublicationRule(
                    rule["from"],
                    rule.get("to"),
                    dict(rule["max_months"]),
                    dict(rule.get("min_months", {})),
                    rule.get("sensitive_min_months"),
                    rule.get("title_zh", ""),
                )
            )
        except KeyError as error:
            faults.append(f"publication.toml: rule[{number}]: {error.args[0]} is missing")
    return PublicationTable(tuple(found), stay_rules(lists))
