"""Certificate × token × consent × consent method over real handshakes: one rule says what each combination may get.

What stands before a method, certificate and token, is `turned_away`; `test_mix_ups_credit.py` shares it for the methods that
ask for views, and `test_mix_ups_kept.py` asks for what is kept of a bank and found by a name of another kind: archived views,
batches, watches of joint lists, trails. A method of `ConsentService` joins by a line in `METHODS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from tests.e2e.certified import BANKS, House, bearer, reason_of
from tests.e2e.test_consent_service import terms
from tests.e2e.test_identity import house

__all__ = ["house"]

CERTIFICATES = (*BANKS, "stranger", "none")
TOKENS = ("none", *BANKS, "expired", "alien")
CONSENTS = (*BANKS, "nobody")
METHODS: dict[str, Callable[[str], Any]] = {
    "GetConsent": lambda own: pb.GetConsentRequest(consent_id=own),
    "PauseConsent": lambda own: pb.PauseConsentRequest(consent_id=own),
    "ResumeConsent": lambda own: pb.ResumeConsentRequest(consent_id=own),
    "ListConsents": lambda _: pb.ListConsentsRequest(),
    "RevokeConsent": lambda own: pb.RevokeConsentRequest(consent_id=own, reason="withdrawn"),
}
MISMATCH = ("PERMISSION_DENIED", "CALLER_MISMATCH", "the token is not this certificate's")


def turned_away(certificate: str, token: str) -> tuple[str, ...] | None:
    """Gives what a caller must be told who is not let in, whatever else it sends; None for one who is."""
    if certificate == "none":
        return ("UNAVAILABLE",)  # the handshake fails: there is nobody to tell more
    if certificate == "stranger":
        return ("UNAUTHENTICATED", "CALLER_UNKNOWN", "the caller is not known")
    if token != "none" and certificate != "bank-a":  # only bank-a has an issuer
        return MISMATCH
    if token in ("bank-b", "alien"):
        return MISMATCH
    if token == "expired":
        return ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    return None


def told_by(error: grpc.aio.AioRpcError) -> tuple[str, ...]:
    """Gives the code, and the reason and the text where it was the gateway that refused."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return (error.code().name,)
    code, reason, text = reason_of(error)
    return (code.name, reason, text)


def tokens_of(house: House) -> dict[str, str]:
    """Gives a token of each kind."""
    now = int(datetime.now(UTC).timestamp())
    return {
        "bank-a": house.token(),
        "bank-b": house.token("bank-b"),
        "expired": house.token(iat=now - 600, exp=now - 400),
        "alien": house.token(iss="https://nobody.example"),
    }


def owed(certificate: str, token: str, consent: str, method: str) -> tuple[str, ...]:
    """Gives what a combination must be told: nothing in it depends on whether another bank's consent exists."""
    away = turned_away(certificate, token)
    if away is not None:
        return away
    if method == "ListConsents" or consent == certificate:
        return ("OK",)
    return ("NOT_FOUND", "CONSENT_NOT_FOUND", "no such consent of this bank")


async def test_of_all_mix_ups_only_a_banks_own_parts_together_are_answered(house: House) -> None:
    tokens = tokens_of(house)
    channels = {name: house.channel(name) for name in CERTIFICATES}
    stubs: dict[str, Any] = {n: consent_service_pb2_grpc.ConsentServiceStub(c) for n, c in channels.items()}
    try:
        ids = {}
        for bank in BANKS:
            asked = pb.RegisterConsentRequest(terms=terms(platforms=["ping"]))
            ids[bank] = (await stubs[bank].RegisterConsent(asked)).consent.consent_id
        ids["nobody"] = ids["bank-a"][:-4] + "0000"
        wrong = {}
        done: set[tuple[str, str]] = set()
        # By method first: what ends a consent for good comes last.
        for method, certificate, token, consent in itertools.product(METHODS, CERTIFICATES, TOKENS, CONSENTS):
            metadata = bearer(tokens[token]) if token != "none" else None
            try:
                said = await getattr(stubs[certificate], method)(METHODS[method](ids[consent]), metadata=metadata)
                told: tuple[str, ...] = ("OK",)
                if method == "ListConsents" and [one.consent_id for one in said.consents] != [ids[certificate]]:
                    told = ("another's",)
            except grpc.aio.AioRpcError as error:
                told = told_by(error)
            expected = owed(certificate, token, consent, method)
            # Its own, and changed already by another right combination.
            is_again = told[1:2] == ("CONSENT_STATE_FORBIDS",) and (method, certificate) in done
            if told[: len(expected)] != expected and not (is_again and expected == ("OK",)):
                wrong[method, certificate, token, consent] = told
            if told == ("OK",):
                done.add((method, certificate))
        assert wrong == {}
        assert done == set(itertools.product(METHODS, BANKS))
    finally:
        for channel in channels.values():
            await channel.close()
