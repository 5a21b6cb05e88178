"""How entries of the trail come of what happened: one function for each kind of event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome, Purpose
from gateway.domain.answer import Answer
from gateway.domain.audit import AssessmentEntry, AuditEntry, ConsentEntry, ListsEntry, PlatformEntry, RepairEntry
from gateway.domain.caller import Caller
from gateway.domain.consent import Consent, Permit
from gateway.domain.list_reading import ListReading
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import RecordRepair
from gateway.domain.response_digest import DigestOf
from gateway.domain.told import Told, told_of_all
from gateway.domain.trail_query import TrailQuery

_OUTCOMES: dict[int, str] = {value: name.removeprefix("OUTCOME_") for name, value in Outcome.items()}
_PURPOSES: dict[int, str] = {value: name.removeprefix("PURPOSE_") for name, value in Purpose.items()}
_CATEGORIES: dict[int, str] = {value: name.removeprefix("CATEGORY_") for name, value in Category.items()}

_SECONDS: Final = [f"{second:02d}." for second in range(60)]
_MILLIS: Final = [f"{millis:03d}+00:00" for millis in range(1000)]


def denied_entry(caller: Caller, method: str, policy: str, reason: str, at: datetime) -> AuditEntry:
    """Gives the entry of a call that was turned away at the door."""
    return _call_entry("denied", caller, method, at, policy=policy, reason=reason)


def exported_entry(caller: Caller, method: str, asked: TrailQuery, at: datetime) -> AuditEntry:
    """Gives the entry of a bank's reading of its own trail: of which enterprise, if it asked for one."""
    return _call_entry("exported", caller, method, at, uscc=asked.uscc)


def _call_entry(
    event: str, caller: Caller, method: str, at: datetime, *,
    operator: str = "", uscc: str = "", policy: str = "", reason: str = "",
) -> AuditEntry:  # fmt: skip
    """Gives what any call is told by; `operator` is who is stated to decide, else the caller's own."""
    return AuditEntry(
        time=at.isoformat(timespec="milliseconds"),
        event=event,
        bank=caller.bank,
        operator=operator or caller.operator,
        branch=caller.branch,
        uscc=uscc,
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
    policy: str = "",
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
        uscc=uscc,
        reason=reason,
        policy=policy,
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
    told: Sequence[Told] = (),
) -> AuditEntry:
    """Gives the entry of one answered, refused or failed query; `policy` where no permit came of it.

    `told` is what is told of the answers, for whoever has it already.
    """
    refused: tuple[str, ...] = ()
    relied_on: tuple[str, ...] = ()
    kind = ""
    if permit is not None:
        kind, relied_on = permit.kind, permit.consents
        policy = policy or permit.policy
        if permit.refused:
            refused = _names(permit.refused)
    # In the fields' order: by name it takes twice as long, and every query has one.
    return AuditEntry(
        _time(at),
        event,
        answer_id,
        query.bank,
        query.operator,
        query.branch,
        _PURPOSES.get(query.purpose, ""),
        query.uscc.value,
        _names(query.categories),
        kind,
        query.consent_ids,
        query.request_id,
        query.loan_reference,
        query.application_reference,
        tuple(
            [
                _platform_entry(answer, each, digest_of)
                for answer, each in zip(answers, told or told_of_all(answers), strict=True)
            ]
        ),
        view_id,
        completeness_bp,
        stale_copies,
        reason,
        policy,
        refused,
        relied_on,
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
        consent_ids=query.consent_ids,
        request_id=query.request_id,
        loan_reference=query.loan_reference,
        application_reference=query.application_reference,
        view_id=view_id,
        certificate=certificate,
        assessment=assessment,
    )


def lists_read_entry(
    caller: Caller, method: str, read: ListReading, *, at: datetime, uscc: str = "", consent_ids: tuple[str, ...] = ()
) -> AuditEntry:
    """Gives the entry of one piece of a reading of joint lists; `uscc` where one enterprise's were asked for."""
    entry = _call_entry("lists_read", caller, method, at, uscc=uscc)
    told = ListsEntry(code_count=read.code_count, entry_count=read.entry_count)
    return msgspec.structs.replace(entry, consent_ids=consent_ids, lists=told, usccs=read.usccs or msgspec.UNSET)


def lists_audit_entry(
    event: str,
    caller: Caller,
    method: str,
    *,
    at: datetime,
    operator: str = "",
    uscc: str = "",
    reason: str = "",
    lists: ListsEntry | None = None,
) -> AuditEntry:
    """Gives the entry of one decision about joint lists, or of a reading of them that was denied."""
    entry = _call_entry(event, caller, method, at, operator=operator, uscc=uscc, reason=reason)
    return msgspec.structs.replace(entry, lists=lists)


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
    usccs: Sequence[str] | None = None,
) -> AuditEntry:
    """Gives the entry of one decision about a record's repair, of its refusal, or of a reading of repairs.

    Of a reading `usccs` are whose repairs were told, one code for each.
    """
    told = RepairEntry(repair_id=repair_id, repair_count=None if usccs is None else len(usccs))
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
    entry = _call_entry(event, caller, method, at, operator=operator, uscc=uscc, reason=reason)
    return msgspec.structs.replace(entry, repair=told, usccs=tuple(dict.fromkeys(usccs or ())) or msgspec.UNSET)


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
        bank=bank,
        operator=operator,
        branch=branch,
        uscc=consent.uscc if consent is not None else uscc,
        consent_ids=(consent.consent_id if consent is not None else consent_id,),
        request_id=request_id,
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


def _time(at: datetime) -> str:
    """Gives what `isoformat` does, to the millisecond; that takes three times as long."""
    if at.tzinfo is not UTC:
        return at.isoformat(timespec="milliseconds")
    return (
        _minute(at.year, at.month, at.day, at.hour, at.minute) + _SECONDS[at.second] + _MILLIS[at.microsecond // 1000]
    )


@lru_cache(maxsize=4)
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:"


@lru_cache(maxsize=1024)
def _names(categories: tuple[int, ...]) -> tuple[str, ...]:
    return tuple([_CATEGORIES.get(category, "") for category in categories])


def _platform_entry(answer: Answer, told: Told, digest_of: DigestOf) -> PlatformEntry:
    _, latency_s, attempts, _, cache_age_s, _, _, stale_because = answer
    platform, outcome, reason, record_count, raw_digest, _ = told
    return PlatformEntry(
        platform,
        _OUTCOMES[outcome],
        reason,
        round(latency_s * 1000) if latency_s else 0,
        attempts,
        record_count,
        digest_of(raw_digest),
        None if cache_age_s is None else int(cache_age_s),
        "" if stale_because is None else _OUTCOMES[stale_because],
    )
