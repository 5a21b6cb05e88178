"""What a query may ask, from the stated consents, the matrix of purposes and what policies deny: pure rules.

    category ── denied by policy? ── allowed for the purpose? ── PUBLIC? ─────────────────────────────► permitted
                                                              └─ covered by the enterprise's consent? ─► permitted, at
                                                                 the platforms that consent names; else withheld, and why

An enterprise's consent never lifts the mask from what is about a person, and a person's consent lifts nothing else: it
permits no category. Both are looked at only as far as they are about the enterprise asked about, so that nothing can be
learnt of another's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from gateway.domain.catalogue import Catalogue
from gateway.domain.consent import CONSENTED, PLATFORM, POLICY, Consent, Permit, Withheld
from gateway.domain.errors import ConsentError, PermissionRefusedError, PolicyDeniedError, Reason
from gateway.domain.purposes import PurposeMatrix
from gateway.domain.query import CreditQuery
from gateway.domain.reach import NEAREST, cover, left_out, why_not

PURPOSE: Final = "purpose"
MASKED: Final = "masked"
_PLACE: Final = attrgetter("category", "field", "why")
_KEPT: Final = 4_096

_WORDS: Final = {
    Reason.CONSENT_PAUSED: "the stated consent is paused; resume it, or state another",
    Reason.CONSENT_EXHAUSTED: "the stated consent has been used as often as it allows; register a new one",
    Reason.CONSENT_EXPIRED: "the stated consent is not valid at this time, by its valid_from and valid_to; state one that is",
    Reason.CONSENT_REVOKED: "the stated consent was revoked; register a new one",
    Reason.CONSENT_PURPOSE: "the stated consent was given for other purposes; state one that names this purpose",
    Reason.CONSENT_MISSING: "no stated consent covers what was asked; register the enterprise's and state its id",
    Reason.PURPOSE_NOT_ALLOWED: "what was asked may not be asked for this purpose; ask for other categories",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """A permit, and the consents it rests on: of those that are limited a use is to be taken before it holds."""

    permit: Permit
    relied_on: tuple[Consent, ...]


class Rules:
    """Decides what queries may ask; built once from the catalogue and the matrix.

    `masked` holds the names of the fields that are masked, by category.
    """

    def __init__(self, catalogue: Catalogue, matrix: PurposeMatrix, masked: Mapping[int, Sequence[str]]) -> None:
        self._matrix = matrix
        self._public = frozenset(category for category, plan in catalogue.by_category.items() if plan.is_public)
        self._masked = {
            category: tuple(Withheld(category, MASKED, field=field) for field in sorted(fields))
            for category, fields in masked.items()
            if fields
        }
        self._without_consents: dict[tuple[object, ...], Decision] = {}
        self._under_one: dict[tuple[object, ...], Decision] = {}

    def decide(
        self,
        query: CreditQuery,
        consents: Iterable[Consent],
        now: datetime,
        *,
        denied: Collection[int] = (),
        policy: str = "",
    ) -> Decision:
        """Gives what may be asked; raises PermissionRefusedError or ConsentError when that is nothing, or not all of it.

        `consents` are those stated that the bank has; `denied` the categories that policies deny it. Raises
        InvalidRequestError when the purpose wants a reference that is missing.
        """
        self._matrix.check_references(query)
        stated = [consent for consent in consents if consent.uscc == query.uscc.value and consent.bank == query.bank]
        if len(stated) == 1 and not stated[0].person_ref:
            return self._decide_under(query, stated[0], now, tuple(denied), policy)
        if stated:
            return self._decide(query, stated, now, denied, policy)
        # Nothing but these enters then: banks ask the same few things again and again.
        asked = (query.purpose, query.categories, query.is_all_or_nothing, tuple(denied), policy)
        decision = self._without_consents.get(asked)
        if decision is None:
            decision = self._decide(query, stated, now, denied, policy)
            if len(self._without_consents) < _KEPT:
                self._without_consents[asked] = decision
        return decision

    def _decide_under(
        self, query: CreditQuery, consent: Consent, now: datetime, denied: tuple[int, ...], policy: str
    ) -> Decision:
        """Decides under one consent of the enterprise, as nearly every query is: what it says recurs, its id does not."""
        why = why_not(consent, query.purpose, now)
        asked = (query.purpose, query.categories, query.platforms, query.is_all_or_nothing, denied, policy)
        key = (asked, why, consent.categories, consent.platforms)
        found = self._under_one.get(key)
        if found is None:
            found = self._decide(query, (consent,), now, denied, policy)
            if len(self._under_one) < _KEPT:
                self._under_one[key] = found
        elif found.relied_on:
            return Decision(found.permit.under(f"{consent.consent_id}@{consent.version}"), (consent,))
        return found

    def _decide(
        self, query: CreditQuery, stated: Sequence[Consent], now: datetime, denied: Collection[int], policy: str
    ) -> Decision:
        allowed = self._matrix.allowed(query.purpose)
        companys = [consent for consent in stated if not consent.person_ref]
        permitted: list[int] = []
        withheld: list[Withheld] = []
        reasons: list[Reason] = []
        outside: dict[str, list[int]] = {}
        relied_on: dict[str, Consent] = {}
        for category in query.categories:
            if category in denied:
                reasons.append(Reason.POLICY_DENIED)
                withheld.append(Withheld(category, POLICY))
            elif category not in allowed:
                reasons.append(Reason.PURPOSE_NOT_ALLOWED)
                withheld.append(Withheld(category, PURPOSE))
            elif category in self._public:
                permitted.append(category)
            else:
                chosen, reason = cover(companys, category, query, now)
                if reason is not None:
                    reasons.append(reason)
                    withheld.append(Withheld(category, reason.lower()))
                    continue
                permitted.append(category)
                relied_on |= {consent.consent_id: consent for consent in chosen}
                missed = left_out(chosen, query.platforms)
                if missed:
                    withheld.append(Withheld(category, PLATFORM, missed))
                    for platform in missed:
                        outside.setdefault(platform, []).append(category)
        if reasons and (not permitted or query.is_all_or_nothing):
            raise refusal(reasons, policy)
        if outside and query.is_all_or_nothing:
            raise refusal([Reason.CONSENT_MISSING], policy)
        persons: set[tuple[int, str]] = set()
        for consent in stated:
            if consent.person_ref and why_not(consent, query.purpose, now) is None:
                lifted = self._lifted(consent, permitted, query.platforms)
                persons |= lifted
                if lifted:
                    relied_on[consent.consent_id] = consent
        for category in permitted:
            withheld += self._masked.get(category, ())
        permit = Permit(
            kind=CONSENTED,
            categories=tuple(permitted),
            refused=tuple(category for category in query.categories if category not in permitted),
            consents=tuple(sorted(f"{consent.consent_id}@{consent.version}" for consent in relied_on.values())),
            outside=tuple((platform, tuple(categories)) for platform, categories in sorted(outside.items())),
            withheld=tuple(sorted(withheld, key=_PLACE)),
            is_masked=True,
            persons=frozenset(persons),
            policy=policy,
        )
        return Decision(permit, tuple(relied_on[consent_id] for consent_id in sorted(relied_on)))

    def _lifted(
        self, consent: Consent, permitted: Sequence[int], platforms: Sequence[str]
    ) -> frozenset[tuple[int, str]]:
        """Gives the categories in which the mask is lifted from what is about the consenting person.

        None where the consent leaves an asked platform out: a merged record does not part what each platform stated.
        """
        if left_out((consent,), platforms):
            return frozenset()
        return frozenset(
            (category, consent.person_ref)
            for category in consent.categories
            if category in permitted and category in self._masked
        )


def refusal(reasons: Iterable[Reason], policy: str = "") -> PermissionRefusedError:
    """Gives the error of a query of which nothing, or not all, is permitted: the nearest reason to one that is."""
    found = set(reasons)
    for reason in NEAREST:
        if reason in found:
            return ConsentError(_WORDS[reason], reason, policy=policy)
    if Reason.PURPOSE_NOT_ALLOWED in found:
        return PermissionRefusedError(_WORDS[Reason.PURPOSE_NOT_ALLOWED], Reason.PURPOSE_NOT_ALLOWED, policy=policy)
    return PolicyDeniedError(policy)
