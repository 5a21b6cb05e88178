"""What can go wrong, classed by who must act.

    GatewayError
    ├── RequestError                 the bank can mend it
    │   ├── InvalidIdentifierError   the code is no identifier of its kind
    │   ├── InvalidRequestError      a field breaks its rule (reason says which)
    │   ├── DeadlineError            the deadline was past on arrival, or too short
    │   ├── PermissionRefusedError   nothing asked is permitted
    │   │   ├── ConsentError         no consent in force reaches it; the reason says why
    │   │   └── PolicyDeniedError    no policy permits it, or one forbids it
    │   ├── UnauthenticatedError     nobody we know, or a token that proves nothing (reason says which)
    │   ├── CallerMismatchError      credentials, or statements about the caller, that do not belong together
    │   ├── RequestIdReusedError     one request id, two bodies
    │   ├── ViewTooLargeError        the view does not fit into one message
    │   ├── ConsentNotFoundError     the bank has no such consent
    │   ├── ConsentStateError        the consent's state forbids the change
    │   ├── ConsentChangedError      the consent was changed in between
    │   ├── EntryNotFoundError       there is no such list entry
    │   ├── EntryStateError          its state, or the shortest publication, forbids the change
    │   ├── SelfConfirmationError    the second person is the first
    │   ├── EntryChangedError        the list entry was changed in between
    │   ├── RepairNotFoundError      there is no such repair of a record
    │   ├── RepairStateError         its state, or the shortest publication, forbids the step
    │   ├── RepairChangedError       the repair was changed in between
    │   ├── AnswerNotFoundError      the bank has no such archived answer
    │   ├── ListFileError            a list file changes nothing; every fault with its line
    │   └── AdmissionError           the gateway is full or closing
    ├── UnansweredError              no view could be given; carries every platform's answer
    ├── PlatformError                a platform's fault; becomes an outcome, never raised to a bank
    ├── StoreError                   ours: the trail or a store cannot be written
    │   ├── StoreUnavailableError    the store of consents cannot be reached
    │   ├── IdentityUnavailableError what proves a token cannot be had
    │   ├── SigningUnavailableError  a key cannot be used: no unsigned answer leaves
    │   └── CorruptRecordError       what is kept was altered; it is not served
    └── ConfigError                  ours, at start only, with the full list of faults

`adapters/rpc/status.py` turns each `Reason` into a canonical status by one table. Messages hold no personal data.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome

if TYPE_CHECKING:
    from gateway.domain.answer import Answer
    from gateway.domain.list_fault import ListFault


class Reason(StrEnum):
    """Why a request was refused or could not be answered; one value per proto `ErrorReason`."""

    INVALID_IDENTIFIER = "INVALID_IDENTIFIER"
    INVALID_REQUEST = "INVALID_REQUEST"
    UNKNOWN_CATEGORY = "UNKNOWN_CATEGORY"
    UNKNOWN_PLATFORM = "UNKNOWN_PLATFORM"
    UNKNOWN_PURPOSE = "UNKNOWN_PURPOSE"
    QUORUM_TOO_LARGE = "QUORUM_TOO_LARGE"
    VIEW_TOO_LARGE = "VIEW_TOO_LARGE"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    CANCELLED = "CANCELLED"
    NOT_PERMITTED = "NOT_PERMITTED"
    POLICY_DENIED = "POLICY_DENIED"
    ENTERPRISE_NOT_FOUND = "ENTERPRISE_NOT_FOUND"
    NO_PLATFORM_HEARD = "NO_PLATFORM_HEARD"
    REQUIRED_PLATFORM_MISSING = "REQUIRED_PLATFORM_MISSING"
    QUORUM_MISSED = "QUORUM_MISSED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    TRAIL_UNAVAILABLE = "TRAIL_UNAVAILABLE"
    OVERLOADED = "OVERLOADED"
    CONSENT_NOT_FOUND = "CONSENT_NOT_FOUND"
    CONSENT_STATE_FORBIDS = "CONSENT_STATE_FORBIDS"
    CONSENT_CHANGED = "CONSENT_CHANGED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    CALLER_UNKNOWN = "CALLER_UNKNOWN"
    CALLER_MISMATCH = "CALLER_MISMATCH"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_SIGNATURE_INVALID = "TOKEN_SIGNATURE_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    TOKEN_NOT_YET_VALID = "TOKEN_NOT_YET_VALID"
    TOKEN_REPLAYED = "TOKEN_REPLAYED"
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    CONSENT_MISSING = "CONSENT_MISSING"
    CONSENT_PURPOSE = "CONSENT_PURPOSE"
    CONSENT_PAUSED = "CONSENT_PAUSED"
    CONSENT_EXPIRED = "CONSENT_EXPIRED"
    CONSENT_EXHAUSTED = "CONSENT_EXHAUSTED"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    CONSENT_REPEATED = "CONSENT_REPEATED"
    PURPOSE_NOT_ALLOWED = "PURPOSE_NOT_ALLOWED"
    ANSWER_NOT_FOUND = "ANSWER_NOT_FOUND"
    LIST_UNKNOWN = "LIST_UNKNOWN"
    ENTRY_NOT_FOUND = "ENTRY_NOT_FOUND"
    ENTRY_STATE_FORBIDS = "ENTRY_STATE_FORBIDS"
    ENTRY_CHANGED = "ENTRY_CHANGED"
    SELF_CONFIRMATION = "SELF_CONFIRMATION"
    LIST_FILE_REFUSED = "LIST_FILE_REFUSED"
    RESUME_TOKEN_REFUSED = "RESUME_TOKEN_REFUSED"
    REPAIR_NOT_FOUND = "REPAIR_NOT_FOUND"
    REPAIR_STATE_FORBIDS = "REPAIR_STATE_FORBIDS"
    REPAIR_CHANGED = "REPAIR_CHANGED"


class GatewayError(Exception):
    """The root of every error this code base raises on purpose."""

    reason: Reason = Reason.INTERNAL


class RequestError(GatewayError):
    """The bank can mend it."""

    reason = Reason.INVALID_REQUEST


class InvalidIdentifierError(RequestError):
    """A text is no identifier of its kind; `position` is 1-based, None when it is not about one place."""

    reason = Reason.INVALID_IDENTIFIER

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class InvalidRequestError(RequestError):
    """A request field breaks its rule; `field` is its path in the request, such as "categories[1]"."""

    def __init__(self, field: str, message: str, reason: Reason = Reason.INVALID_REQUEST) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.description = message
        self.reason = reason


class DeadlineError(RequestError):
    """The deadline was past on arrival, or too short for any platform; no platform was asked."""

    reason = Reason.DEADLINE_TOO_SHORT


class PermissionRefusedError(RequestError):
    """Nothing that was asked is permitted; no platform was asked. `policy` is the deciding policy's id, for the trail."""

    reason = Reason.NOT_PERMITTED

    def __init__(self, message: str, reason: Reason = Reason.NOT_PERMITTED, *, policy: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.policy = policy


class ConsentError(PermissionRefusedError):
    """No consent in force reaches what was asked, or it was withdrawn before the answer could leave."""


class PolicyDeniedError(PermissionRefusedError):
    """No policy permits it, or one forbids it; always in the same words.

    `policy` are the ids that decided: for the trail and the operator's log. To the caller they would tell what to try next.
    """

    def __init__(self, policy: str) -> None:
        words = "not permitted to this caller; ask the gateway's operator"
        super().__init__(words, Reason.POLICY_DENIED, policy=policy)


class UnauthenticatedError(RequestError):
    """The caller is nobody we know, or its token proves nothing; the message hints at nothing we hold."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CallerMismatchError(RequestError):
    """What the caller sent does not belong to its certificate or token: another's token, bank, operator or branch."""

    reason = Reason.CALLER_MISMATCH


class RequestIdReusedError(RequestError):
    """The request id was used with another body within its time."""

    reason = Reason.REQUEST_ID_REUSED


class ViewTooLargeError(RequestError):
    """The view is larger than a message may be, in bytes; a part of it can be asked for."""

    reason = Reason.VIEW_TOO_LARGE

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the view has {size:,} bytes, more than the {most:,} of one message here; "
            "ask for fewer categories or platforms at a time"
        )


