"""Consents kept in memory: the smallest `ConsentStore`, with the log of changes that the real ones have."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange, ConsentEvent, event_of
from gateway.domain.errors import (
    ConsentChangedError,
    ConsentNotFoundError,
    RequestIdReusedError,
    StoreUnavailableError,
)


class MemoryConsents:
    """Keeps consents in a dictionary; every method gives the loop a turn first, as a store behind a socket would."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Consent] = {}
        self._requests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._log: list[ConsentChange] = []
        self.is_down = False
        self.is_silent = False
        self.reads = 0
        self.looks = 0

    async def register(self, consent: Consent, *, request_id: str = "", request_digest: bytes = b"") -> Consent:
        await self._turn()
        if request_id:
            held = self._requests.get((consent.bank, request_id))
            if held is not None:
                if held[0] != request_digest:
                    raise RequestIdReusedError("this request id was used with another body; use a new one")
                return self._kept[consent.bank, held[1]]
            self._requests[consent.bank, request_id] = (request_digest, consent.consent_id)
        return self._keep(consent, ConsentEvent.REGISTERED, consent.created_at)

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        await self._turn()
        self.reads += 1
        return self._kept.get((bank, consent_id))

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> Sequence[Consent]:
        await self._turn()
        found = [c for (held_by, _), c in self._kept.items() if held_by == bank and uscc in ("", c.uscc)]
        return sorted((c for c in found if c.consent_id > after), key=lambda c: c.consent_id)[:limit]

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        await self._turn()
        event = event_of(state)
        held = self._kept.get((bank, consent_id))
        if held is None:
            raise ConsentNotFoundError
        if held.version != expected_version:
            raise ConsentChangedError
        words = reason if state is ConsentState.REVOKED else held.revocation_reason
        return self._keep(
            replace(held, state=state, version=held.version + 1, changed_at=at, revocation_reason=words), event, at
        )

    async def use(self, bank: str, consent_id: str, version: int, at: datetime) -> Consent | None:
        await self._turn()
        held = self._kept.get((bank, consent_id))
        if (
            held is None
            or held.version != version
            or held.state_at(at) is not ConsentState.ACTIVE
            or at < held.valid_from
        ):
            return None
        used = replace(held, uses=held.uses + 1, version=held.version + 1, changed_at=at)
        return self._keep(used, ConsentEvent.USED, at)

    async def history(self, bank: str, consent_id: str, *, limit: int) -> Sequence[ConsentChange]:
        await self._turn()
        return [c for c in self._log if (c.bank, c.consent_id) == (bank, consent_id)][-limit:]

    async def newest_mark(self) -> int:
        await self._turn()
        return len(self._log)

    async def versions_since(self, mark: int, *, limit: int = 1_000) -> builtins.list[ConsentChange]:
        await self._turn()
        self.looks += 1
        return self._log[mark : mark + limit]

    def _keep(self, consent: Consent, event: ConsentEvent, at: datetime) -> Consent:
        self._kept[consent.bank, consent.consent_id] = consent
        self._log.append(
            ConsentChange(
                mark=len(self._log) + 1,
                bank=consent.bank,
                consent_id=consent.consent_id,
                version=consent.version,
                event=event,
                state=consent.state,
                at=at,
            )
        )
        return consent

    async def _turn(self) -> None:
        while self.is_silent:
            await asyncio.sleep(1)
        await asyncio.sleep(0)
        if self.is_down:
            raise StoreUnavailableError("the store of consents cannot be reached")
