"""A consent that is registered, relied on, revoked and registered anew, all while it is in use."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

import grpc

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from tests.soak.calls import Calls
from tests.soak.record import Call
from tests.soak.truth import RESTLESS, RESTLESS_ASK, cast

_DEADLINE_S: Final = (1.5, 5.0)
_HELD_S: Final = (0.5, 3.0)
_ON_ITS_WAY_S: Final = 1.0
"""How long after a revocation an answer may still arrive that left before it."""


class RestlessConsent:
    """Keeps the consent coming and going; `use` relies on the present one."""

    def __init__(self, calls: Calls, random: Random) -> None:
        self._calls = calls
        self._random = random
        self._uscc = cast()[0]
        self._present = ""
        self._going: dict[str, float] = {}
        self._gone: dict[str, float] = {}

    async def keep(self, until: float) -> None:
        """Registers it, revokes it after a while, looks that it is gone, and registers it anew."""
        while time.monotonic() < until:
            consent = await self._calls.register(self._uscc, [RESTLESS])
            self._present = consent
            await asyncio.sleep(self._random.uniform(*_HELD_S))
            if not consent:
                continue
            self._going[consent] = time.monotonic()
            if not await self._calls.revoke(consent):
                continue
            self._gone[consent] = time.monotonic()
            for _ in range(2):
                await self._rely_on(consent, "under a revoked consent")
                await asyncio.sleep(self._random.uniform(0, 0.5))
        self._present = ""

    async def use(self) -> None:
        """Relies on the present consent, if there is one; it may go meanwhile."""
        if self._present:
            await self._rely_on(self._present, "under a restless consent")

    async def _rely_on(self, consent: str, kind: str) -> None:
        query = self._calls.question(self._uscc, RESTLESS_ASK)
        query.consent_ids[:] = [consent]
        if self._random.random() < 0.7:
            query.oldest_acceptable_age.SetInParent()
        is_streamed = self._random.random() < 0.4

        async def work(call: Call) -> None:
            try:
                if is_streamed:
                    await self._streamed(call, query)
                else:
                    await self._calls.view_of(call, query, RESTLESS_ASK, self._calls.channel())
                    self._look_at_time(call, consent)
            except grpc.aio.AioRpcError as error:
                going = self._going.get(consent)
                if error.code() is grpc.StatusCode.PERMISSION_DENIED and going is None:
                    self._calls.record.breach("was refused under a consent that held", call)
                raise

        way = "stream" if is_streamed else "view"
        await self._calls.made(kind, f"{way} {consent}", self._random.uniform(*_DEADLINE_S), work)

    async def _streamed(self, call: Call, query: pb.CreditQuery) -> None:
        made = self._calls.stub(self._calls.channel()).StreamCreditView(
            pb.StreamCreditViewRequest(query=query), timeout=call.deadline_s, metadata=call.metadata
        )
        async for step in made:
            self._calls.check_step(call, step, query, RESTLESS_ASK)
            self._look_at_time(call, query.consent_ids[0])

    def _look_at_time(self, call: Call, consent: str) -> None:
        gone = self._gone.get(consent)
        if gone is not None and time.monotonic() > gone + _ON_ITS_WAY_S:
            self._calls.record.breach(
                f"was answered {time.monotonic() - gone:.3f} s after the consent was revoked", call
            )
