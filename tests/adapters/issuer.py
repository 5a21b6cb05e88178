"""A bank's issuer of tokens, simulated: its keys over HTTP, tokens good and bad, and failures to order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.domain.token import certificate_thumbprint

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

AUDIENCE = "xinyidai-gateway"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: SigningKey, key_id: str, **more: Any) -> dict[str, Any]:
    """Gives the public half as a JWKS entry."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        stated = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        stated = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**stated, "kid": key_id, "use": "sig", **more}


@dataclass
class Issuer:
    """Signs tokens at moments of the test's clock; `status` and `document` change what its address answers."""

    name: str = "https://id.bank.example"
    url: str = ""
    keys: dict[str, SigningKey] = field(default_factory=lambda: {"k1": new_key()})
    status: int = 200
    document: bytes | None = None
    asked: int = 0
    issued: int = 0

    def token(
        self,
        fingerprint: str,
        now: float,
        *,
        key_id: str = "k1",
        key: SigningKey | None = None,
        header: Mapping[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """Gives a token bound to a certificate, valid from now for five minutes; a claim changed to None is left out."""
        self.issued += 1
        stated = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "op-7",
            "branch": "pudong",
            "jti": f"t-{self.issued}",
            "iat": int(now),
            "exp": int(now) + 300,
            "cnf": {"x5t#S256": certificate_thumbprint(fingerprint)},
            **changed,
        }
        claims = {name: value for name, value in stated.items() if value is not None}
        signing = key or self.keys[key_id]
        algorithm = "ES256" if isinstance(signing, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(claims, signing, algorithm, headers={"kid": key_id, **(header or {})})

    def jwks(self) -> bytes:
        return json.dumps({"keys": [jwk(key, key_id) for key_id, key in self.keys.items()]}).encode()

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(
            body=self.jwks() if self.document is None else self.document,
            status=self.status,
            content_type="application/json",
        )


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    """Keeps an issuer up on loopback."""
    one = Issuer()
    app = web.Application()
    app.router.add_get("/jwks.json", one.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    try:
        yield one
    finally:
        await runner.cleanup()
