"""How far consents reach (授权范围): whether one holds, which cover a category, what an answer keeps under them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_CONSENTED
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import PLATFORM, Consent, ConsentState, Permit
from gateway.domain.errors import Reason
from gateway.domain.query import CreditQuery

_ACTIVE: Final = ConsentState.ACTIVE
_BY_STATE: Final = {
    ConsentState.PAUSED: Reason.CONSENT_PAUSED,
    ConsentState.EXPIRED: Reason.CONSENT_EXPIRED,
    ConsentState.EXHAUSTED: Reason.CONSENT_EXHAUSTED,
    ConsentState.REVOKED: Reason.CONSENT_REVOKED,
}
WITHDRAWALS: Final = (
    Reason.CONSENT_MISSING,
    Reason.CONSENT_PAUSED,
    Reason.CONSENT_EXPIRED,
    Reason.CONSENT_REVOKED,
)
"""Why an answer that was fetched may be withheld."""
# Why the best of several consents does not do, the nearest to one that does first: what the bank can mend most easily.
NEAREST: Final = (
    Reason.CONSENT_PAUSED,
    Reason.CONSENT_EXHAUSTED,
    Reason.CONSENT_EXPIRED,
    Reason.CONSENT_REVOKED,
    Reason.CONSENT_PURPOSE,
    Reason.CONSENT_MISSING,
)


def within(answer: Answer, permit: Permit) -> Answer:
    """Gives a platform's answer with nothing of the categories that the permit leaves out at this platform.

    They stand as NOT_CONSENTED, and records that were sent all the same go no further.
    """
    left_out = next((categories for platform, categories in permit.outside if platform == answer.platform), ())
    if not left_out:
        return answer
    said = view_pb2.Answer()
    said.CopyFrom(answer.said)
    del said.categories[:]
    said.categories.extend([entry for entry in answer.said.categories if entry.category not in left_out])
    for category in left_out:
        said.categories.add(category=category, outcome=OUTCOME_NOT_CONSENTED, reason=PLATFORM)
        del getattr(said.records, CATALOGUE.by_category[category].records_field)[:]
    return answer._replace(said=said)


def why_not(consent: Consent, purpose: int, now: datetime) -> Reason | None:
    """Gives why a consent does not hold for a purpose at a moment; None when it does."""
    if not _is_active(consent, now):
        return _BY_STATE[consent.state_at(now)]
    if now < consent.valid_from:
        return Reason.CONSENT_EXPIRED
    return None if purpose in consent.purposes else Reason.CONSENT_PURPOSE


def _is_active(consent: Consent, now: datetime) -> bool:
    """Whether `state_at` gives ACTIVE, told in one step for a consent without a limit of uses, as nearly every one is."""
    if consent.max_uses:
        return consent.state_at(now) is _ACTIVE
    return consent.state is _ACTIVE and now < consent.valid_to


def withdrawn(consent: Consent | None, now: datetime) -> Reason | None:
    """Gives why what was fetched under a consent may not be released any more; None while it may.

    A consent that was used up in between was used up by this query or beside it: what was permitted stays so.
    """
    if consent is None:
        return Reason.CONSENT_MISSING
    if _is_active(consent, now):
        return None
    state = consent.state_at(now)
    return None if state in (ConsentState.ACTIVE, ConsentState.EXHAUSTED) else _BY_STATE[state]


def cover(
    consents: Sequence[Consent], category: int, query: CreditQuery, now: datetime
) -> tuple[tuple[Consent, ...], Reason | None]:
    """Gives the fewest stated consents that cover a category at the asked platforms, or why none does.

    Those without a limit of uses go first, then those that reach more of the asked platforms, then by id: a use is spent
    only where nothing else reaches.
    """
    naming = [consent for consent in consents if category in consent.categories]
    reasons = {consent.consent_id: why_not(consent, query.purpose, now) for consent in naming}
    holding = [consent for consent in naming if reasons[consent.consent_id] is None]
    chosen: list[Consent] = []
    missing = set(query.platforms)
    for consent in sorted(holding, key=lambda c: (c.max_uses > 0, len(left_out((c,), query.platforms)), c.consent_id)):
        reached = missing.intersection(consent.platforms) if consent.platforms else missing
        if reached:
            chosen.append(consent)
            missing = missing - reached
    if chosen:
        return tuple(chosen), None
    dead = {reason for reason in reasons.values() if reason is not None}
    return (), next((reason for reason in NEAREST if reason in dead), Reason.CONSENT_MISSING)


def left_out(consents: Sequence[Consent], platforms: Sequence[str]) -> tuple[str, ...]:
    """Gives the asked platforms that none of the consents names; one that names none names all."""
    if any(not consent.platforms for consent in consents):
        return ()
    named = {platform for consent in consents for platform in consent.platforms}
    return tuple(platform for platform in platforms if platform not in named)
