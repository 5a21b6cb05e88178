"""Who asks (调用方): a bank, or an operator of the gateway, with the roles its certificate gives it.

Whose a certificate is may change while its calls are under way: each caller that is proven by one has a `Standing`, which
is told when that is so, and the call ends at its next step.

A certificate is known by one subject alternative name (SAN), written with its kind as "URI:…" or "DNS:…", so that a name of
one kind is never taken for one of the other. Its subject is not looked at: anybody's authority may have written it. Which SAN
is whose stands in `config/banks.toml`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from gateway.domain.errors import Reason, UnauthenticatedError


class Role(StrEnum):
    """What a caller is there for; what each may do is for the policies to say."""

    BANK_QUERY = "bank-query"
    BANK_GREEN_REVIEWER = "bank-green-reviewer"
    BANK_AUDITOR = "bank-auditor"
    PLATFORM_OPERATOR = "platform-operator"
    GATEWAY_ADMIN = "gateway-admin"


BANK_ROLES: Final = frozenset({Role.BANK_QUERY, Role.BANK_GREEN_REVIEWER, Role.BANK_AUDITOR})
OPERATOR_ROLES: Final = frozenset({Role.PLATFORM_OPERATOR, Role.GATEWAY_ADMIN})
ANONYMOUS: Final = "anonymous"
TOKEN_EXPIRED: Final = "the token has expired; get a new one"
NOT_KNOWN: Final = "the caller is not known"
"""Said alike of no, an unknown, an expired and a revoked certificate, so that it hints at nothing."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What is read of a certificate that a handshake has verified.

    `names` are its SANs with their kinds, `fingerprint` the SHA-256 of its DER form in hexadecimal.
    """

    fingerprint: str
    names: tuple[str, ...]
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CertificateHolder:
    """Whose certificates bear a name, and what they may be used for."""

    bank: str
    roles: frozenset[Role]
    province: str = ""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Standing:
    """Whether a certificate is still who it was taken for: the one thing about a caller that changes during its calls."""

    certificate: PeerCertificate
    holder: CertificateHolder
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever calls: `bank` is empty for an operator of the gateway.

    `operator` and `branch` are those of the bank's own user, from a token; empty where it sent none. `certificate` is the
    certificate's SHA-256 fingerprint in hexadecimal, empty for a caller nobody has proven: one of development.
    `certificate_until` and `token_until` are when these end to prove it, in seconds since 1970: a call may live longer.
    `standing` is what tells of an end that nobody knew of before; None where there is no certificate.
    """

    bank: str
    roles: frozenset[Role]
    operator: str = ""
    branch: str = ""
    province: str = ""
    certificate: str = ""
    certificate_until: float = field(default=math.inf, compare=False)
    token_until: float = field(default=math.inf, compare=False)
    standing: Standing | None = field(default=None, compare=False)

    @property
    def is_development(self) -> bool:
        """Whether nothing proves who this is."""
        return not self.certificate

    @property
    def is_withdrawn(self) -> bool:
        """Whether the certificate was revoked, or is another's now, since the call began."""
        return self.standing is not None and self.standing.is_withdrawn

    def lapse(self, now: datetime) -> UnauthenticatedError | None:
        """Gives the error of a caller whose token or certificate has ended by a moment; None while both hold."""
        at = now.timestamp()
        if at >= self.certificate_until or self.is_withdrawn:
            return UnauthenticatedError(Reason.CALLER_UNKNOWN, NOT_KNOWN)
        return UnauthenticatedError(Reason.TOKEN_EXPIRED, TOKEN_EXPIRED) if at >= self.token_until else None


@lru_cache(maxsize=1_024)
def development_caller(bank: str = "") -> Caller:
    """Gives the caller of a development gateway: whatever bank it says it is, in every role of a bank."""
    return Caller(bank or ANONYMOUS, BANK_ROLES)


@dataclass(frozen=True, slots=True)
class Register:
    """Every name that is known, with its holder; certificates in `revoked`, by their fingerprints, are nobody's."""

    holders: Mapping[str, CertificateHolder] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()

    def holder(self, certificate: PeerCertificate) -> CertificateHolder | None:
        """Gives whose certificate this is; None where it is revoked, or where no name of it is known, or several are."""
        if certificate.fingerprint in self.revoked:
            return None
        known = [self.holders[name] for name in certificate.names if name in self.holders]
        return known[0] if len(known) == 1 else None

    def caller(self, certificate: PeerCertificate) -> Caller | None:
        """Gives who calls with this certificate; None where it is nobody's."""
        holder = self.holder(certificate)
        if holder is None:
            return None
        return Caller(
            holder.bank,
            holder.roles,
            province=holder.province,
            certificate=certificate.fingerprint,
            certificate_until=certificate.not_after.timestamp(),
            standing=Standing(certificate, holder),
        )
