"""The audit entry (留痕): who asked what about whom on which authorisation, and how it came out; no returned values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome, Purpose
from gateway.domain.answer import Answer
from gateway.domain.caller import Caller
from gateway.domain.consent import Consent, Permit
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import RecordRepair
from gateway.domain.trail_query import TrailQuery

_OUTCOMES: dict[int, str] = {value: name.removeprefix("OUTCOME_") for name, value in Outcome.items()}
_PURPOSES: dict[int, str] = {value: name.removeprefix("PURPOSE_") for name, value in Purpose.items()}
_CATEGORIES: dict[int, str] = {value: name.removeprefix("CATEGORY_") for name, value in Category.items()}


_BLOCK: Final = 64
_SHORTEST_KEY: Final = 16
DigestOf: TypeAlias = Callable[[bytes], str]
"""What stands in the trail for a platform's answer, by the SM3 of its raw body: that in hexadecimal, or keyed."""


def keyed_digest(key: bytes) -> DigestOf:
    """Gives HMAC-SM3 under a key of the deployment (GB/T 15852.2), in hexadecimal; raises ValueError for a short key.

    What the trail says of personal or authorised content then tells nobody without the key whether it was a guessed one.
    """
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"the key is too short: at least {_SHORTEST_KEY} bytes are needed")
    block = (hashlib.new("sm3", key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner = hashlib.new("sm3", bytes([byte ^ 0x36 for byte in block]))
    outer = hashlib.new("sm3", bytes([byte ^ 0x5C for byte in block]))

    @lru_cache(maxsize=16_384)
    def digest(content: bytes) -> str:
        if not content:
            return ""
        first, second = inner.copy(), outer.copy()
        first.update(content)
        second.update(first.digest())
        return second.hexdigest()

    return digest


class PlatformEntry(msgspec.Struct, frozen=True):
    """How one platform answered; `response_digest` tells of the raw body, in hexadecimal, and is empty when none came.

    It is the SM3 of the body, or the HMAC-SM3 of that where the deployment has a key for it.

    `cache_age_s` is the age of a kept answer, None when it was fetched for this query or for one beside it; `stale_because`
    the outcome of the call in whose place it stands, if it does.
    """

    platform: str
    outcome: str
    reason: str
    latency_ms: int
    attempts: int
    record_count: int
    response_digest: str
    cache_age_s: int | None = None
    stale_because: str = ""


class ConsentEntry(msgspec.Struct, frozen=True):
    """What a consent says, as it stood after what the entry tells of.

    A person is told of by `is_persons` alone: references of persons and of signatories, signatures, and the words of a
    revocation stay in the store.
    """

    version: int
    state: str
    is_persons: bool
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    platforms: tuple[str, ...]
    valid_from: str
    valid_to: str
    max_uses: int
    uses: int
    channel: str
    document_digest: str
    certificate_serial: str


class AssessmentEntry(msgspec.Struct, frozen=True):
    """What a green assessment proposed, and the digests of what it rests on; `rules` are "name@version digest"."""

    measure: str
    at_least: str
    admission: str
    decision_digest: str
    facts_digest: str
    as_of: str
    rules: tuple[str, ...]
    missing: int


class ListsEntry(msgspec.Struct, frozen=True):
    """What was done to joint lists, or how much was read of them.

    Of one entry its id, version and state after it; of a file its digest and what it did; of a reading how many codes were
    asked about and how many entries told; of an inspection's sample its scheme (as `list_code`), its seed, the SM3 of its
    codes, how many there were and how many were drawn. Reasons and names of the listed stay in the store.
    """

    list_code: str = ""
    list_year: int | None = None
    province: str = ""
    entry_id: str = ""
    version: int = 0
    state: str = ""
    proposed_by: str = ""
    digest: str = ""
    added: int = 0
    amended: int = 0
    removed: int = 0
    unchanged: int = 0
    stale: int = 0
    code_count: int = 0
    entry_count: int = 0
    seed: str = ""


class RepairEntry(msgspec.Struct, frozen=True):
    """What was decided about one record's repair, as it stands after it; the record by its key, in hexadecimal.

    Why, and the record's document, stay in the store. Of a reading only `repair_count` is told.
    """

    repair_id: str = ""
    category: str = ""
    record_key: str = ""
    authority: str = ""
    repaired_on: str = ""
    state: str = ""
    version: int = 0
    proposed_by: str = ""
    origin: str = ""
    repair_count: int | None = None


class AuditEntry(msgspec.Struct, frozen=True):
    """One entry of the trail; times are RFC 3339 in UTC, names are those of the proto enums without prefix.

    `event` is "answered", "streamed", "repeated", "refused", "unanswered", "cancelled", or "withheld": the consent was
    withdrawn before the answer could leave. It is "denied" of a caller turned away at the door: the question was not read,
    and `method` says what was called; and "exported" where a bank's auditor read its trail. `reason` is the error reason,
    `refused` are the categories that were asked and not permitted, `relied_on` the consents that the permit rests on with
    their versions, `policy` the ids of the policies that decided. Of a consent `event` is "consent_registered",
    "consent_paused", "consent_resumed", "consent_revoked", or "consent_refused" with the reason, and `consent` tells what it
    says. Of the archive it is "archive_read", with the reason where nothing was given, "archive_sealed" with why, or
    "archive_deleted", and before it is done "archive_sealing" or "archive_deleting"; copies that a crash left without an
    answer are "archive_withdrawing", then "archive_withdrawn". A green assessment is "assessed", after
    the entry of the view it rests on, and `assessment` tells what was proposed. Of joint lists it is "lists_read" or
    "lists_denied", "list_entry_" with what a change was, "list_entry_refused", "list_file_loaded" or "list_file_refused", or
    "inspection_drawn", and `lists` tells more. Of records' repairs it is "record_repair_" with "proposed", "in_force",
    "discarded", "lift_proposed", "lift_declined", "lifted" or "refused", or "repairs_read", and `repair` tells more.
    """

    time: str
    event: str
    answer_id: str
    bank: str
    operator: str
    branch: str
    purpose: str
    uscc: str
    categories: tuple[str, ...]
    permit: str
    consent_ids: tuple[str, ...]
    request_id: str
    loan_reference: str
    application_reference: str
    platforms: tuple[PlatformEntry, ...] = ()
    view_id: str = ""
    completeness_bp: int | None = None
    stale_copies: int = 0
    reason: str = ""
    policy: str = ""
    refused: tuple[str, ...] = ()
    relied_on: tuple[str, ...] = ()
    consent: ConsentEntry | None = None
    method: str = ""
    certificate: str = ""
    """Fingerprint of the caller's certificate (SHA-256), nothing of its names."""
    assessment: AssessmentEntry | None = None
    count: int | None = None
    """How many archived copies it is about, where it is about copies."""
    lists: ListsEntry | None = None
    repair: RepairEntry | None = None


def denied_entry(caller: Caller, method: str, policy: str, reason: str, at: datetime) -> AuditEntry:
    """Gives the entry of a call that was turned away at the door."""
    return _call_entry("denied", caller, method, at, policy=policy, reason=reason)


def exported_entry(caller: Caller, method: str, asked: TrailQuery, at: datetime) -> AuditEntry:
    """Gives the entry of a bank's reading of its own trail: of which enterprise, if it asked for one."""
    return _call_entry("exported", caller, method, at, uscc=asked.uscc)


def _call_entry(
    event: str, caller: Caller, method: str, at: datetime, *, uscc: str = "", policy: str = "", reason: str = ""
) -> AuditEntry:
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        answer_id="",
        bank=caller.bank,
        operator=caller.operator,
        branch=caller.branch,
        purpose="",
        uscc=uscc,
        categories=(),
        permit="",
        consent_ids=(),
        request_id="",
        loan_reference="",
        application_reference="",
        reason=reason,
        policy=policy,
        method=method,
        certificate=caller.certificate,
    )


def archive_entry(
    event: str,
    at: datetime,
    caller: Caller | None = None,
    *,
    answer_id: str = "",
    uscc: str = "",
    reason: str = "",
    count: int | None = None,
) -> AuditEntry:
    """Gives the entry of what happened to archived copies; without a caller it was the gateway itself."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        answer_id=answer_id,
        bank=caller.bank if caller is not None else "",
        operator=caller.operator if caller is not None else "",
        branch=caller.branch if caller is not None else "",
        purpose="",
        uscc=uscc,
        categories=(),
        permit="",
        consent_ids=(),
        request_id="",
        loan_reference="",
        application_reference="",
        reason=reason,
        certificate=caller.certificate if caller is not None else "",
        count=count,
    )


def audit_entry(
    event: str,
    query: CreditQuery,
    permit: Permit | None,
    answers: Sequence[Answer],
    *,
    answer_id: str,
    at: datetime,
    view_id: str = "",
    completeness_bp: int | None = None,
    stale_copies: int = 0,
    reason: str = "",
    policy: str = "",
    certificate: str = "",
    digest_of: DigestOf = bytes.hex,
) -> AuditEntry:
    """Gives the entry of one answered, refused or failed query; `policy` where no permit came of it."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        answer_id=answer_id,
        bank=query.bank,
        operator=query.operator,
        branch=query.branch,
        purpose=_PURPOSES.get(query.purpose, ""),
        uscc=query.uscc.value,
        categories=_names(query.categories),
        permit=permit.kind if permit is not None else "",
        consent_ids=query.consent_ids,
        request_id=query.request_id,
        loan_reference=query.loan_reference,
        application_reference=query.application_reference,
        platforms=tuple([_platform_entry(answer, digest_of) for answer in answers]),
        view_id=view_id,
        completeness_bp=completeness_bp,
        stale_copies=stale_copies,
        reason=reason,
        policy=policy or (permit.policy if permit is not None else ""),
        refused=_names(permit.refused) if permit is not None and permit.refused else (),
        relied_on=permit.consents if permit is not None else (),
        certificate=certificate,
    )