class ConsentNotFoundError(RequestError):
    """The bank has no such consent; whether another bank has it is not said."""

    reason = Reason.CONSENT_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("no such consent of this bank")


class ConsentStateError(RequestError):
    """The consent's state forbids the change."""

    reason = Reason.CONSENT_STATE_FORBIDS


class ConsentChangedError(RequestError):
    """The consent's version is no longer the one that was to be changed."""

    reason = Reason.CONSENT_CHANGED

    def __init__(self) -> None:
        super().__init__("the consent was changed in between; get it and decide again")


class EntryNotFoundError(RequestError):
    """There is no such list entry."""

    reason = Reason.ENTRY_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("no such entry")


class EntryStateError(RequestError):
    """The list entry's state, or the law's shortest publication, forbids the change."""

    reason = Reason.ENTRY_STATE_FORBIDS


class SelfConfirmationError(RequestError):
    """Who proposed a change of a list entry, or a record's repair, may not confirm it."""

    reason = Reason.SELF_CONFIRMATION

    def __init__(self) -> None:
        super().__init__("who proposed a change may not confirm it; a second person must")


class EntryChangedError(RequestError):
    """The list entry's version is no longer the one that was to be changed."""

    reason = Reason.ENTRY_CHANGED

    def __init__(self) -> None:
        super().__init__("the entry was changed in between; get it and decide again")


