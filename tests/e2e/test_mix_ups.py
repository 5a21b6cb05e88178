"""Certificate × token × consent × method over real handshakes: one rule says what each of all combinations may get.

A further thing of a bank's own (an archived view, a trail) joins by a line in `METHODS`, whose id is then that thing's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from tests.e2e.test_consent_service import terms
from tests.e2e.test_identity import BANKS, House, bearer, house, reason_of

__all__ = ["house"]

CERTIFICATES = (*BANKS, "stranger")
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


def owed(certificate: str, token: str, consent: str, method: str) -> tuple[str, ...]:
    """Gives what a combination must be told: nothing in it depends on whether another bank's consent exists."""
    if certificate == "stranger":
        return ("UNAUTHENTICATED", "CALLER_UNKNOWN", "the caller is not known")
    if token != "none" and certificate != "bank-a":  # only bank-a has an issuer
        return MISMATCH
    if token in ("bank-b", "alien"):
        return MISMATCH
    if token == "expired":
        return ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    if method == "ListConsents" or consent == certificate:
        return ("OK",)
    return ("NOT_FOUND", "CONSENT_NOT_FOUND", "no such consent of this bank")


async def test_of_all_mix_ups_only_a_banks_own_parts_together_are_answered(house: House) -> None:
    now = int(datetime.now(UTC).timestamp())
    tokens = {
        "bank-a": house.token(),
        "bank-b": house.token("bank-b"),
        "expired": house.token(iat=now - 600, exp=now - 400),
        "alien": house.token(iss="https://nobody.example"),
    }
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
                code, reason, text = reason_of(error)
                told = (code.name, reason, text)
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
