"""Who calls, by certificate: rows A1 to A3 of the fault catalogue without the wire."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.adapters.identity.callers import DevelopmentCallers, KnownCallers
from gateway.domain.caller import Caller, PeerCertificate, development_caller
from gateway.domain.errors import CallerMismatchError, InvalidRequestError, Reason, UnauthenticatedError
from gateway.domain.token import TokenPolicy
from tests.adapters.identified import QUERY, REGISTER, A, C, House, certificate, open_house
from tests.adapters.simulated import NOON


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_a_bank_is_known_by_its_certificate(house: House) -> None:
    caller = await house.callers.identify(C, [("user-agent", "grpc")])

    assert caller == Caller("bank-c", QUERY, certificate=C.fingerprint)
    assert (await house.callers.identify(A, [])).province == "31"


@pytest.mark.parametrize(
    "shown",
    [None, certificate("x"), PeerCertificate("00" * 32, ("URI:a", "URI:b"), NOON + timedelta(days=1))],
    ids=["none", "unknown", "two banks"],
)
async def test_A1_no_or_an_unknown_certificate_is_nobody_and_told_no_more(
    house: House, shown: PeerCertificate | None
) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^the caller is not known$") as caught:
        await house.callers.identify(shown, [("authorization", "Bearer x"), ("xinyidai-bank", "bank-a")])

    assert caught.value.reason is Reason.CALLER_UNKNOWN


async def test_A1_a_certificate_that_expired_on_a_living_connection_is_known_no_more(house: House) -> None:
    house.clock.at_s = 30 * 86_400 - 1.0
    before = await house.callers.identify(C, [])
    house.clock.at_s = 30 * 86_400.0

    with pytest.raises(UnauthenticatedError):
        await house.callers.identify(C, [])
    assert before.bank == "bank-c"


async def test_A1_a_revoked_certificate_is_refused_in_the_words_of_an_unknown_one(house: House) -> None:
    callers = KnownCallers(replace(REGISTER, revoked=frozenset({C.fingerprint})), {}, house.clock)
    renewed = certificate("c", 2)
    told = []
    for shown in (C, certificate("x")):
        with pytest.raises(UnauthenticatedError) as caught:
            await callers.identify(shown, [])
        told.append((caught.value.reason, str(caught.value)))

    assert told[0] == told[1] == (Reason.CALLER_UNKNOWN, "the caller is not known")
    assert (await callers.identify(renewed, [])).bank == "bank-c"


async def test_A3_a_caller_is_known_with_when_its_proofs_end(house: House) -> None:
    alone = await house.callers.identify(C, [])
    with_token = await house.ask(house.token(exp=int(house.now) + 100))

    assert (alone.certificate_until, alone.token_until) == (C.not_after.timestamp(), math.inf)
    assert with_token.token_until == int(house.now) + 100 + TokenPolicy("", "").leeway_s


async def test_A2_a_bank_stated_beside_another_s_certificate_is_refused(house: House) -> None:
    with pytest.raises(CallerMismatchError):
        await house.callers.identify(C, [("xinyidai-bank", "bank-a")])

    assert (await house.callers.identify(C, [("xinyidai-bank", "bank-c")])).bank == "bank-c"


# --- development ------------------------------------------------------------------------------------------------------


async def test_a_development_gateway_takes_the_caller_at_its_word_but_no_token() -> None:
    callers = DevelopmentCallers()

    assert await callers.identify(None, [("xinyidai-bank", "bank-x")]) == development_caller("bank-x")
    assert (await callers.identify(None, [])).bank == "anonymous"
    with pytest.raises(UnauthenticatedError):
        await callers.identify(None, [("authorization", "Bearer x.y.z")])
    with pytest.raises(InvalidRequestError):
        await callers.identify(None, [("xinyidai-bank", "x"), ("xinyidai-bank", "y")])
