"""`banks.toml`, and `[server.tls]` and `[identity]` of `gateway.toml`: who is known by which certificates and tokens.

Certificates and keys are named by reference: a path, "file:/path", or "env:NAME" for a variable that holds a path.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, ValidationError, field_validator, model_validator
from yarl import URL

from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.identity.jwks import KeepingKeys
from gateway.domain.caller import BANK_ROLES, OPERATOR_ROLES, CertificateHolder, Register, Role
from gateway.domain.errors import ConfigError
from gateway.domain.rights import broken_separations
from gateway.domain.token import TokenPolicy
from gateway.store_address import checked_address, password_of
from gateway.table import Table, table_faults

FILE: Final = "banks.toml"
_KEEPING: Final = KeepingKeys()
_TLS_KEYS: Final = ("certificate", "key", "client_ca")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


class TlsSettings(Table):
    """What the server shows and whom it trusts: all three, or none."""

    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    reload_s: float = Field(default=5.0, gt=0)
    warn_days: int = Field(default=30, ge=0)

    @field_validator(*_TLS_KEYS)
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if "\n" in value or value.startswith("-----"):
            raise ValueError("write where it stands (a path, file:/path or env:NAME), never the thing itself")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> TlsSettings:
        missing = [key for key in _TLS_KEYS if not getattr(self, key)]
        if 0 < len(missing) < len(_TLS_KEYS):
            raise ValueError(f"{', '.join(missing)}: missing; state certificate, key and client_ca, or none of them")
        return self

    @property
    def is_stated(self) -> bool:
        """Whether the configuration names certificates."""
        return bool(self.certificate)

    def files(self) -> TlsFiles:
        """Gives where they stand; raises ValueError naming a variable that is not set."""
        return TlsFiles(*[_path(getattr(self, key)) for key in _TLS_KEYS])


class IdentitySettings(Table):
    """Where it is remembered which tokens were used."""

    seen_tokens: str = "sqlite+aiosqlite:///var/seen_tokens.db"

    @field_validator("seen_tokens")
    @classmethod
    def _is_served(cls, value: str) -> str:
        return checked_address(value)

    def seen_tokens_password(self) -> str | None:
        """Gives the password to that database; raises ConfigError."""
        try:
            return password_of(self.seen_tokens)
        except ValueError as error:
            raise ConfigError([f"gateway.toml: identity.seen_tokens: {error}"]) from error


class CertificateTable(Table):
    """One name by which certificates are known, and what they are for."""

    san: str
    roles: Annotated[frozenset[Role], Field(min_length=1)]

    @field_validator("san")
    @classmethod
    def _is_name(cls, value: str) -> str:
        kind, _, name = value.partition(":")
        if kind not in ("URI", "DNS") or not name or name != name.strip() or "*" in name:
            raise ValueError('must be a name with its kind, such as "URI:urn:…" or "DNS:…", and no pattern')
        return f"{kind}:{name.lower()}" if kind == "DNS" else value

    @field_validator("roles")
    @classmethod
    def _are_of_one_duty(cls, value: frozenset[Role]) -> frozenset[Role]:
        broken = broken_separations(value)
        if broken:
            one = broken[0]
            raise ValueError(f"{one.one} and {one.other} are apart: {one.why_en}; give each duty its own certificate")
        return value


class TokenTable(Table):
    """A bank's issuer of tokens for its own users; see `TokenPolicy` and `KeepingKeys`."""

    issuer: str = Field(min_length=1, max_length=512)
    audience: str = Field(min_length=1)
    jwks_url: str
    leeway_s: float = Field(default=60.0, ge=0, le=900)
    longest_s: float = Field(default=3_600.0, gt=0, le=86_400)
    is_required: bool = False
    is_one_use: bool = False
    refresh_s: float = Field(default=_KEEPING.refresh_s, gt=0)
    retry_s: float = Field(default=_KEEPING.retry_s, ge=0)
    kept_s: float = Field(default=_KEEPING.kept_s, gt=0)

    @field_validator("jwks_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        url = URL(value)
        is_local = url.host in ("127.0.0.1", "::1", "localhost")
        if url.scheme != "https" and not (url.scheme == "http" and is_local):
            raise ValueError("must begin with https://: whoever can change the keys can sign any token")
        return value

    def policy(self) -> TokenPolicy:
        """Gives what a token must fulfil."""
        return TokenPolicy(self.issuer, self.audience, self.leeway_s, self.longest_s, self.is_required, self.is_one_use)

    def keeping(self) -> KeepingKeys:
        """Gives how long the issuer's keys serve."""
        return KeepingKeys(self.refresh_s, self.retry_s, self.kept_s)


class _Titled(Table):
    name_zh: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    certificates: tuple[CertificateTable, ...] = ()
    revoked: tuple[str, ...] = ()

    @field_validator("revoked")
    @classmethod
    def _are_fingerprints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Takes them as OpenSSL prints them too: capitals, and colons between the bytes."""
        plain = tuple(stated.replace(":", "").lower() for stated in value)
        for place, fingerprint in enumerate(plain):
            if not _FINGERPRINT.fullmatch(fingerprint):
                raise ValueError(
                    f"entry {place + 1} must be a certificate's SHA-256 fingerprint, 64 hexadecimal digits"
                )
        return plain


class BankTable(_Titled):
    """One bank: its names, the province it may be bound to, its certificates and its issuer of tokens."""

    province: Annotated[str, Field(pattern=r"^(\d{2})?$")] = ""
    tokens: TokenTable | None = None


class OperatorTable(_Titled):
    """One operator of the gateway."""


class BanksFile(Table):
    """`banks.toml`."""

    banks: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")], BankTable] = {}
    operators: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")], OperatorTable] = {}


@dataclass(frozen=True, slots=True)
class Banks:
    """The file, checked: every bank and operator by id, and whose each certificate's name is."""

    banks: Mapping[str, BankTable] = field(default_factory=dict)
    operators: Mapping[str, OperatorTable] = field(default_factory=dict)
    register: Register = field(default_factory=Register)


NOBODY: Final = Banks()
"""What is known where no file says."""


def read_banks(document: Mapping[str, Any], faults: list[str]) -> Banks:
    """Gives the checked file; appends every fault."""
    try:
        file = BanksFile.model_validate(document)
    except ValidationError as error:
        faults += [f"{FILE}: {fault}" for fault in table_faults(error)]
        return Banks()
    holders: dict[str, CertificateHolder] = {}
    revoked: set[str] = set()
    for kind, tables, allowed in (
        ("banks", file.banks, BANK_ROLES),
        ("operators", file.operators, OPERATOR_ROLES),
    ):
        for name, table in tables.items():
            revoked.update(table.revoked)
            holder = (name, table.province) if isinstance(table, BankTable) else ("", "")
            for number, certificate in enumerate(table.certificates):
                where = f"{FILE}: {kind}.{name}.certificates[{number}]"
                foreign = certificate.roles - allowed
                if foreign:
                    faults.append(f"{where}: roles: {', '.join(sorted(foreign))} cannot be held by one of [{kind}]")
                if certificate.san in holders:
                    faults.append(f"{where}: san: {certificate.san} is another's already")
                holders[certificate.san] = CertificateHolder(holder[0], certificate.roles, holder[1])
    return Banks(file.banks, file.operators, Register(holders, frozenset(revoked)))


Stamp: TypeAlias = tuple[str, int, int, int] | None


@dataclass(frozen=True, slots=True)
class BankFiles:
    """Where `banks.toml` is looked for, the deployment's folder first; `wanted` are the banks that other files speak of."""

    folders: Sequence[Path] = ()
    wanted: Collection[str] = ()

    def path(self) -> Path | None:
        """Gives the file that counts; None where there is none."""
        return next((path for folder in self.folders if (path := folder / FILE).is_file()), None)

    def stamp(self) -> Stamp:
        """Gives what changes when another file counts or its content is another; reads none."""
        path = self.path()
        try:
            stat = path.stat() if path is not None else None
        except OSError:  # removed a moment ago
            return None
        return (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat is not None else None

    def read(self) -> Banks:
        """Reads the file that counts; raises ConfigError with every fault."""
        path, faults = self.path(), list[str]()
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{FILE}: not TOML: {error}"]) from error
        except OSError as error:
            raise ConfigError([f"{FILE}: cannot be read: {error.strerror}"]) from error
        banks = read_banks(document, faults)
        faults += strange_banks(self.wanted, banks) if not faults else []
        if faults:
            raise ConfigError(faults)
        return banks


def strange_banks(wanted: Collection[str], banks: Banks) -> list[str]:
    """Gives the faults of policies for green credit that are a bank's whom nobody knows."""
    return [
        f"green/{name}.toml: no bank of that name is in {FILE}" for name in sorted(set(wanted) - banks.banks.keys())
    ]


def _path(reference: str) -> Path:
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(name)
        if not value:
            raise ValueError(f"set the environment variable {name} to a path")
        return Path(value)
    return Path(name if scheme == "file" else reference)
