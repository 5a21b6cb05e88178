"""Certificate × token × consent × request id × method of `CreditService` over real handshakes, with consents enforced.

Of everything two banks have, each asks with each: only its own consent is answered, and a request id of the other bank's is
an id like any other.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from tests.e2e.certified import BANKS, House, open_house
from tests.e2e.conftest import DEMO
from tests.e2e.tenants import REMEMBERS, WAYS, Ask, Outcome
from tests.e2e.test_consent_service import terms
from tests.e2e.test_mix_ups import CERTIFICATES, CONSENTS, TOKENS, tokens_of, turned_away
from tests.faults.callers_fixtures import query

REQUEST_IDS = ("none", *BANKS, "nobody")
COMBINATIONS = tuple(itertools.product(CERTIFICATES, TOKENS, CONSENTS, REQUEST_IDS, WAYS))
SAMPLE = 13
"""One in so many of the others is tried in `make test`: prime to the numbers of kinds, so that every kind occurs."""
REUSED = ("ALREADY_EXISTS", "REQUEST_ID_REUSED", "this request id was used with another body; use a new one")
MISSING = (
    "PERMISSION_DENIED",
    "CONSENT_MISSING",
    "no stated consent covers what was asked; register the enterprise's and state its id",
)


def owed(certificate: str, token: str, consent: str, request_id: str, way: str) -> tuple[str, ...]:
    """Gives what a combination must be told; each bank was answered once under each request id, with its own consent."""
    away = turned_away(certificate, token)
    if away is not None:
        return away
    if consent == certificate:
        return ("OK",)
    return REUSED if request_id != "none" and way in REMEMBERS else MISSING


class Mixer:
    """Puts calls together of both banks' parts, and tells what came of them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tokens = tokens_of(house)
        self._channels = {name: house.channel(name) for name in CERTIFICATES}
        self._consents: dict[str, str] = {}
        self.first: dict[tuple[str, str, str], str] = {}

    async def seed(self) -> None:
        """Registers a consent of each bank, and has each answered once under each request id, its own first."""
        for bank in BANKS:
            stub: Any = consent_service_pb2_grpc.ConsentServiceStub(self._channels[bank])
            asked = pb.RegisterConsentRequest(terms=terms(platforms=["ping"]))
            self._consents[bank] = (await stub.RegisterConsent(asked)).consent.consent_id
        self._consents["nobody"] = self._consents["bank-a"][:-4] + "0000"
        callers = (("bank-a", "none"), ("bank-a", "bank-a"), ("bank-b", "none"))
        for is_own in (True, False):
            for (bank, token), request_id in itertools.product(callers, REQUEST_IDS[1:]):
                if (request_id == bank) is is_own:
                    outcome = await self.ask(bank, token, bank, request_id, "unary")
                    assert (outcome.code, outcome.is_repeated) == (0, False), (bank, token, request_id, outcome)
                    self.first[bank, token, request_id] = outcome.answer_id
        assert len(set(self.first.values())) == len(self.first)

    async def ask(self, certificate: str, token: str, consent: str, request_id: str, way: str) -> Outcome:
        """Makes one call."""
        asked = query(
            DEMO, categories=[CATEGORY_TAX_PAYMENT], platforms=["ping"], consent_ids=[self._consents[consent]]
        )
        if request_id != "none":
            # A bank's user is part of the question: with and without a token it has ids of its own.
            asked.request_id = f"{request_id}, {'user' if token == 'bank-a' else 'bank'}"
        metadata = {"authorization": f"Bearer {self._tokens[token]}"} if token != "none" else {}
        return await WAYS[way](Ask(self._channels[certificate], metadata, asked))

    async def check(self, combination: tuple[str, str, str, str, str]) -> str:
        """Makes a call and gives what was wrong with what it was told, or nothing."""
        certificate, token, _, request_id, way = combination
        before = self._house.rig.upstream.calls
        outcome = await self.ask(*combination)
        told = told_of(outcome)
        expected = owed(*combination)
        if told[: len(expected)] != expected:
            return f"{told}, not {expected}"
        if told != ("OK",):
            return "a platform was asked" if self._house.rig.upstream.calls != before else ""
        first = self.first.get((certificate, token, request_id))
        is_again = way in REMEMBERS and first is not None
        if is_again:
            return "" if outcome.is_repeated and outcome.answer_id == first else f"not its own first answer: {outcome}"
        return "an old answer" if outcome.is_repeated or outcome.answer_id in self.first.values() else ""

    async def aclose(self) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            await channel.close()


def told_of(outcome: Outcome) -> tuple[str, ...]:
    """Gives the code's name, the reason and the text; of an answer and of a failed handshake the name alone."""
    name = next(code.name for code in grpc.StatusCode if code.value[0] == outcome.code)
    return (name,) if name in ("OK", "UNAVAILABLE") else (name, outcome.reasons[0], outcome.text)


@pytest.fixture
async def mixer(tmp_path: Path) -> AsyncIterator[Mixer]:
    async with open_house(tmp_path, is_enforcing=True) as house:
        made = Mixer(house)
        try:
            await made.seed()
            yield made
        finally:
            await made.aclose()


async def wrong(mixer: Mixer, combinations: Sequence[tuple[str, str, str, str, str]]) -> dict[tuple[str, ...], str]:
    found = {combination: await mixer.check(combination) for combination in combinations}
    return {combination: said for combination, said in found.items() if said}


def sample() -> list[tuple[str, str, str, str, str]]:
    """Gives the combinations of `make test`: all that are let in by certificate alone, and one in so many of the others."""
    plain = [c for c in COMBINATIONS if c[1] == "none" and c[0] in BANKS and c[4] != "stream"]
    rest = [c for c in COMBINATIONS if c not in plain]
    return [*plain, *rest[::SAMPLE]]


def test_the_sample_has_every_kind_of_every_part() -> None:
    assert [len({c[place] for c in sample()}) for place in range(5)] == [
        len(kinds) for kinds in (CERTIFICATES, TOKENS, CONSENTS, REQUEST_IDS, WAYS)
    ]


async def test_of_mix_ups_in_questions_only_a_banks_own_consent_is_answered(mixer: Mixer) -> None:
    assert await wrong(mixer, sample()) == {}


@pytest.mark.long
async def test_of_all_mix_ups_in_questions_only_a_banks_own_consent_is_answered(mixer: Mixer) -> None:
    assert await wrong(mixer, COMBINATIONS) == {}
