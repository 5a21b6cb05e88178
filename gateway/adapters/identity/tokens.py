"""Bearer tokens (JWT, RFC 7519) of one bank: verified once, then known by their digest until they expire.

    header ─► issuer ─► key by id ─► signature, with that key's one algorithm ─► claims (domain/token.py) ─► seen before?

The order is that of the refusals: whoever's token is not this bank's is told so before any key is looked up for it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gateway.adapters.identity.jwks import IssuerKeys
from gateway.domain.caller import PeerCertificate
from gateway.domain.errors import CallerMismatchError, Reason, UnauthenticatedError
from gateway.domain.token import NOT_ITS_TOKEN, REQUIRED, Bearer, TokenPolicy, bearer
from gateway.ports import Clock
from gateway.store_ports import SeenTokens

_ALGORITHMS: Final = ("ES256", "RS256")
_LONGEST: Final = 8_192


@dataclass(frozen=True, slots=True)
class _Verified:
    fingerprint: str
    bearer: Bearer


class BankTokens:
    """Verifies the tokens of one bank."""

    def __init__(
        self, policy: TokenPolicy, keys: IssuerKeys, seen: SeenTokens, clock: Clock, *, capacity: int = 10_000
    ) -> None:
        self.policy = policy
        self._keys = keys
        self._seen = seen
        self._clock = clock
        self._capacity = capacity
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def bearer(self, token: str, certificate: PeerCertificate) -> Bearer:
        """Gives what the token says; raises UnauthenticatedError, CallerMismatchError or IdentityUnavailableError."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.now().timestamp()
        known = self._verified.get(digest)
        if known is not None and not self.policy.is_one_use:
            if known.fingerprint != certificate.fingerprint:
                raise CallerMismatchError(NOT_ITS_TOKEN)
            if now < known.bearer.until:
                return known.bearer
            del self._verified[digest]
        said = bearer(await self._claims(token), certificate.fingerprint, self.policy, now)
        was_seen = await self._seen.note(self.policy.issuer, said.token_id, digest, said.until)
        if was_seen is False or (was_seen and self.policy.is_one_use):
            raise UnauthenticatedError(Reason.TOKEN_REPLAYED, "the token was used before; get a new one")
        if not self.policy.is_one_use:
            self._verified[digest] = _Verified(certificate.fingerprint, said)
            if len(self._verified) > self._capacity:
                self._verified.popitem(last=False)
        return said

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST:
            raise _invalid(f"the token is longer than {_LONGEST} characters")
        try:
            header = jwt.get_unverified_header(token)
            stated = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _invalid("the token is none") from error
        if stated.get("iss") != self.policy.issuer:
            raise CallerMismatchError(NOT_ITS_TOKEN)
        key_id = header.get("kid")
        if not isinstance(key_id, str) or "crit" in header:
            raise _invalid("the token's header has no kid, or a crit")
        if header.get("alg") not in _ALGORITHMS:
            raise _unsigned()
        key = await self._keys.key(key_id)
        if key is None or header["alg"] != key.algorithm:
            raise _unsigned()
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self.policy.audience,
                issuer=self.policy.issuer,
                # Times are the domain's to check, on the gateway's clock.
                options={"require": list(REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
            raise _unsigned() from error
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"the token has no {error.claim}") from error
        except jwt.InvalidAudienceError as error:
            raise _invalid("the token is for another audience") from error
        except jwt.PyJWTError as error:
            raise _invalid("the token's claims are not as they must be") from error
        return claims


def _invalid(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(Reason.TOKEN_INVALID, message)


def _unsigned() -> UnauthenticatedError:
    return UnauthenticatedError(Reason.TOKEN_SIGNATURE_INVALID, "the token's signature is not valid")
