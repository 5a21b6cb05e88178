"""The use cases about consents: what is changed is in the trail, once or more, whatever happens in between."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime

import msgspec
import pytest

from gateway.application.consents import _UNSAID, By, Consents, Decision, _terms_digest
from gateway.domain.audit import AuditEntry
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import (
    ConsentChangedError,
    ConsentNotFoundError,
    ConsentStateError,
    RequestIdReusedError,
    StoreError,
)
from gateway.domain.evidence import Receipt, ViewCopy
from gateway.store_ports import ConsentStore
from tests.adapters.memory_consents import MemoryConsents
from tests.adapters.simulated import MovedClock
from tests.adapters.stores.consents import DEMO, consent

BY = By("bank-a", "operator-1", "branch-2")


class Trail:
    """Takes entries, or fails as often as it is told to."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.failures = 0

    def append(
        self, entry: AuditEntry, copy: ViewCopy | None = None, *, taken_back: Receipt | None = None
    ) -> Awaitable[Receipt | None]:
        return self._append(entry)

    async def _append(self, entry: AuditEntry) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("the trail cannot be written")
        self.entries.append(entry)

    def told(self) -> list[tuple[str, str]]:
        return [(entry.event, entry.reason) for entry in self.entries]


class UsedInBetween(MemoryConsents):
    """A store in which another query takes a use before each of the first changes."""

    def __init__(self, uses: int) -> None:
        super().__init__()
        self._uses = uses

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        if self._uses:
            self._uses -= 1
            await self.use(bank, consent_id, expected_version, at)
        return await super().change(bank, consent_id, expected_version, state, at, reason)


def consents(store: ConsentStore, trail: Trail) -> Consents:
    async def opened() -> ConsentStore:
        return store

    return Consents(opened, trail, MovedClock())


@pytest.fixture
def trail() -> Trail:
    return Trail()


async def test_a_registration_is_in_the_trail_without_anything_about_a_person(trail: Trail) -> None:
    stated = consent(person_ref="canary-person", signatory_ref="canary-signatory", signature=b"canary-signature")

    kept, is_repeated = await consents(MemoryConsents(), trail).register(stated, BY, "r-1")

    entry = trail.entries[0]
    assert (kept, is_repeated) == (stated, False)
    assert (entry.event, entry.bank, entry.operator, entry.branch) == (
        "consent_registered", "bank-a", "operator-1", "branch-2",
    )  # fmt: skip
    assert (entry.consent_ids, entry.uscc, entry.request_id) == ((stated.consent_id,), DEMO, "r-1")
    assert entry.consent is not None
    assert entry.consent.is_persons
    assert entry.consent.document_digest == stated.document_digest.hex()
    assert entry.consent.purposes == ("PRE_LOAN",)
    assert b"canary" not in msgspec.json.encode(entry)


