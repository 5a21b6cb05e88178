"""Settings: one TOML file per concern, read once into frozen values; unknown keys are errors, every fault is listed.

The files in `config/` ship with the package; a folder given with `--config` overrides them file by file. Secrets are
references, never values: "env:NAME", "file:/path", or "sandbox:name" for the worthless credentials of a sandbox.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.adapters.rights.sources import PolicyFolders
from gateway.adapters.rpc.admission import AdmissionPolicy
from gateway.adapters.rules.book import RuleBook
from gateway.domain.crosswalk import Crosswalk, CrosswalkFaults
from gateway.domain.divisions import DivisionTable
from gateway.domain.errors import ConfigError
from gateway.domain.evidence import RETENTION_CLASSES, USUAL_MONTHS
from gateway.domain.green_policy import GreenPolicies
from gateway.domain.joint_list_tables import joint_lists_of, stay_rules
from gateway.domain.joint_lists import JointList
from gateway.domain.publication import PublicationRule, PublicationTable
from gateway.domain.purposes import PurposeMatrix
from gateway.domain.recognition import criteria_faults
from gateway.domain.supervision import SupervisionScheme, supervision_schemes_of
from gateway.evidence_settings import EvidenceSettings
from gateway.identity_settings import NOBODY, BankFiles, Banks, IdentitySettings, TlsSettings, read_banks, strange_banks
from gateway.resilience_settings import DEFAULT, ResilienceTable, read_resilience
from gateway.trail_settings import AuditSettings

_PACKAGED: Final = Path(__file__).parent / "_config"
_CHECKOUT: Final = Path(__file__).parent.parent / "config"
_ADMISSION: Final = AdmissionPolicy()


_T = TypeVar("_T", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Strict):
    """Where and how the server listens."""

    listen: str = "127.0.0.1:50051"
    development: bool = False
    tls: TlsSettings = TlsSettings()
    max_request_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_response_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    max_pending_calls: int = Field(default=20_000, ge=1)
    batch_concurrency: int = Field(default=16, ge=1, le=1_000)
    drain_s: float = Field(default=10.0, ge=0)


class AdminSettings(_Strict):
    """Whether and where /metrics, /healthz and /readyz are served."""

    enabled: bool = True
    listen: str = "127.0.0.1:9464"

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("must be an address and a port, such as 127.0.0.1:9464")
        return value


class DeadlineSettings(_Strict):
    """How long a query may take."""

    default_s: float = Field(default=10.0, gt=0)
    longest_s: float = Field(default=120.0, gt=0)


class RequestIdSettings(_Strict):
    """How many answered request ids are remembered."""

    capacity: int = Field(default=2_000, ge=1)


class AdmissionSettings(_Strict):
    """How many queries are let in, and who is sent away; see `AdmissionPolicy`."""

    most_under_way: int = Field(default=_ADMISSION.most_under_way, ge=1)
    bank_most_under_way: int = Field(default=_ADMISSION.bank_most_under_way, ge=1)
    most_waiting: int = Field(default=_ADMISSION.most_waiting, ge=0)
    bank_most_waiting: int = Field(default=_ADMISSION.bank_most_waiting, ge=0)
    longest_queue_s: float = Field(default=_ADMISSION.longest_queue_s, ge=0)
    batch_longest_queue_s: float = Field(default=_ADMISSION.batch_longest_queue_s, ge=0)
    batch_share: float = Field(default=_ADMISSION.batch_share, gt=0, le=1)
    retry_after_s: float = Field(default=_ADMISSION.retry_after_s, ge=0)
    weights: Mapping[str, Annotated[int, Field(ge=1)]] = {}

    def policy(self) -> AdmissionPolicy:
        """Gives what the door takes."""
        return AdmissionPolicy(**self.model_dump())


class CacheSettings(_Strict):
    """How much the answer cache of one process holds."""

    most_answers: int = Field(default=50_000, ge=1)
    most_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    most_view_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)


class ConsentSettings(_Strict):
    """Whether consents are enforced; `masking_key` is a reference, and as secret as what it masks."""

    enforced: bool = False
    masking_key: str = ""
    poll_s: float = Field(default=0.4, gt=0, le=0.5)

    @field_validator("masking_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:", "sandbox:")):
            raise ValueError("write a reference (env:NAME, file:/path), never the key")
        return value

    @model_validator(mode="after")
    def _has_key(self) -> ConsentSettings:
        if self.enforced and not self.masking_key:
            raise ValueError("masking_key: is needed where consents are enforced; state env:NAME or file:/path")
        return self


class ListsSettings(_Strict):
    """Whether entries of joint lists join the merged view, and the key that resume tokens are sealed with, by reference.

    Without a key each process makes its own: its tokens are of no use to another one, nor after a restart.
    """

    in_views: bool = False
    token_key: str = ""
    poll_s: float = Field(default=1.0, gt=0, le=60)

    @field_validator("token_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:")):
            raise ValueError("write a reference (env:NAME, file:/path), never the key")
        return value


class LogSettings(_Strict):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class TracingSettings(_Strict):
    """Which calls are recorded and where to; see `TracingPolicy`."""

    endpoint: str = ""
    share: float = Field(default=0.01, ge=0, le=1)
    told_platforms: frozenset[str] = frozenset()

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://, or be empty")
        return value


_STORE_URL: Final = re.compile(r"(?P<driver>[\w+]+)://(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?")


class StoreSettings(_Strict):
    """Where consents are kept; an empty `url` is an SQLite file beside the trail. `seal_key` is a reference."""

    url: str = ""
    seal_key: str = ""

    @field_validator("seal_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:")):
            raise ValueError("write a reference (env:NAME, file:/path), never the key")
        return value

    @field_validator("url")
    @classmethod
    def _is_served(cls, value: str) -> str:
        found = _STORE_URL.match(value)
        if value and (found is None or found["driver"] not in ("sqlite+aiosqlite", "postgresql+asyncpg")):
            raise ValueError(
                "must be empty, or begin with sqlite+aiosqlite:/// or postgresql+asyncpg://user:env:NAME@host/database"
            )
        if found is not None and found["password"] and not found["password"].startswith(("env:", "file:")):
            raise ValueError("write a reference (user:env:NAME@, user:file:/path@), never the password")
        return value

    def resolved(self, beside: Path) -> tuple[str, str | None]:
        """Gives the address, beside the trail where none is stated, and the password; raises ConfigError."""
        found = _STORE_URL.match(self.url)
        if found is None:
            return f"sqlite+aiosqlite:///{beside.parent / 'store.db'}", None
        if not found["password"]:
            return self.url, None
        try:
            return self.url, resolve_secret(found["password"], {})
        except ValueError as error:
            raise ConfigError([f"gateway.toml: store.url: {error}"]) from error

    def resolved_seal_key(self) -> bytes:
        """Gives what consents are sealed with, empty where none is stated; raises ConfigError."""
        try:
            return resolve_secret(self.seal_key, {}).encode() if self.seal_key else b""
        except ValueError as error:
            raise ConfigError([f"gateway.toml: store.seal_key: {error}"]) from error


class ArchiveSettings(_Strict):
    """Whether answers are archived, and for how many months by class of retention."""

    enabled: bool = False
    months: Mapping[str, Annotated[int, Field(ge=1, le=600)]] = dict.fromkeys(RETENTION_CLASSES, USUAL_MONTHS)
    purge_every_s: float = Field(default=3_600.0, gt=0)

    @field_validator("months")
    @classmethod
    def _are_classes(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        strangers = sorted(value.keys() - set(RETENTION_CLASSES))
        if strangers:
            raise ValueError(f"{strangers[0]} is no class of retention; use {', '.join(RETENTION_CLASSES)}")
        return value


class GatewayFile(_Strict):
    """`gateway.toml`."""

    server: ServerSettings = ServerSettings()
    identity: IdentitySettings = IdentitySettings()
    admin: AdminSettings = AdminSettings()
    deadline: DeadlineSettings = DeadlineSettings()
    audit: AuditSettings = AuditSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    store: StoreSettings = StoreSettings()
    request_ids: RequestIdSettings = RequestIdSettings()
    admission: AdmissionSettings = AdmissionSettings()
    cache: CacheSettings = CacheSettings()
    consent: ConsentSettings = ConsentSettings()
    lists: ListsSettings = ListsSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    archive: ArchiveSettings = ArchiveSettings()


class PlatformSettings(_Strict):
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
        strangers = sorted(gateway.tracing.told_platforms - platform_tables.keys())
        faults += [f"gateway.toml: tracing.told_platforms: {name} is not in platforms.toml" for name in strangers]
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
        green = GreenPolicies.from_tables(read.folder("green"), {row.group for t in rules.tables for row in t.rows})
    except ConfigError as error:
        faults += error.faults
    if rules is not None:
        stated_in = {code: f"lists/{name}" for name, file in list_files.items() for code in file.get("list", {})}
        faults += criteria_faults(lists, stated_in, rules.tables)
    if green is not None:
        faults += strange_banks(green.by_bank.keys(), banks)
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
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            faults.append(f"{where}: {key}: {fault['msg']}")
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


def resolve_secret(reference: str, sandbox: Mapping[str, str]) -> str:
    """Gives the value behind a reference; raises ValueError saying what to provide, never showing a value."""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(name)
        if value is None:
            raise ValueError(f"set the environment variable {name}")
        return value
    if scheme == "file":
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"the file {name} cannot be read: {error.strerror}") from error
    if name not in sandbox:
        raise ValueError(f"no sandbox is installed that has the credential {name!r}")
    return sandbox[name]
