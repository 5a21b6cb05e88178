"""An issuer's keys: fetched when needed, refreshed, kept while it is gone, and never of a kind that was not meant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.adapters.identity.jwks import IssuerKeys, KeepingKeys, read_keys
from gateway.domain.errors import IdentityUnavailableError
from tests.adapters.issuer import Issuer, issuer, jwk, new_key
from tests.adapters.simulated import MovedClock

KEEPING = KeepingKeys(refresh_s=300, retry_s=10, kept_s=3_600)


class House:
    def __init__(self, one: Issuer, keys: IssuerKeys, clock: MovedClock) -> None:
        self.issuer, self.keys, self.clock = one, keys, clock

    async def fetched(self) -> None:
        """Lets a fetch beside a call end."""
        while self.keys._fetching is not None:
            await asyncio.wait([self.keys._fetching])
            await asyncio.sleep(0)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    clock = MovedClock()
    async with issuer() as one, aiohttp.ClientSession() as session:
        keys = IssuerKeys(one.url, session, clock, KEEPING)
        try:
            yield House(one, keys, clock)
        finally:
            await keys.aclose()


async def test_keys_are_fetched_once_and_found_by_their_ids() -> None:
    async with house() as built:
        built.issuer.keys["k2"] = rsa.generate_private_key(65537, 2048)

        found = await asyncio.gather(*[built.keys.key(key_id) for key_id in ("k1", "k2", "k1")])

        assert [key.algorithm for key in found if key] == ["ES256", "RS256", "ES256"]
        assert built.issuer.asked == 1


async def test_an_unknown_id_has_them_fetched_anew_but_not_at_every_call() -> None:
    async with house() as built:
        await built.keys.key("k1")
        built.issuer.keys["k2"] = new_key()

        soon = await built.keys.key("k2")
        built.clock.at_s = 10.0
        later = await built.keys.key("k2")
        never = [await built.keys.key("k3") for _ in range(20)]

        assert soon is None
        assert later is not None
        assert never == [None] * 20
        assert built.issuer.asked == 2


async def test_old_keys_serve_while_new_ones_are_fetched_beside() -> None:
    async with house() as built:
        old = await built.keys.key("k1")
        built.issuer.keys["k1"] = new_key()
        built.clock.at_s = 301.0

        meanwhile = await built.keys.key("k1")
        await built.fetched()
        renewed = await built.keys.key("k1")

        assert meanwhile is old
        assert renewed is not None
        assert renewed is not old


async def test_keys_are_kept_while_the_issuer_is_gone_and_not_for_ever() -> None:
    async with house() as built:
        await built.keys.key("k1")
        built.issuer.status = 503

        built.clock.at_s = 3_600.0
        kept = await built.keys.key("k1")
        await built.fetched()
        built.clock.at_s = 3_611.0
        with pytest.raises(IdentityUnavailableError):
            await built.keys.key("k1")
        built.issuer.status, built.clock.at_s = 200, 3_622.0
        back = await built.keys.key("k1")

        assert kept is not None
        assert back is not None


async def test_a_key_the_issuer_took_back_is_gone_after_the_refresh() -> None:
    async with house() as built:
        await built.keys.key("k1")
        del built.issuer.keys["k1"]
        built.issuer.keys["k2"] = new_key()
        built.clock.at_s = 301.0

        await built.keys.key("k1")
        await built.fetched()

        assert await built.keys.key("k1") is None


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"{" * 100_000, b'{"keys": [7]}', b" " * 300_000],
    ids=["empty", "a list", "no keys", "a table", "none", "deep", "a number", "too large"],
)
async def test_what_is_no_jwks_leaves_the_kept_keys_as_they_are(document: bytes) -> None:
    async with house() as built:
        old = await built.keys.key("k1")
        built.issuer.document, built.clock.at_s = document, 301.0
        await built.keys.key("k1")
        await built.fetched()

        assert await built.keys.key("k1") is old
        assert built.issuer.asked == 2


async def test_a_redirect_is_not_followed() -> None:
    async with house() as built:
        built.issuer.status = 302

        with pytest.raises(IdentityUnavailableError):
            await built.keys.key("k1")


def _secret() -> dict[str, Any]:
    return {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "bad", "alg": "HS256"}


@pytest.mark.parametrize(
    "bad",
    [
        _secret(),
        jwk(ec.generate_private_key(ec.SECP384R1()), "bad"),
        jwk(rsa.generate_private_key(65537, 1024), "bad"),
        jwk(new_key(), "bad", use="enc"),
        jwk(new_key(), "bad", alg="RS256"),
        jwk(new_key(), "bad", d="AAAA"),
        jwk(new_key(), "bad", x="AAAA"),
        {**jwk(new_key(), "bad"), "kid": 7},
        {**jwk(new_key(), "bad"), "kid": ""},
    ],
    ids=[
        "a secret",
        "P-384",
        "RSA 1024",
        "for encryption",
        "other alg",
        "private",
        "off the curve",
        "kid 7",
        "kid empty",
    ],
)
def test_A5_keys_of_another_kind_are_not_taken(bad: dict[str, Any]) -> None:
    good = jwk(new_key(), "good")

    keys = read_keys(json.dumps({"keys": [bad, good]}).encode())

    assert list(keys) == ["good"]


def test_an_id_that_two_keys_bear_is_nobody_s() -> None:
    keys = read_keys(json.dumps({"keys": [jwk(new_key(), "a"), jwk(new_key(), "a"), jwk(new_key(), "b")]}).encode())

    assert list(keys) == ["b"]
