"""A bank's consents: registered, read and decided about; what is changed is in the trail before it is answered.

The store goes first and the trail second, and both are done although the caller leaves in between. Where the trail fails
after the store's change, the caller is told UNAVAILABLE and asks again: a registration by its request id and a decision that
stands already change nothing then, and write the entry that was missing. The store's own log has every change in any case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from gateway.application.to_the_end import Changes
from gateway.domain.audit_entries import consent_audit_entry
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange, event_of, is_decided
from gateway.domain.errors import ConsentChangedError, ConsentNotFoundError, RequestError
from gateway.ports import Clock
from gateway.store_ports import AuditLog, ConsentStore

HISTORY: Final = 100
_TRIES: Final = 20
"""How often a decision that rests on no version is made anew when uses come between: each try is a moment of its own."""
_UNSAID: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATER: Final = (", document_ref=''", ", institution_code=''", ", signed_at=None")
"""Fields that consents did not have at first, as they read where nothing is said of them."""


@dataclass(frozen=True, slots=True)
class By:
    """Who decides, for the trail: the bank, its employee, its branch."""

    bank: str
    operator: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about a consent; `expected_version` is 0 where it rests on none."""

    consent_id: str
    state: ConsentState
    expected_version: int = 0
    reason: str = ""


class Consents:
    """The use cases about consents; `store` gives the store, opened."""

    def __init__(self, store: Callable[[], Awaitable[ConsentStore]], audit: AuditLog, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._changes = Changes()

    async def register(self, consent: Consent, by: By, request_id: str = "") -> tuple[Consent, bool]:
        """Gives the registered consent, and whether an earlier request under this id had registered it.

        Raises RequestIdReusedError when that one had other terms.
        """
        return await self._changes.to_the_end(self._register(consent, by, request_id))

    async def get(self, bank: str, consent_id: str) -> tuple[Consent, Sequence[ConsentChange]]:
        """Gives a consent of the bank with its latest changes, the newest last; raises ConsentNotFoundError."""
        known = _if_id(consent_id)
        store = await self._store()
        consent = await store.get(bank, known) if known else None
        if consent is None:
            raise ConsentNotFoundError
        return consent, await store.history(bank, known, limit=HISTORY)

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> tuple[Sequence[Consent], bool]:
        """Gives the bank's consents after an id, at most so many, and whether there are more."""
        store = await self._store()
        found = await store.list(bank, uscc, after=after, limit=limit + 1)
        return found[:limit], len(found) > limit

    async def decide(self, decision: Decision, by: By) -> Consent:
        """Gives the consent in the state that was decided.

        Raises ConsentNotFoundError, ConsentStateError where its state forbids it, ConsentChangedError where it is no longer
        of the expected version; each after its entry in the trail.
        """
        return await self._changes.to_the_end(self._decide(decision, by))

    async def aclose(self) -> None:
        """Waits until what was begun is in the store and in the trail, which must both be open still."""
        await self._changes.aclose()

    async def _register(self, consent: Consent, by: By, request_id: str) -> tuple[Consent, bool]:
        store = await self._store()
        try:
            kept = await store.register(consent, request_id=request_id, request_digest=_terms_digest(consent))
        except RequestError as error:
            await self._audit.append(
                consent_audit_entry(
                    "consent_refused", by.bank, None, at=self._clock.now(), uscc=consent.uscc, operator=by.operator,
                    branch=by.branch, request_id=request_id, reason=error.reason,
                )
            )  # fmt: skip
            raise
        await self._audit.append(
            consent_audit_entry(
                "consent_registered", by.bank, kept, at=self._clock.now(), operator=by.operator, branch=by.branch,
                request_id=request_id,
            )
        )  # fmt: skip
        return kept, kept.consent_id != consent.consent_id

    async def _decide(self, decision: Decision, by: By) -> Consent:
        store = await self._store()
        try:
            consent = await self._decided(store, decision, by.bank)
        except RequestError as error:
            await self._audit.append(
                consent_audit_entry(
                    "consent_refused", by.bank, None, at=self._clock.now(), consent_id=_if_id(decision.consent_id),
                    operator=by.operator, branch=by.branch, reason=error.reason,
                )
            )  # fmt: skip
            raise
        await self._audit.append(
            consent_audit_entry(
                f"consent_{event_of(decision.state).lower()}", by.bank, consent, at=self._clock.now(),
                operator=by.operator, branch=by.branch,
            )
        )  # fmt: skip
        return consent

    async def _decided(self, store: ConsentStore, decision: Decision, bank: str) -> Consent:
        known = _if_id(decision.consent_id)
        for _ in range(_TRIES):
            consent = await store.get(bank, known) if known else None
            if consent is None:
                raise ConsentNotFoundError
            now = self._clock.now()
            if is_decided(consent, decision.state, now):
                return consent
            if decision.expected_version not in (0, consent.version):
                raise ConsentChangedError
            try:
                return await store.change(bank, known, consent.version, decision.state, now, decision.reason)
            except ConsentChangedError:
                if decision.expected_version:
                    raise
        raise ConsentChangedError


def _terms_digest(consent: Consent) -> bytes:
    terms = replace(consent, consent_id="", created_at=_UNSAID, changed_at=_UNSAID)
    text = repr(terms)
    for unsaid in _LATER:  # a request may be repeated to a newer gateway than the one that answered it
        text = text.replace(unsaid, "")
    return hashlib.sha256(text.encode()).digest()


def _if_id(text: str) -> str:
    """Gives an id in its one form, "" for another text: that belongs neither in the store's queries nor in the trail."""
    try:
        return str(UUID(text))
    except ValueError:
        return ""
