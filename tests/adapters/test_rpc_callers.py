"""The one place where a call becomes a caller: once per call, and refusals told once a minute."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.adapters.identity.callers import KnownCallers
from gateway.adapters.identity.tokens import BankTokens
from gateway.adapters.rpc.callers import RpcCallers
from gateway.domain.caller import Caller, PeerCertificate, Register, Role
from gateway.domain.errors import (
    CallerMismatchError,
    IdentityUnavailableError,
    PermissionRefusedError,
    Reason,
    UnauthenticatedError,
)
from gateway.domain.token import TokenPolicy
from tests.adapters.identified import A
from tests.adapters.simulated import MovedClock

BANK = Caller("bank-a", frozenset({Role.BANK_QUERY}), certificate="ab")
OPERATOR = Caller("", frozenset({Role.PLATFORM_OPERATOR}), certificate="cd")


class Told:
    """Gives what it was told to give, and counts."""

    def __init__(self, *answers: Caller | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def identify(
        self, certificate: PeerCertificate | None, metadata: Iterable[tuple[str, str | bytes]]
    ) -> Caller:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Context:
    """A call, without a certificate by default."""

    def __init__(self, pem: bytes | None = None) -> None:
        self._pem = pem

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return {} if self._pem is None else {"x509_pem_cert": [self._pem]}

    def invocation_metadata(self) -> None:
        return None

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


async def ask(callers: RpcCallers, context: Any) -> Caller:
    return await asyncio.create_task(callers.of(context))  # a task of its own, as each call has


async def test_a_call_is_identified_once_however_often_it_is_asked_about() -> None:
    told = Told(BANK, OPERATOR)
    callers = RpcCallers(told, MovedClock())
    context: Any = Context()

    async def call() -> list[Caller]:
        return [await callers.of(context), await callers.bank_of(context)]

    first = await asyncio.create_task(call())
    other = await ask(callers, Context())

    assert first == [BANK, BANK]
    assert (other, told.asked) == (OPERATOR, 2)


async def test_a_certificate_that_cannot_be_read_is_nobody_s() -> None:
    callers = RpcCallers(KnownCallers(Register(), {}, MovedClock()), MovedClock())

    with pytest.raises(UnauthenticatedError):
        await ask(callers, Context(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))


async def test_an_operator_is_no_bank() -> None:
    callers = RpcCallers(Told(OPERATOR), MovedClock())

    with pytest.raises(PermissionRefusedError):
        await callers.bank_of(Context())  # type: ignore[arg-type]  # what is used of one


async def test_refusals_are_told_once_a_minute_for_each_reason() -> None:
    clock = MovedClock()
    unknown = UnauthenticatedError(Reason.CALLER_UNKNOWN, "the caller is not known")
    callers = RpcCallers(Told(unknown, unknown, CallerMismatchError("x"), unknown), clock)

    with capture_logs() as logs:
        for at_s in (0.0, 59.0, 59.0, 60.0):
            clock.at_s = at_s
            with pytest.raises((UnauthenticatedError, CallerMismatchError)):
                await ask(callers, Context())

    assert [log["reason"] for log in logs] == ["CALLER_UNKNOWN", "CALLER_MISMATCH", "CALLER_UNKNOWN"]


class NoKeys:
    async def key(self, key_id: str) -> None:
        return None


def part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["ES256", "none", "k1", "i"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"]), _VALUES)
_CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "sub", "jti", "cnf"]), _VALUES)
_TOKENS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200) | st.builds(
    lambda header, claims, tail: f"{part(header)}.{part(claims)}.{tail}",
    _HEADERS | _VALUES,
    _CLAIMS | _VALUES,
    st.sampled_from(["", "eA", "!!"]),
)


@given(_TOKENS)
def test_A5_whatever_is_sent_as_a_token_is_refused_and_breaks_nothing(token: str) -> None:
    tokens = BankTokens(TokenPolicy("i", "a"), NoKeys(), None, MovedClock())  # type: ignore[arg-type]  # never reached

    with pytest.raises((UnauthenticatedError, CallerMismatchError, IdentityUnavailableError)):
        asyncio.run(tokens.bearer(token, A))
