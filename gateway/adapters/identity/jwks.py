"""An issuer's public keys (JWKS, RFC 7517): fetched when first needed, refreshed, and kept for a while when it is gone.

    younger than `refresh_s`   used                     older: used, and fetched anew beside
    a key id not known         fetched anew, at most once in `retry_s`
    older than `kept_s`        not used any more: IdentityUnavailableError, not a refusal

Only P-256 and RSA keys of at least 2048 bits are taken, each for the one algorithm of its kind: what a token's header says
of its algorithm chooses nothing. A fetch belongs to the keys, not to the call that needed it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import aiohttp
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.domain.errors import IdentityUnavailableError
from gateway.ports import Clock

_MOST_BYTES: Final = 256 * 1024
_FETCH_S: Final = 5.0
_FEWEST_BITS: Final = 2_048

PublicKey: TypeAlias = EllipticCurvePublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the one algorithm it verifies."""

    public: PublicKey
    algorithm: str


@dataclass(frozen=True, slots=True)
class KeepingKeys:
    """How long fetched keys serve, in seconds; see the module's table."""

    refresh_s: float = 300.0
    retry_s: float = 10.0
    kept_s: float = 86_400.0


class IssuerKeys:
    """The keys of one issuer, at one address; closed by who made it."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, clock: Clock, keeping: KeepingKeys | None = None
    ) -> None:
        self._url = url
        self._session = session
        self._clock = clock
        self._keeping = keeping or KeepingKeys()
        self._keys: Mapping[str, VerificationKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._is_down = False
        self._log = structlog.get_logger("gateway.identity")

    async def key(self, key_id: str) -> VerificationKey | None:
        """Gives the key of an id, None where the issuer has none of it; raises IdentityUnavailableError."""
        if self._is_kept():
            found = self._keys.get(key_id)
            if found is not None:
                if self._age_s() > self._keeping.refresh_s:
                    self._fetch()
                return found
        fetching = self._fetch()
        if fetching is not None:
            await asyncio.shield(fetching)
        if not self._is_kept():
            raise IdentityUnavailableError("the keys that prove the token cannot be had now; ask again")
        return self._keys.get(key_id)

    async def aclose(self) -> None:
        """Ends a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _age_s(self) -> float:
        return self._clock.monotonic() - self._fetched_at if self._fetched_at is not None else float("inf")

    def _is_kept(self) -> bool:
        return self._age_s() <= self._keeping.kept_s

    def _fetch(self) -> asyncio.Task[None] | None:
        """Gives the fetch under way, begun now unless one was tried a moment ago."""
        if self._fetching is None:
            now = self._clock.monotonic()
            if self._tried_at is not None and now - self._tried_at < self._keeping.retry_s:
                return None
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch_once())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch_once(self) -> None:
        try:
            async with self._session.get(
                self._url,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_FETCH_S),
                headers={"Accept": "application/json"},
            ) as response:
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                keys = read_keys(await _body(response))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if not self._is_down:
                self._is_down = True
                self._log.warning("identity.keys_unavailable", url=self._url, why=_why(error))
            return
        self._keys, self._fetched_at = keys, self._clock.monotonic()
        if self._is_down:
            self._is_down = False
            self._log.info("identity.keys_back", url=self._url)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
    return bytes(body)


def read_keys(document: bytes) -> Mapping[str, VerificationKey]:
    """Gives the usable keys of a JWKS document by their ids; raises ValueError where it is none or has no usable key."""
    try:
        parsed = json.loads(document)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    stated = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(stated, list):
        raise ValueError("is no JWKS document")
    found: dict[str, VerificationKey] = {}
    ambiguous: set[str] = set()
    for each in stated:
        key_id = each.get("kid") if isinstance(each, dict) else None
        if not isinstance(key_id, str) or not key_id:
            continue
        key = _key(each)
        if key is None:
            continue
        if key_id in found:
            ambiguous.add(key_id)
        found[key_id] = key
    usable = {key_id: key for key_id, key in found.items() if key_id not in ambiguous}
    if not usable:
        raise ValueError("has no usable key")
    return usable


def _key(stated: dict[str, Any]) -> VerificationKey | None:
    """Gives a key for signatures; None for one of another use, kind or size."""
    if stated.get("use", "sig") != "sig" or "d" in stated:
        return None
    algorithm = {"EC": "ES256", "RSA": "RS256"}.get(stated.get("kty", ""))
    if algorithm is None or stated.get("alg", algorithm) != algorithm:
        return None
    try:
        public = jwt.PyJWK(stated, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return VerificationKey(public, algorithm)
    if isinstance(public, RSAPublicKey) and public.key_size >= _FEWEST_BITS:
        return VerificationKey(public, algorithm)
    return None


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