def assessment_audit_entry(
    query: CreditQuery, assessment: AssessmentEntry, *, answer_id: str, view_id: str, at: datetime, certificate: str
) -> AuditEntry:
    """Gives the entry of one green assessment."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event="assessed",
        answer_id=answer_id,
        bank=query.bank,
        operator=query.operator,
        branch=query.branch,
        purpose=_PURPOSES.get(query.purpose, ""),
        uscc=query.uscc.value,
        categories=_names(query.categories),
        permit="",
        consent_ids=query.consent_ids,
        request_id=query.request_id,
        loan_reference=query.loan_reference,
        application_reference=query.application_reference,
        view_id=view_id,
        certificate=certificate,
        assessment=assessment,
    )


def lists_audit_entry(
    event: str,
    caller: Caller,
    method: str,
    *,
    at: datetime,
    operator: str = "",
    uscc: str = "",
    reason: str = "",
    consent_ids: tuple[str, ...] = (),
    lists: ListsEntry | None = None,
) -> AuditEntry:
    """Gives the entry of one decision about joint lists, or of one reading of them."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        answer_id="",
        bank=caller.bank,
        operator=operator or caller.operator,
        branch=caller.branch,
        purpose="",
        uscc=uscc,
        categories=(),
        permit="",
        consent_ids=consent_ids,
        request_id="",
        loan_reference="",
        application_reference="",
        reason=reason,
        method=method,
        certificate=caller.certificate,
        lists=lists,
    )


