"""Consents (授权) and permits: what an enterprise or a person allowed a bank, and what a query may therefore ask.

A `Consent` is a value; every change makes a new one with the next version. ACTIVE, PAUSED and REVOKED are stored, while
EXHAUSTED and EXPIRED follow from the uses and the moment that is asked about: no clock has to tick for a consent to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.query import CreditQuery

DEVELOPMENT = "development"
CONSENTED = "consent"
POLICY = "policy"
"""Why a category is withheld that no policy lets the caller ask for: a right is missing, and no consent would help."""
PLATFORM = "platform"
"""Why a category is withheld at a platform that the consent does not name."""

_NONE_REFUSED: Mapping[int, str] = {}


class ConsentState(StrEnum):
    """Where a consent stands (状态); EXHAUSTED and EXPIRED are derived, never stored."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    REVOKED = "REVOKED"
    EXHAUSTED = "EXHAUSTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What was allowed to one bank about one enterprise, or about one person in connection with it.

    `person_ref` is "" for the enterprise's own consent, else an opaque reference of the person (法定代表人, 股东, 实控人):
    consents of persons stand apart from the enterprise's. `purposes` and `categories` are numbers of the proto enums,
    ascending; no `platforms` means all. It holds from `valid_from` until before `valid_to`, both aware. `max_uses` is 0
    for any number and 1 for one-time. `document_digest` is the SM3 of the signed document, `signature` the grantor's over
    it, `certificate_serial` the serial of the certificate it was made with, `signatory_ref` an opaque reference of who
    signed, `document_ref` one of where the document is stored, `institution_code` the bank's as the document names it,
    `signed_at` when it was signed, None where unsaid. `state` is the stored one of ACTIVE, PAUSED, REVOKED. `version` grows
    by one at every change, a use included.
    """

    consent_id: str
    bank: str
    uscc: str
    purposes: tuple[int, ...]
    categories: tuple[int, ...]
    valid_from: datetime
    valid_to: datetime
    created_at: datetime
    changed_at: datetime
    person_ref: str = ""
    platforms: tuple[str, ...] = ()
    max_uses: int = 0
    uses: int = 0
    state: ConsentState = ConsentState.ACTIVE
    channel: str = ""
    document_digest: bytes = b""
    signature: bytes = b""
    certificate_serial: str = ""
    signatory_ref: str = ""
    version: int = 1
    revocation_reason: str = ""
    document_ref: str = ""
    institution_code: str = ""
    signed_at: datetime | None = None

    def state_at(self, now: datetime) -> ConsentState:
        """Gives where it stands at a moment: what was decided about it comes before what followed by itself."""
        if self.state is ConsentState.REVOKED:
            return ConsentState.REVOKED
        if now >= self.valid_to:
            return ConsentState.EXPIRED
        if self.max_uses and self.uses >= self.max_uses:
            return ConsentState.EXHAUSTED
        return self.state


class Withheld(NamedTuple):
    """What a permit leaves out, as a view lists it: a category, at some platforms only, or one field of its records.

    A tuple, since every query under a permit looks something up by it.

    No `platforms` means all; no `field` means whole records; `why` is a short stable code such as "consent_revoked".
    """

    category: int
    why: str
    platforms: tuple[str, ...] = ()
    field: str = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """What a query may ask: `categories` ascending; `refused` are those asked and not permitted.

    `consents` are what it rests on, each with its version where that is known: what was fetched under one consent, or under
    an earlier version of it, is not given out under another. `outside` names the platforms that some of the permitted
    categories may not be asked of, with those categories. `withheld` is everything left out, for the view to list.
    Fields about persons are masked where `is_masked`, but for what is about one of `persons`: pairs of a category and the
    reference of a person who consented to it. `policy` is the id of the policy that decided, for the trail alone.
    """

    kind: str
    categories: tuple[int, ...]
    refused: tuple[int, ...] = ()
    consents: tuple[str, ...] = ()
    outside: tuple[tuple[str, tuple[int, ...]], ...] = ()
    withheld: tuple[Withheld, ...] = ()
    is_masked: bool = False
    persons: frozenset[tuple[int, str]] = frozenset()
    policy: str = ""

    def why_refused(self) -> Mapping[int, str]:
        """Gives why each category that was asked and is not permitted is not, in the codes of `Withheld`."""
        if not self.refused:
            return _NONE_REFUSED
        return {left.category: left.why for left in self.withheld if left.category in self.refused}

    def under(self, consent: str) -> Permit:
        """Gives the same permit resting on one consent, stated with its version."""
        # In the fields' order: `replace` takes longer than the rules do.
        return Permit(
            self.kind,
            self.categories,
            self.refused,
            (consent,),
            self.outside,
            self.withheld,
            self.is_masked,
            self.persons,
            self.policy,
        )

    def at(self, platform: str) -> Permit:
        """Gives the permit as it holds for one platform: the same, unless a consent leaves the platform out."""
        for name, categories in self.outside:
            if name == platform:
                left = tuple(category for category in self.categories if category not in categories)
                return replace(self, categories=left, outside=())
        return self

    def relies_on(self) -> Sequence[str]:
        """Gives the ids of the consents it rests on, without their versions."""
        return [stated.partition("@")[0] for stated in self.consents]


def permit_scope(kind: str, categories: tuple[int, ...], withheld: tuple[Withheld, ...]) -> view_pb2.PermitScope:
    """Gives the part of a permit that shapes the view."""
    scope = view_pb2.PermitScope(kind=kind, categories=categories)  # type: ignore[arg-type]  # enums are ints at run time
    for entry in withheld:
        scope.withheld.add(
            category=entry.category,
            reason=entry.why,
            platforms=entry.platforms,
            field=entry.field,
        )
    return scope


def development_permit(query: CreditQuery) -> Permit:
    """Permits everything that was asked."""
    return Permit(kind=DEVELOPMENT, categories=query.categories, consents=query.consent_ids)
