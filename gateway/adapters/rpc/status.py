"""Errors out: each `Reason` has its canonical status in one table; details are google.rpc messages.

Source: google.rpc.Code and AIP-193. Every error says its trace id, under which the log has its lines; a fault of ours says
nothing else: what went wrong is in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, error_reason_pb2
from gateway.adapters.rpc.delivery import fill_delivery
from gateway.domain.errors import (
    AdmissionError,
    CorruptRecordError,
    GatewayError,
    InvalidIdentifierError,
    InvalidRequestError,
    ListFileError,
    Reason,
    StoreError,
    StoreUnavailableError,
    UnansweredError,
)
from gateway.domain.list_fault import ListFault

DOMAIN: Final = "xinyidai.gateway"

CODES: Final = {
    Reason.INVALID_IDENTIFIER: code_pb2.INVALID_ARGUMENT,
    Reason.INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    Reason.UNKNOWN_CATEGORY: code_pb2.INVALID_ARGUMENT,
    Reason.UNKNOWN_PLATFORM: code_pb2.INVALID_ARGUMENT,
    Reason.UNKNOWN_PURPOSE: code_pb2.INVALID_ARGUMENT,
    Reason.QUORUM_TOO_LARGE: code_pb2.INVALID_ARGUMENT,
    Reason.VIEW_TOO_LARGE: code_pb2.RESOURCE_EXHAUSTED,
    Reason.DEADLINE_TOO_SHORT: code_pb2.DEADLINE_EXCEEDED,
    Reason.CANCELLED: code_pb2.CANCELLED,
    Reason.NOT_PERMITTED: code_pb2.PERMISSION_DENIED,
    Reason.POLICY_DENIED: code_pb2.PERMISSION_DENIED,
    Reason.ENTERPRISE_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.NO_PLATFORM_HEARD: code_pb2.UNAVAILABLE,
    Reason.REQUIRED_PLATFORM_MISSING: code_pb2.UNAVAILABLE,
    Reason.QUORUM_MISSED: code_pb2.UNAVAILABLE,
    Reason.REQUEST_ID_REUSED: code_pb2.ALREADY_EXISTS,
    Reason.TRAIL_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.CONSENT_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.CONSENT_STATE_FORBIDS: code_pb2.FAILED_PRECONDITION,
    Reason.CONSENT_CHANGED: code_pb2.ABORTED,
    Reason.STORE_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.CALLER_UNKNOWN: code_pb2.UNAUTHENTICATED,
    Reason.CALLER_MISMATCH: code_pb2.PERMISSION_DENIED,
    Reason.TOKEN_INVALID: code_pb2.UNAUTHENTICATED,
    Reason.TOKEN_SIGNATURE_INVALID: code_pb2.UNAUTHENTICATED,
    Reason.TOKEN_EXPIRED: code_pb2.UNAUTHENTICATED,
    Reason.TOKEN_NOT_YET_VALID: code_pb2.UNAUTHENTICATED,
    Reason.TOKEN_REPLAYED: code_pb2.UNAUTHENTICATED,
    Reason.IDENTITY_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.INTERNAL: code_pb2.INTERNAL,
    Reason.CONSENT_MISSING: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_PURPOSE: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_PAUSED: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_EXPIRED: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_EXHAUSTED: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_REVOKED: code_pb2.PERMISSION_DENIED,
    Reason.CONSENT_REPEATED: code_pb2.INVALID_ARGUMENT,
    Reason.PURPOSE_NOT_ALLOWED: code_pb2.PERMISSION_DENIED,
    Reason.ANSWER_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.LIST_UNKNOWN: code_pb2.INVALID_ARGUMENT,
    Reason.ENTRY_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.ENTRY_STATE_FORBIDS: code_pb2.FAILED_PRECONDITION,
    Reason.ENTRY_CHANGED: code_pb2.ABORTED,
    Reason.SELF_CONFIRMATION: code_pb2.PERMISSION_DENIED,
    Reason.LIST_FILE_REFUSED: code_pb2.INVALID_ARGUMENT,
    Reason.RESUME_TOKEN_REFUSED: code_pb2.INVALID_ARGUMENT,
    Reason.REPAIR_NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.REPAIR_STATE_FORBIDS: code_pb2.FAILED_PRECONDITION,
    Reason.REPAIR_CHANGED: code_pb2.ABORTED,
}
_STORE_RETRY_S: Final = 5.0
_MOST_VIOLATIONS: Final = 50
_MOST_VIOLATIONS_BYTES: Final = 3_584
"""Details travel in a trailer, which gRPC bounds by 8 KB or so, in base64, and with the message in them once more."""
_MOST_BYTES: Final = 1_024
"""Of one text in a trailer, where each byte of a character beyond ASCII takes three (percent-encoding)."""
_ESCAPED: Final = 3
_WIDEST: Final = 4 * _ESCAPED

_STORE_AWAY: Final = "the gateway's store cannot be used now; ask again"
"""What is the matter with it is the operator's to know, and stands in the log: user and password, disk, file."""