def repair_audit_entry(
    event: str,
    caller: Caller,
    method: str,
    *,
    at: datetime,
    operator: str = "",
    uscc: str = "",
    reason: str = "",
    repair: RecordRepair | None = None,
    repair_id: str = "",
    repair_count: int | None = None,
) -> AuditEntry:
    """Gives the entry of one decision about a record's repair, of its refusal, or of a reading of repairs."""
    told = RepairEntry(repair_id=repair_id, repair_count=repair_count)
    if repair is not None:
        told = RepairEntry(
            repair_id=repair.repair_id,
            category=_CATEGORIES[repair.category],
            record_key=repair.record_key.hex(),
            authority=repair.authority,
            repaired_on=repair.repaired_on.isoformat(),
            state=repair.state,
            version=repair.version,
            proposed_by=repair.lift_proposed_by or repair.proposed_by,
            origin=repair.origin,
        )
    entry = lists_audit_entry(event, caller, method, at=at, operator=operator, uscc=uscc, reason=reason)
    return msgspec.structs.replace(entry, repair=told)


def consent_audit_entry(
    event: str,
    bank: str,
    consent: Consent | None,
    *,
    at: datetime,
    consent_id: str = "",
    uscc: str = "",
    operator: str = "",
    branch: str = "",
    request_id: str = "",
    reason: str = "",
) -> AuditEntry:
    """Gives the entry of one decision about a consent; `consent` is None where it was refused."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        answer_id="",
        bank=bank,
        operator=operator,
        branch=branch,
        purpose="",
        uscc=consent.uscc if consent is not None else uscc,
        categories=(),
        permit="",
        consent_ids=(consent.consent_id if consent is not None else consent_id,),
        request_id=request_id,
        loan_reference="",
        application_reference="",
        reason=reason,
        consent=_consent_entry(consent) if consent is not None else None,
    )


def _consent_entry(consent: Consent) -> ConsentEntry:
    return ConsentEntry(
        version=consent.version,
        state=consent.state,
        is_persons=bool(consent.person_ref),
        purposes=tuple([_PURPOSES.get(purpose, "") for purpose in consent.purposes]),
        categories=_names(consent.categories),
        platforms=consent.platforms,
        valid_from=consent.valid_from.isoformat(),
        valid_to=consent.valid_to.isoformat(),
        max_uses=consent.max_uses,
        uses=consent.uses,
        channel=consent.channel,
        document_digest=consent.document_digest.hex(),
        certificate_serial=consent.certificate_serial,
    )


@lru_cache(maxsize=1024)
def _names(categories: tuple[int, ...]) -> tuple[str, ...]:
    return tuple([_CATEGORIES.get(category, "") for category in categories])


def _platform_entry(answer: Answer, digest_of: DigestOf) -> PlatformEntry:
    said = answer.said
    return PlatformEntry(
        platform=said.platform,
        outcome=_OUTCOMES[said.outcome],
        reason=said.reason,
        latency_ms=round(answer.latency_s * 1000),
        attempts=answer.attempts,
        record_count=record_count(answer),
        response_digest=digest_of(said.raw_digest),
        cache_age_s=None if answer.cache_age_s is None else int(answer.cache_age_s),
        stale_because="" if answer.stale_because is None else _OUTCOMES[answer.stale_because],
    )


def record_count(answer: Answer) -> int:
    """Gives the number of records the platform sent."""
    return sum([category.record_count for category in answer.said.categories])
