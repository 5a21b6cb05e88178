"""`banks.toml` read anew while the gateway runs: when told to (SIGHUP), and when the file is seen to have changed.

    changed ─► the same at a second look ─► read and checked aside ─► whose each certificate is, and who verifies tokens
                                               └─ any fault: all stays as it is, the faults are logged once

A certificate that is revoked by it, or made another's, is refused at its next call, on connections that are up too; its calls
under way end at their next step. The second look is for a file that is being written: half of it may read like a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import structlog

from gateway.adapters.identity.callers import KnownCallers
from gateway.adapters.identity.jwks import IssuerKeys
from gateway.adapters.identity.tokens import BankTokens
from gateway.adapters.looking import Looking
from gateway.domain.errors import ConfigError, StoreError
from gateway.identity_settings import FILE, BankFiles, Banks, BankTable, IdentitySettings, Stamp, TokenTable
from gateway.ports import Clock

if TYPE_CHECKING:
    from gateway.adapters.identity.seen_tokens import SqlSeenTokens

_LOOK_EVERY_S: Final = 0.5


class _Made(NamedTuple):
    table: TokenTable
    keys: IssuerKeys
    tokens: BankTokens


class BankIssuers:
    """Who verifies the tokens of banks' users, made as banks.toml names issuers."""

    def __init__(
        self, stated: IdentitySettings, session: aiohttp.ClientSession, declare: Callable[[str], None], clock: Clock
    ) -> None:
        """Takes where the store of seen tokens is, which is opened only once a bank has tokens."""
        self._stated = stated
        self._session = session
        self._declare = declare
        self._clock = clock
        self._seen: SqlSeenTokens | None = None
        self._made: dict[str, _Made] = {}
        self._keys: list[IssuerKeys] = []

    async def verifiers(self, banks: Mapping[str, BankTable]) -> Mapping[str, BankTokens]:
        """Gives them by bank, the same as before where a bank's table is the same; raises StoreError."""
        stated = {bank: table.tokens for bank, table in banks.items() if table.tokens is not None}
        if stated and self._seen is None:
            # Here: the import of SQLAlchemy costs every other command a part of a second.
            from gateway.adapters.identity.seen_tokens import SqlSeenTokens

            self._seen = await SqlSeenTokens.open(
                self._stated.seen_tokens, self._clock, password=self._stated.seen_tokens_password()
            )
        made: dict[str, _Made] = {}
        for bank, table in stated.items():
            before = self._made.get(bank)
            made[bank] = before if before is not None and before.table == table else self._make(table)
        self._made = made
        return {bank: each.tokens for bank, each in made.items()}

    async def aclose(self) -> None:
        """Ends what is under way, of issuers that are named no more too: calls may have waited for their keys."""
        for keys in self._keys:
            await keys.aclose()
        if self._seen is not None:
            await self._seen.aclose()

    def _make(self, table: TokenTable) -> _Made:
        assert self._seen is not None
        self._declare(table.jwks_url)
        keys = IssuerKeys(table.jwks_url, self._session, self._clock, table.keeping())
        self._keys.append(keys)
        return _Made(table, keys, BankTokens(table.policy(), keys, self._seen, self._clock))


class BankWatch:
    """Watches banks.toml of a running gateway; made on its loop, closed by who made it.

    `told` is told at each reload whether it was refused.
    """

    def __init__(
        self,
        callers: KnownCallers,
        issuers: BankIssuers,
        files: BankFiles,
        told: Callable[[bool], None] = lambda is_refused: None,
        *,
        every_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Takes the files whose content is in force."""
        self._told = told
        self._callers = callers
        self._issuers = issuers
        self._files = files
        self._path = files.path()
        self._seen = self._changing = files.stamp()
        self._has_told = False
        self._log = structlog.get_logger("gateway.identity")
        self._looking = Looking("banks.look", self._look, every_s=every_s)

    def tell(self) -> None:
        """Has the file read now, changed or not."""
        self._looking.tell()

    async def look(self, *, anyway: bool = False) -> None:
        """Reads the file if it has changed and was the same at the last look, or in any case."""
        stamp: Stamp = await asyncio.to_thread(self._files.stamp)
        was_changing, self._changing = self._changing, stamp
        if not anyway and (stamp == self._seen or stamp != was_changing):
            return
        try:
            banks = await asyncio.to_thread(self._read)
            tokens = await self._issuers.verifiers(banks.banks)
        except ConfigError as error:
            self._seen = stamp
            self._told(True)
            self._log.error("banks.refused", faults=error.faults)
            return
        self._told(False)
        self._seen, self._path, self._has_told = stamp, self._files.path(), False
        ended = self._callers.use(banks.register, tokens)
        self._log.warning(
            "banks.reloaded",
            banks=len(banks.banks),
            operators=len(banks.operators),
            revoked=len(banks.register.revoked),
            certificates_ended=ended,
        )

    async def aclose(self) -> None:
        """Stops watching."""
        await self._looking.aclose()

    def _read(self) -> Banks:
        # Without this the file that ships with the package would count in the place of one that is gone, banks and all.
        if self._path is not None and not self._path.is_file():
            raise ConfigError([f"{FILE}: {self._path} is gone; put it back"])
        banks = self._files.read()
        if not banks.banks and not banks.operators:  # cut short, as by a full disk: it would shut everybody out
            raise ConfigError([f"{FILE}: names no bank and no operator; to shut all of them out, stop the gateway"])
        return banks

    async def _look(self, told: bool) -> None:
        try:
            await self.look(anyway=told)
        except (
            OSError,
            StoreError,
        ) as error:  # tried again at the next look, for the file is still unlike what was seen
            if not self._has_told:
                self._has_told = True
                self._log.error("banks.not_read", why=str(error))
