"""Banks with certificates and issuers of tokens, and who calls by them: what tests of callers share."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.adapters.identity.callers import KnownCallers
from gateway.adapters.identity.jwks import IssuerKeys
from gateway.adapters.identity.seen_tokens import SqlSeenTokens
from gateway.adapters.identity.tokens import BankTokens
from gateway.domain.caller import Caller, CertificateHolder, PeerCertificate, Register, Role
from gateway.domain.errors import GatewayError, Reason
from gateway.domain.token import TokenPolicy
from tests.adapters.issuer import AUDIENCE, Issuer, issuer
from tests.adapters.simulated import NOON, MovedClock

QUERY = frozenset({Role.BANK_QUERY})
REGISTER = Register(
    {
        "URI:a": CertificateHolder("bank-a", QUERY, "31"),
        "URI:b": CertificateHolder("bank-b", QUERY),
        "URI:c": CertificateHolder("bank-c", QUERY),
        "URI:ops": CertificateHolder("", frozenset({Role.PLATFORM_OPERATOR})),
    }
)


def certificate(name: str, number: int = 1, days: int = 30) -> PeerCertificate:
    """Gives a certificate of that name; another number is another certificate."""
    digest = hashlib.sha256(f"{name}{number}".encode()).hexdigest()
    return PeerCertificate(digest, (f"URI:{name}",), NOON + timedelta(days=days))


A, A2, B, C = certificate("a"), certificate("a", 2), certificate("b"), certificate("c")


@dataclass
class House:
    """Banks a and b each with an issuer, bank c with none; all on one clock and one store."""

    callers: KnownCallers
    a: Issuer
    b: Issuer
    clock: MovedClock
    seen: SqlSeenTokens
    session: aiohttp.ClientSession

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    def token(self, **changed: object) -> str:
        return self.a.token(A.fingerprint, self.now, **changed)  # type: ignore[arg-type]

    async def ask(self, token: str, shown: PeerCertificate = A) -> Caller:
        return await self.callers.identify(shown, [("authorization", f"Bearer {token}")])

    async def refusal(self, token: str, shown: PeerCertificate = A) -> Reason:
        with pytest.raises(GatewayError) as caught:
            await self.ask(token, shown)
        return caught.value.reason

    def again(self, policy: Mapping[str, object] | None = None) -> KnownCallers:
        """Gives the callers of another process on the same store."""
        tokens = {}
        for bank, one in (("bank-a", self.a), ("bank-b", self.b)):
            rules = replace(TokenPolicy(one.name, AUDIENCE), **(policy or {}))  # type: ignore[arg-type]
            keys = IssuerKeys(one.url, self.session, self.clock)
            tokens[bank] = BankTokens(rules, keys, self.seen, self.clock, capacity=100)
        return KnownCallers(REGISTER, tokens, self.clock)


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    """Opens a house whose seen tokens are kept in a folder."""
    clock = MovedClock()
    seen = await SqlSeenTokens.open(f"sqlite+aiosqlite:///{folder}/tokens.db", clock)
    async with issuer() as a, issuer() as b, aiohttp.ClientSession() as session:
        b.name = "https://id.bank-b.example"
        built = House(None, a, b, clock, seen, session)  # type: ignore[arg-type]  # set in the next line
        built.callers = built.again()
        yield built
    await seen.aclose()
