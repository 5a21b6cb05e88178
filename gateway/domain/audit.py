"""The audit entry (留痕): who asked what about whom on which authorisation, and how it came out; no returned values."""

from __future__ import annotations

import msgspec


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
    asked about, those that are none included, and how many entries told; of an inspection's sample its scheme (as
    `list_code`), its seed, the SM3 of its codes, how many there were and how many were drawn. Reasons and names of the listed
    stay in the store.
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
    withdrawn before the answer could leave, though "answered" may stand before it under the same answer id. It is "denied" of
    a caller turned away at the door: the question was not read, and `method` says what was called; and "exported" where a
    bank's auditor read its trail. `reason` is the error reason,
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
    answer_id: str = ""
    bank: str = ""
    operator: str = ""
    branch: str = ""
    purpose: str = ""
    uscc: str = ""
    categories: tuple[str, ...] = ()
    permit: str = ""
    consent_ids: tuple[str, ...] = ()
    request_id: str = ""
    loan_reference: str = ""
    application_reference: str = ""
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
    usccs: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """The enterprises that were looked up, by code, where one call is about many: each of its entries has some of them."""
