"""Who calls: by certificate and token, or on a development gateway by what the caller says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from weakref import WeakSet

from gateway.adapters.identity.kinds import BANK_KEY
from gateway.adapters.identity.tokens import BankTokens
from gateway.domain.caller import ANONYMOUS, NOT_KNOWN, Caller, PeerCertificate, Register, Standing, development_caller
from gateway.domain.errors import CallerMismatchError, InvalidRequestError, Reason, UnauthenticatedError
from gateway.domain.token import NOT_ITS_TOKEN
from gateway.ports import Clock

TOKEN_KEY: Final = "authorization"
_LONGEST_BANK: Final = 128
_MOST_KNOWN: Final = 10_000


class KnownCallers:
    """Knows callers by their certificates, and a bank's users by its tokens; fulfils `Callers`."""

    def __init__(self, register: Register, tokens: Mapping[str, BankTokens], clock: Clock) -> None:
        """Takes the tokens' verifiers by bank."""
        self._register = register
        self._tokens = tokens
        self._clock = clock
        self._known: dict[str, Caller] = {}
        self._standings: WeakSet[Standing] = WeakSet()

    def use(self, register: Register, tokens: Mapping[str, BankTokens]) -> int:
        """Knows by these from now on; gives of how many certificates the calls under way end by it.

        Those are certificates that are nobody's now, or another's, or in other roles, and those of banks whose tokens are
        verified otherwise: what was proven then is proven no more.
        """
        changed = {
            bank for bank in self._tokens.keys() | tokens.keys() if self._tokens.get(bank) is not tokens.get(bank)
        }
        self._register, self._tokens = register, tokens
        self._known.clear()
        ended: set[str] = set()
        for standing in tuple(self._standings):
            if standing.is_withdrawn:
                continue
            if register.holder(standing.certificate) != standing.holder or standing.holder.bank in changed:
                standing.is_withdrawn = True
                ended.add(standing.certificate.fingerprint)
        return len(ended)

    async def identify(
        self, certificate: PeerCertificate | None, metadata: Iterable[tuple[str, str | bytes]]
    ) -> Caller:
        """Gives who calls; the metadata may state a bank only if it is the certificate's."""
        if certificate is None:
            raise UnauthenticatedError(Reason.CALLER_UNKNOWN, NOT_KNOWN)
        caller = self._known.get(certificate.fingerprint) or self._look_up(certificate)
        # A handshake checks this once; a connection may live longer than its certificate.
        lapsed = caller.lapse(self._clock.now())
        if lapsed is not None:
            raise lapsed
        stated, token = _stated(metadata)
        if stated and stated != caller.bank:
            raise CallerMismatchError(f"the bank stated as {BANK_KEY} is not the certificate's")
        tokens = self._tokens.get(caller.bank)
        if token is None:
            if tokens is not None and tokens.policy.is_required:
                raise UnauthenticatedError(Reason.TOKEN_INVALID, "calls of this bank need a bearer token")
            return caller
        if tokens is None:
            raise CallerMismatchError(NOT_ITS_TOKEN)
        said = await tokens.bearer(token, certificate)
        return replace(caller, operator=said.operator, branch=said.branch, token_until=said.until)

    def _look_up(self, certificate: PeerCertificate) -> Caller:
        caller = self._register.caller(certificate)
        if caller is None:
            raise UnauthenticatedError(Reason.CALLER_UNKNOWN, NOT_KNOWN)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[certificate.fingerprint] = caller
        if caller.standing is not None:
            self._standings.add(caller.standing)
        return caller


class DevelopmentCallers:
    """Takes each caller for the bank it says it is: for plain connections from this machine only; fulfils `Callers`."""

    async def identify(
        self, certificate: PeerCertificate | None, metadata: Iterable[tuple[str, str | bytes]]
    ) -> Caller:
        """Gives the bank stated as `xinyidai-bank`; a token is refused, since nothing could prove it."""
        bank, token = _stated(metadata)
        if token is not None:
            raise UnauthenticatedError(Reason.TOKEN_INVALID, "a development gateway takes no token; leave it out")
        return development_caller(bank or ANONYMOUS)


def _stated(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, str | None]:
    """Gives the bank the metadata states, empty for none, and the bearer token, None for none; either stated once at most."""
    bank, token = "", None
    for key, value in metadata:
        if key == BANK_KEY:
            if bank:
                raise InvalidRequestError(BANK_KEY, "is stated more than once in the metadata")
            if not isinstance(value, str) or not value.isascii() or not value.isprintable():
                raise InvalidRequestError(BANK_KEY, "has characters other than printable ASCII in the metadata")
            if not 0 < len(value) <= _LONGEST_BANK:
                raise InvalidRequestError(BANK_KEY, f"must have 1 to {_LONGEST_BANK} characters in the metadata")
            bank = value
        elif key == TOKEN_KEY:
            scheme, _, credentials = value.partition(" ") if isinstance(value, str) else ("", "", "")
            if token is not None or scheme.lower() != "bearer" or not credentials:
                raise UnauthenticatedError(
                    Reason.TOKEN_INVALID, "state one bearer token in the metadata: authorization: Bearer …"
                )
            token = credentials
    return bank, token