def error_reason(reason: Reason) -> error_reason_pb2.ErrorReason.ValueType:
    """Gives the proto's value for a reason."""
    return error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason.value}")


def status_of(error: GatewayError, trace_id: str = "") -> status_pb2.Status:
    """Gives the status of an error with its details; the trace id, where there is one, stands in ErrorInfo's metadata."""
    code = CODES[error.reason]
    details: list[object] = [_info(error.reason, trace_id)]
    if isinstance(error, InvalidIdentifierError):
        details.append(_bad_request("uscc", str(error)))
    elif isinstance(error, InvalidRequestError):
        details.append(_bad_request(error.field, error.description))
    elif isinstance(error, ListFileError):
        details.append(_violations(error.faults[:_MOST_VIOLATIONS]))
    elif isinstance(error, UnansweredError):
        if error.reason in (Reason.REQUIRED_PLATFORM_MISSING, Reason.QUORUM_MISSED):
            if error.is_consent_missing:
                code = code_pb2.PERMISSION_DENIED
            elif not error.is_retryable:
                code = code_pb2.FAILED_PRECONDITION
        if code == code_pb2.UNAVAILABLE and error.retry_after_s is not None:
            details.append(_retry_info(error.retry_after_s))
        outcomes = credit_service_pb2.PlatformOutcomes()
        for answer in error.answers:
            fill_delivery(outcomes.answers.add(), answer, None)
        details.append(outcomes)
    elif isinstance(error, AdmissionError):
        details.append(_retry_info(error.retry_after_s))
    elif isinstance(error, StoreError) and not isinstance(error, CorruptRecordError):  # asking again mends nothing
        details.append(_retry_info(_STORE_RETRY_S))
    said = _STORE_AWAY if isinstance(error, StoreUnavailableError) else str(error)
    status = status_pb2.Status(code=code, message=_short(said))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)  # type: ignore[arg-type]  # each is a message
        status.details.append(packed)
    return status


def internal_status(trace_id: str = "") -> status_pb2.Status:
    """Gives the status of a fault of the gateway itself; its trace id is what to quote to the operator."""
    status = status_pb2.Status(code=code_pb2.INTERNAL, message="a fault of the gateway; the operator's log says more")
    packed = any_pb2.Any()
    packed.Pack(_info(Reason.INTERNAL, trace_id))
    status.details.append(packed)
    return status


def _info(reason: Reason, trace_id: str) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo(reason=reason.value, domain=DOMAIN)
    if trace_id:
        info.metadata["trace_id"] = trace_id
    return info


def _short(text: str) -> str:
    """Gives a text as a trailer has room for it: an error may quote what a caller sent, of whatever length."""
    if len(text) * _WIDEST <= _MOST_BYTES:
        return text
    size = 0
    for place, character in enumerate(text):
        size += 1 if character.isascii() and character.isprintable() else _ESCAPED * len(character.encode())
        if size > _MOST_BYTES:
            return f"{text[:place]}…"
    return text


def _bad_request(field: str, description: str) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[error_details_pb2.BadRequest.FieldViolation(field=field, description=_short(description))]
    )


def _violations(faults: Sequence[ListFault]) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for field, english, chinese in faults:
        violation = bad.FieldViolation(field=field, description=_short(english))
        violation.localized_message.locale, violation.localized_message.message = "zh", _short(chinese)
        if bad.ByteSize() + violation.ByteSize() > _MOST_VIOLATIONS_BYTES:
            break
        bad.field_violations.append(violation)
    return bad


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)
