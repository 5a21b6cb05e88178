"""What a bearer token (令牌) must state to say which of a bank's users asks: pure rules over verified claims.

A token is bound to the certificate it is sent under by `cnf` with `x5t#S256` (RFC 8705): stolen without the certificate's key
it is worth nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.caller import TOKEN_EXPIRED
from gateway.domain.errors import CallerMismatchError, Reason, UnauthenticatedError

_LONGEST_TEXT: Final = 128
REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "exp", "cnf")


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Whose tokens a bank's calls may carry, and how strictly time is read.

    `leeway_s` is how far the issuer's clock may be off; `longest_s` the longest life, from iat to exp. `is_required` refuses
    calls without a token; `is_one_use` lets each token serve one call only.
    """

    issuer: str
    audience: str
    leeway_s: float = 60.0
    longest_s: float = 3_600.0
    is_required: bool = False
    is_one_use: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a token says: the bank's user, the branch, its own id, and until when it may be taken (seconds since 1970)."""

    operator: str
    branch: str
    token_id: str
    until: float


def bearer(claims: Mapping[str, Any], fingerprint: str, policy: TokenPolicy, now: float) -> Bearer:
    """Gives what verified claims say at a moment, sent under the certificate of that fingerprint.

    Raises UnauthenticatedError with the rule that is broken, CallerMismatchError where the token is another certificate's.
    """
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + policy.leeway_s:
        raise UnauthenticatedError(Reason.TOKEN_EXPIRED, TOKEN_EXPIRED)
    if now < max(begins, issued) - policy.leeway_s:
        raise UnauthenticatedError(Reason.TOKEN_NOT_YET_VALID, "the token is not valid yet; check the clock")
    if expires - issued > policy.longest_s:
        raise _invalid(f"the token lives longer than {policy.longest_s:g} s")
    bound = claims.get("cnf")
    thumbprint = bound.get("x5t#S256") if isinstance(bound, Mapping) else None
    if not isinstance(thumbprint, str):
        raise _invalid("the token is not bound to a certificate by cnf")
    if thumbprint != certificate_thumbprint(fingerprint):
        raise CallerMismatchError(NOT_ITS_TOKEN)
    return Bearer(
        _text(claims, "sub"),
        _text(claims, "branch") if "branch" in claims else "",
        _text(claims, "jti"),
        expires + policy.leeway_s,
    )


NOT_ITS_TOKEN: Final = "the token is not this certificate's"
"""Said alike of another bank's, another certificate's and an unknown issuer's token, so that it hints at nothing."""


def certificate_thumbprint(fingerprint: str) -> str:
    """Gives a certificate's fingerprint as tokens state it: the same SHA-256 in base64url without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(fingerprint)).rstrip(b"=").decode()


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise _invalid(f"the token's {name} is no time")
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _LONGEST_TEXT
        or not value.isascii()
        or not value.isprintable()
    ):
        raise _invalid(f"the token's {name} is not 1 to {_LONGEST_TEXT} printable ASCII characters")
    return value


def _invalid(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(Reason.TOKEN_INVALID, message)
