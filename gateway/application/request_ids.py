"""Idempotency of queries: one request id of a bank is answered once in 24 hours, and again with that same answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.application.query_credit import CreditAnswer
from gateway.domain.errors import RequestIdReusedError
from gateway.ports import Clock

KEPT_S: Final = 24 * 3600.0


@dataclass(slots=True)
class _Held:
    body: bytes
    until: float
    answer: asyncio.Future[CreditAnswer]


class RequestIds:
    """Remembers answered request ids of this process; the oldest go first when `capacity` is reached."""

    def __init__(self, clock: Clock, *, capacity: int) -> None:
        self._clock = clock
        self._capacity = capacity
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()

    async def once(
        self, bank: str, request_id: str, body: Callable[[], bytes], make: Callable[[], Awaitable[CreditAnswer]]
    ) -> tuple[CreditAnswer, bool]:
        """Gives the answer of an id and whether it was given before; `body` gives the digest of the request.

        A second caller with the same id and body waits for the first. A failure is not kept: it may be asked again.
        Raises RequestIdReusedError when the body differs.
        """
        key = (bank, request_id)
        digest = body()
        self._forget_old()
        held = self._held.get(key)
        if held is not None:
            if held.body != digest:
                raise RequestIdReusedError("this request id was used with another body; use a new one")
            if not (held.answer.done() and (held.answer.cancelled() or held.answer.exception())):
                return await asyncio.shield(held.answer), True
        future: asyncio.Future[CreditAnswer] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_read)
        self._held[key] = _Held(digest, self._clock.monotonic() + KEPT_S, future)
        self._held.move_to_end(key)
        try:
            answer = await make()
        except BaseException as error:
            self._held.pop(key, None)
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()
            raise
        future.set_result(answer)
        return answer, False

    def forget(self, uscc: str) -> None:
        """Forgets the answers about an enterprise: what was repaired since must not be told again, as their bytes would."""
        for key, held in list(self._held.items()):
            answer = held.answer
            is_answered = answer.done() and not answer.cancelled() and answer.exception() is None
            if is_answered and answer.result().view.query.uscc == uscc:
                del self._held[key]

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._held:
            key, held = next(iter(self._held.items()))
            if held.until > now and len(self._held) < self._capacity:
                return
            del self._held[key]


def _read(future: asyncio.Future[CreditAnswer]) -> None:
    """Marks a failure as seen: whoever waits gets it, and without a waiter nobody needs the loop's complaint."""
    if not future.cancelled():
        future.exception()
