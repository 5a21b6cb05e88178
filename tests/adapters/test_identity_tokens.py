"""Who calls, by token: rows A2 to A5 of the fault catalogue without the wire."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.domain.caller import Caller
from gateway.domain.errors import GatewayError, IdentityUnavailableError, Reason, UnauthenticatedError
from tests.adapters.identified import A2, QUERY, A, B, C, House, open_house
from tests.adapters.issuer import new_key


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def test_a_token_says_operator_and_branch(house: House) -> None:
    caller = await house.ask(house.token())

    assert caller == Caller("bank-a", QUERY, "op-7", "pudong", "31", A.fingerprint)


async def test_an_rs256_token_is_as_good(house: House) -> None:
    house.a.keys["r"] = rsa.generate_private_key(65537, 2048)

    assert (await house.ask(house.token(key_id="r"))).operator == "op-7"


async def test_a_verified_token_is_known_until_it_expires_without_key_or_store(house: House) -> None:
    token = house.token()
    await house.ask(token)
    house.a.status = 500
    await house.seen.aclose()

    house.clock.at_s = 300.0
    assert (await house.ask(token)).operator == "op-7"
    assert house.a.asked == 1

    house.clock.at_s = 360.0
    assert await house.refusal(token) is Reason.TOKEN_EXPIRED


async def test_a_bank_that_wants_tokens_gets_no_call_without_one(house: House) -> None:
    callers = house.again({"is_required": True})

    with pytest.raises(UnauthenticatedError) as caught:
        await callers.identify(A, [])

    assert caught.value.reason is Reason.TOKEN_INVALID


async def test_A2_every_mix_of_certificate_and_token_but_the_right_ones_is_refused_alike(house: House) -> None:
    tokens = {
        "a": house.a.token(A.fingerprint, house.now),
        "a2": house.a.token(A2.fingerprint, house.now),
        "b": house.b.token(B.fingerprint, house.now),
        "b by a": house.b.token(A.fingerprint, house.now),
        "stranger": replace(house.a, name="https://id.stranger.example").token(A.fingerprint, house.now),
    }
    shown = {"a": A, "a2": A2, "b": B, "c": C}
    taken, told = [], set()

    for who, presented in shown.items():
        for whose, token in tokens.items():
            for _ in range(2):  # the second time a right one is known by its digest
                try:
                    await house.ask(token, presented)
                    taken.append((who, whose))
                except GatewayError as error:
                    told.add((error.reason, str(error)))

    assert taken == [(same, same) for same in ("a", "a2", "b") for _ in range(2)]
    assert told == {(Reason.CALLER_MISMATCH, "the token is not this certificate's")}


async def test_A3_expired_and_not_yet_valid_say_which(house: House) -> None:
    token = house.token(iat=int(house.now) + 61)
    assert await house.refusal(token) is Reason.TOKEN_NOT_YET_VALID
    assert await house.refusal(house.token(exp=int(house.now) - 60)) is Reason.TOKEN_EXPIRED

    house.clock.at_s = 1.0
    assert await house.ask(token)


async def test_A4_another_token_with_a_used_jti_is_refused_also_by_another_process(house: House) -> None:
    await house.ask(house.token(jti="one"))
    again = house.token(jti="one", sub="op-8")

    here = await house.refusal(again)
    house.callers = house.again()
    there = await house.refusal(again)

    assert (here, there) == (Reason.TOKEN_REPLAYED, Reason.TOKEN_REPLAYED)


async def test_A4_the_same_token_goes_on_after_a_restart(house: House) -> None:
    token = house.token()
    await house.ask(token)
    house.callers = house.again()

    assert (await house.ask(token)).operator == "op-7"


async def test_A4_a_token_for_one_call_serves_one_call_also_across_processes(house: House) -> None:
    token = house.token()
    house.callers = house.again({"is_one_use": True})
    first = await house.ask(token)

    second = await house.refusal(token)
    house.callers = house.again({"is_one_use": True})
    third = await house.refusal(token)

    assert first.operator == "op-7"
    assert (second, third) == (Reason.TOKEN_REPLAYED, Reason.TOKEN_REPLAYED)


async def test_A4_without_the_store_no_new_token_is_taken(house: House, tmp_path: Path) -> None:
    await house.seen.aclose()
    (tmp_path / "tokens.db").write_bytes(b"no database " * 1_000)

    assert await house.refusal(house.token()) is Reason.IDENTITY_UNAVAILABLE


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def reheaded(token: str, **header: object) -> str:
    """Gives the token with another header over the same signature, as the library itself would not write it."""
    head, body, signature = token.split(".")
    stated = json.loads(base64.urlsafe_b64decode(head + "=="))
    return f"{encoded({**stated, **header})}.{body}.{signature}"


def unsigned(token: str, algorithm: str) -> str:
    return reheaded(token, alg=algorithm).rpartition(".")[0] + "."


async def test_A5_no_algorithm_but_the_key_s_own_is_taken(house: House) -> None:
    house.a.keys["r"] = rsa.generate_private_key(65537, 2048)
    token = house.token()
    pem = house.a.keys["k1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = unsigned(token, "HS256").rstrip(".")
    mac = base64.urlsafe_b64encode(hmac.digest(pem, signed.encode(), "sha256")).rstrip(b"=").decode()
    swapped = [
        unsigned(token, "none"),
        unsigned(token, "None"),
        unsigned(token, "HS256"),
        f"{signed}.{mac}",  # the public key as a shared secret
        house.token(header={"kid": "r"}),  # ES256 by another key's id
        house.token(key_id="r", header={"kid": "k1"}),
        reheaded(token, alg="ES384"),
    ]

    assert {await house.refusal(one) for one in swapped} == {Reason.TOKEN_SIGNATURE_INVALID}


async def test_A5_a_signature_of_somebody_else_or_of_another_body_is_refused(house: House) -> None:
    token, other = house.token(), house.token(sub="op-8")
    head, body, signature = token.split(".")
    _, other_body, _ = other.split(".")
    wrong = [
        house.token(key=new_key()),
        house.token(key_id="k1", key=new_key()),
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}.",
        house.token(header={"kid": "unknown"}),
    ]

    assert {await house.refusal(one) for one in wrong} == {Reason.TOKEN_SIGNATURE_INVALID}


async def test_A5_a_key_in_the_header_convinces_nobody(house: House) -> None:
    from tests.adapters.issuer import jwk

    stranger = new_key()
    token = house.token(key=stranger, header={"jwk": jwk(stranger, "k1"), "jku": "http://127.0.0.1:1/"})

    assert await house.refusal(token) is Reason.TOKEN_SIGNATURE_INVALID


@pytest.mark.parametrize("claim", ["aud", "sub", "jti", "iat", "exp", "cnf"])
async def test_A5_a_token_without_a_claim_it_must_have_is_refused(house: House, claim: str) -> None:
    assert await house.refusal(house.token(**{claim: None})) is Reason.TOKEN_INVALID


async def test_A5_a_token_for_another_audience_or_with_an_extension_nobody_knows_is_refused(house: House) -> None:
    wrong = [
        house.token(aud="another"),
        house.token(aud=[]),
        house.token(header={"crit": ["b64"], "b64": False}),
        reheaded(house.token(), kid=7),
        reheaded(house.token(), kid=None),
        reheaded(house.token(), crit=["exp"]),
    ]

    assert {await house.refusal(one) for one in wrong} == {Reason.TOKEN_INVALID}


@pytest.mark.parametrize(
    "stated",
    [
        [("authorization", "Basic dTpw")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer x"), ("authorization", "Bearer y")],
        [("authorization", b"\xff")],
        [("authorization", "Bearer x.y")],
        [("authorization", "Bearer a.b.c")],
        [("authorization", f"Bearer {'x' * 9_000}")],
        [("authorization", f"Bearer {encoded([])}.{encoded([])}.x")],
        [("authorization", f"Bearer {encoded({'alg': 'ES256'})}.{encoded('text')}.eA")],
    ],
    ids=["basic", "bare", "empty", "two", "bytes", "two parts", "no base64", "long", "lists", "a text"],
)
async def test_A5_what_is_no_token_is_refused(house: House, stated: Sequence[tuple[str, str | bytes]]) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        await house.callers.identify(A, stated)

    assert caught.value.reason is Reason.TOKEN_INVALID


async def test_without_the_issuer_s_keys_a_token_is_neither_taken_nor_called_wrong(house: House) -> None:
    house.a.status = 503

    with pytest.raises(IdentityUnavailableError):
        await house.ask(house.token())


async def test_verified_tokens_are_kept_in_bounds(house: House) -> None:
    tokens = [house.token() for _ in range(120)]
    for token in tokens:
        await house.ask(token)

    kept = house.callers._tokens["bank-a"]._verified

    assert len(kept) == 100
    assert not any(token.encode() in kept for token in tokens)