class RepairNotFoundError(RequestError):
    """There is no such repair of a record."""

    reason = Reason.REPAIR_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("no such repair")


class RepairStateError(RequestError):
    """The repair's state, or the law's shortest publication, forbids the step."""

    reason = Reason.REPAIR_STATE_FORBIDS


class RepairChangedError(RequestError):
    """The repair's version is no longer the one that was to be changed."""

    reason = Reason.REPAIR_CHANGED

    def __init__(self) -> None:
        super().__init__("the repair was changed in between; get it and decide again")


class AnswerNotFoundError(RequestError):
    """The bank has no archived answer by that id that the caller may see; why not is not said."""

    reason = Reason.ANSWER_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("no such answer of this bank")


class ListFileError(RequestError):
    """A list file changes nothing: `faults` are all that is wrong with it, each with its line where it is about one."""

    reason = Reason.LIST_FILE_REFUSED

    def __init__(self, faults: Sequence[ListFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(f"the file was refused and nothing changed; {len(faults)} fault{'s' * (len(faults) > 1)}")


class AdmissionError(RequestError):
    """The gateway is full or closing; `retry_after_s` says when to ask again."""

    reason = Reason.OVERLOADED

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnansweredError(GatewayError):
    """No view could be given by the rules of heard platforms.

    `answers` are all platforms' answers, `is_retryable` whether some cause may pass, `is_consent_missing` whether a
    required platform was left out for want of consent; `retry_after_s` is when to ask again, None where that cures nothing.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        answers: Sequence[Answer],
        *,
        is_retryable: bool = False,
        is_consent_missing: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.answers = tuple(answers)
        self.is_retryable = is_retryable
        self.is_consent_missing = is_consent_missing
        self.retry_after_s = retry_after_s


class PlatformError(GatewayError):
    """A platform failed or refused; connectors turn it into an answer at their edge.

    `outcome` and `cause` (the sub-reason, a short stable code) become the answer's; `retry_after_s` is what the platform
    asked for; `raw_digest` the SM3 digest of the body that was read, `detail` a text for the operator without payload.
    """

    def __init__(
        self,
        outcome: Outcome.ValueType,
        cause: str,
        *,
        detail: str = "",
        retry_after_s: float | None = None,
        raw_digest: bytes = b"",
    ) -> None:
        super().__init__(f"{Outcome.Name(outcome)}({cause}) {detail}".rstrip())
        self.outcome = outcome
        self.cause = cause
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.raw_digest = raw_digest


class StoreError(GatewayError):
    """A store of ours cannot be written or read; if it is the trail, nothing is answered."""

    reason = Reason.TRAIL_UNAVAILABLE


class StoreUnavailableError(StoreError):
    """The store of consents cannot be reached or does not do as it is told; asking again may help."""

    reason = Reason.STORE_UNAVAILABLE


class StoreRewoundError(StoreUnavailableError):
    """The store lacks a change that it told of before: an older state is in its place. Whoever follows it begins anew."""


class IdentityUnavailableError(StoreError):
    """What proves a token, an issuer's keys or the store of seen tokens, cannot be had now."""

    reason = Reason.IDENTITY_UNAVAILABLE


class SigningUnavailableError(StoreError):
    """A key of the deployment cannot be used now: what it should sign does not leave."""


class CorruptRecordError(StoreError):
    """What a store keeps is not what was put there; it is not served. The message names the record, not its content."""

    reason = Reason.STORE_UNAVAILABLE


class ConfigError(GatewayError):
    """The configuration is broken; `faults` lists every fault as "file: key: what is wrong and what to do"."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)
