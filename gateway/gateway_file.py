"""`gateway.toml` as frozen values, a class for each of its tables; unknown keys are errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from gateway.adapters.rpc.admission import AdmissionPolicy
from gateway.domain.errors import ConfigError
from gateway.domain.evidence import RETENTION_CLASSES, USUAL_MONTHS
from gateway.evidence_settings import EvidenceSettings
from gateway.identity_settings import IdentitySettings, TlsSettings
from gateway.secret_references import resolve_secret
from gateway.store_address import checked_address, password_of
from gateway.table import Table
from gateway.trail_settings import AuditSettings

_ADMISSION: Final = AdmissionPolicy()


class ServerSettings(Table):
    """Where and how the server listens."""

    listen: str = "127.0.0.1:50051"
    development: bool = False
    tls: TlsSettings = TlsSettings()
    max_request_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_response_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    max_pending_calls: int = Field(default=20_000, ge=1)
    batch_concurrency: int = Field(default=16, ge=1, le=1_000)
    drain_s: float = Field(default=10.0, ge=0)


class AdminSettings(Table):
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


class DeadlineSettings(Table):
    """How long a query may take."""

    default_s: float = Field(default=10.0, gt=0)
    longest_s: float = Field(default=120.0, gt=0)


class RequestIdSettings(Table):
    """How many answered request ids are remembered."""

    capacity: int = Field(default=2_000, ge=1)


class AdmissionSettings(Table):
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


class CacheSettings(Table):
    """How much the answer cache of one process holds."""

    most_answers: int = Field(default=50_000, ge=1)
    most_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    most_view_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)


class ConsentSettings(Table):
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


class ListsSettings(Table):
    """Whether entries of joint lists join the merged view, and the key that resume tokens are sealed with, by reference.

    Without a key each process makes its own: its tokens are of no use to another one, nor after a restart.
    """

    in_views: bool = False
    token_key: str = ""
    poll_s: float = Field(default=1.0, gt=0, le=60)
    bank_most_watches: int = Field(default=16, gt=0)

    @field_validator("token_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:")):
            raise ValueError("write a reference (env:NAME, file:/path), never the key")
        return value


class LogSettings(Table):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class TracingSettings(Table):
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


class StoreSettings(Table):
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
        return checked_address(value) if value else value

    def resolved(self, beside: Path) -> tuple[str, str | None]:
        """Gives the address, beside the trail where none is stated, and the password; raises ConfigError."""
        if not self.url:
            return f"sqlite+aiosqlite:///{beside.parent / 'store.db'}", None
        try:
            return self.url, password_of(self.url)
        except ValueError as error:
            raise ConfigError([f"gateway.toml: store.url: {error}"]) from error

    def resolved_seal_key(self) -> bytes:
        """Gives what consents are sealed with, empty where none is stated; raises ConfigError."""
        try:
            return resolve_secret(self.seal_key, {}).encode() if self.seal_key else b""
        except ValueError as error:
            raise ConfigError([f"gateway.toml: store.seal_key: {error}"]) from error


class ArchiveSettings(Table):
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


class GatewayFile(Table):
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
