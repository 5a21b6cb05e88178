"""What an HTTP exchange that went wrong means: one table from aiohttp's errors to outcomes."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp import http_exceptions

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.domain.errors import PlatformError

# Checked in this order: subclasses before their bases.
_TABLE: Final[Sequence[tuple[type[BaseException], Outcome.ValueType, str]]] = (
    (aiohttp.ClientConnectorDNSError, OUTCOME_UNREACHABLE, "dns"),
    (aiohttp.ServerFingerprintMismatch, OUTCOME_AUTH_FAILED, "tls_pin"),
    (aiohttp.ClientConnectorCertificateError, OUTCOME_AUTH_FAILED, "tls_certificate"),
    (aiohttp.ClientConnectorSSLError, OUTCOME_AUTH_FAILED, "tls"),
    (ssl.SSLError, OUTCOME_AUTH_FAILED, "tls"),
    (aiohttp.ClientConnectorError, OUTCOME_UNREACHABLE, "connect"),
    (aiohttp.ConnectionTimeoutError, OUTCOME_TIMEOUT, "connect"),
    (aiohttp.SocketTimeoutError, OUTCOME_TIMEOUT, "read"),
    (TimeoutError, OUTCOME_TIMEOUT, "deadline"),
    (aiohttp.ServerDisconnectedError, OUTCOME_UNREACHABLE, "closed"),
    (aiohttp.ClientOSError, OUTCOME_UNREACHABLE, "reset"),
    (aiohttp.InvalidURL, OUTCOME_UNREACHABLE, "egress"),
    (http_exceptions.HttpProcessingError, OUTCOME_BAD_ANSWER, "protocol"),
    (aiohttp.ClientError, OUTCOME_UNREACHABLE, "client"),
    (OSError, OUTCOME_UNREACHABLE, "os"),
    (ValueError, OUTCOME_BAD_ANSWER, "protocol"),
)


# aiohttp has no class of its own for the second, and its own exception for the first is translated away.
_BEYOND_LIMITS: Final = ("Got more than", "too long", "Too many headers")
_ITS_OWN_FAULT: Final = ("INTERNAL_ERROR", "USER_CANCELLED")
_WANTS_OURS: Final = "it wants a client certificate, and the gateway presents none"


def _tls_refusal(error: BaseException) -> str | None:
    """Says what a platform's TLS alert asks for, None where there is none.

    Under TLS 1.3 the alert about a client certificate comes after the handshake, in place of the answer (RFC 8446 §4.4.2.4);
    up to TLS 1.2 it is the same alert as for want of a common cipher (RFC 5246 §7.2.2).
    """
    alert: Any = error.__cause__ or error  # aiohttp's own TLS errors are SSLErrors too, without a reason
    reason = (getattr(alert, "reason", None) or "") if isinstance(alert, ssl.SSLError) else ""
    if "_ALERT_" not in reason or reason.endswith(_ITS_OWN_FAULT):
        return None
    if reason.endswith("CERTIFICATE_REQUIRED"):
        return _WANTS_OURS
    if reason.endswith("HANDSHAKE_FAILURE"):
        return f"no cipher or version in common, or {_WANTS_OURS}"
    return reason.lower()


def translated(error: BaseException, *, is_answering: bool) -> PlatformError:
    """Gives the outcome of an aiohttp failure; `is_answering` says whether headers had come already."""
    detail = type(error).__name__
    refusal = _tls_refusal(error)
    if refusal is not None and not is_answering:
        return PlatformError(OUTCOME_AUTH_FAILED, "tls", detail=refusal)
    if isinstance(error, aiohttp.ClientPayloadError) or (
        is_answering and isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError))
    ):
        cause: Any = error.__cause__
        if isinstance(cause, http_exceptions.TransferEncodingError) or "decompress" in str(error):
            return PlatformError(OUTCOME_BAD_ANSWER, "protocol", detail=detail)
        return PlatformError(OUTCOME_BAD_ANSWER, "truncated", detail=detail)
    if isinstance(error, http_exceptions.HttpProcessingError) and any(told in error.message for told in _BEYOND_LIMITS):
        return PlatformError(OUTCOME_TOO_LARGE, "headers", detail=detail)
    for kind, outcome, reason in _TABLE:
        if isinstance(error, kind):
            return PlatformError(outcome, reason, detail=detail)
    raise AssertionError(f"no outcome for {detail}") from error