async def test_the_same_request_registers_once_though_the_gateway_gives_it_another_id(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    first, _ = await cases.register(consent(1), BY, "r-1")

    again, is_repeated = await cases.register(consent(2), BY, "r-1")
    with pytest.raises(RequestIdReusedError):
        await cases.register(replace(consent(3), max_uses=1), BY, "r-1")

    assert (again, is_repeated) == (first, True)
    assert trail.told() == [
        ("consent_registered", ""),
        ("consent_registered", ""),
        ("consent_refused", "REQUEST_ID_REUSED"),
    ]


async def test_decisions_and_refusals_are_in_the_trail_and_the_words_of_a_revocation_are_not(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    kept, _ = await cases.register(consent(), BY)

    paused = await cases.decide(Decision(kept.consent_id, ConsentState.PAUSED), BY)
    await cases.decide(Decision(kept.consent_id, ConsentState.ACTIVE, paused.version), BY)
    revoked = await cases.decide(Decision(kept.consent_id, ConsentState.REVOKED, reason="canary words"), BY)
    with pytest.raises(ConsentStateError):
        await cases.decide(Decision(kept.consent_id, ConsentState.ACTIVE), BY)

    assert (revoked.version, revoked.revocation_reason) == (4, "canary words")
    assert trail.told() == [
        ("consent_registered", ""),
        ("consent_paused", ""),
        ("consent_resumed", ""),
        ("consent_revoked", ""),
        ("consent_refused", "CONSENT_STATE_FORBIDS"),
    ]
    assert b"canary" not in msgspec.json.encode(trail.entries)


async def test_a_decision_that_stands_already_changes_nothing_and_mends_the_trail(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    kept, _ = await cases.register(consent(), BY)
    trail.failures = 1
    with pytest.raises(StoreError):
        await cases.decide(Decision(kept.consent_id, ConsentState.REVOKED, reason="first"), BY)

    again = await cases.decide(Decision(kept.consent_id, ConsentState.REVOKED, 1, "second"), BY)

    assert (again.version, again.revocation_reason) == (2, "first")
    assert trail.told() == [("consent_registered", ""), ("consent_revoked", "")]


async def test_a_revocation_that_rests_on_no_version_is_made_though_uses_come_between(trail: Trail) -> None:
    cases = consents(UsedInBetween(3), trail)
    kept, _ = await cases.register(consent(), BY)

    revoked = await cases.decide(Decision(kept.consent_id, ConsentState.REVOKED, reason="withdrawn"), BY)

    assert (revoked.state, revoked.version, revoked.uses) == (ConsentState.REVOKED, 5, 3)


async def test_a_decision_that_rests_on_a_version_is_not_made_on_another(trail: Trail) -> None:
    cases = consents(UsedInBetween(1), trail)
    kept, _ = await cases.register(consent(), BY)

    for _ in range(2):  # first the use comes between, then the version is old from the beginning
        with pytest.raises(ConsentChangedError):
            await cases.decide(Decision(kept.consent_id, ConsentState.PAUSED, 1), BY)

    assert (await cases.get("bank-a", kept.consent_id))[0].state is ConsentState.ACTIVE


async def test_another_banks_consent_and_none_are_the_same_answer_and_leave_no_stated_text(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    kept, _ = await cases.register(consent(), BY)
    told = []

    for consent_id in (kept.consent_id, consent(9).consent_id, "张三 310101199001011234", "\x00"):
        with pytest.raises(ConsentNotFoundError) as read:
            await cases.get("bank-b", consent_id)
        with pytest.raises(ConsentNotFoundError) as decided:
            await cases.decide(Decision(consent_id, ConsentState.REVOKED), By("bank-b"))
        told += [str(read.value), str(decided.value)]

    assert len(set(told)) == 1
    assert [entry.consent_ids for entry in trail.entries[1:]] == [
        (kept.consent_id,), (consent(9).consent_id,), ("",), ("",),
    ]  # fmt: skip


async def test_an_id_is_found_in_whatever_case_it_is_written(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    kept, _ = await cases.register(consent(0xABC), BY)

    found, changes = await cases.get("bank-a", kept.consent_id.upper())

    assert (found, [change.version for change in changes]) == (kept, [1])


async def test_what_was_begun_is_done_to_the_end_though_the_caller_leaves(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    kept, _ = await cases.register(consent(), BY)
    call = asyncio.create_task(cases.decide(Decision(kept.consent_id, ConsentState.REVOKED), BY))
    await asyncio.sleep(0)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await cases.aclose()

    assert trail.told()[-1] == ("consent_revoked", "")


async def test_a_list_says_whether_there_is_more(trail: Trail) -> None:
    cases = consents(MemoryConsents(), trail)
    for number in (1, 2, 3):
        await cases.register(consent(number), BY)

    first, has_more = await cases.list("bank-a", DEMO, after="", limit=2)
    rest, has_rest = await cases.list("bank-a", DEMO, after=first[-1].consent_id, limit=2)

    assert (len(first), has_more, len(rest), has_rest) == (2, True, 1, False)


def test_terms_that_say_nothing_of_later_fields_have_the_digest_they_had_before_and_others_another() -> None:
    plain = consent(document_ref="", institution_code="", signed_at=None)

    text = repr(replace(plain, consent_id="", created_at=_UNSAID, changed_at=_UNSAID))
    before = text[: text.index(", document_ref=")] + ")"

    assert _terms_digest(plain) == hashlib.sha256(before.encode()).digest()
    assert _terms_digest(replace(plain, document_ref="a")) != _terms_digest(plain)
