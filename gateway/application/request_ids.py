"""Idempotency of queries: one request id of a bank is answered once in 24 hours, and again with that same answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.application.query_credit import CreditAnswer
from gateway.domain.errors import DeadlineError, RequestIdReusedError, UnauthenticatedError
from gateway.ports import Clock

KEPT_S: Final = 24 * 3600.0


@dataclass(slots=True)
class _Held:
    body: bytes
    until: float
    answer: asyncio.Future[CreditAnswer]
    maker: asyncio.Task[object] | None
    size: int = 0
    """Bytes of the answer's view, once there is one."""
    forgotten: set[str] = field(default_factory=set)
    """The enterprises that were to be forgotten while it was under way: its view may be of before."""


class RequestIds:
    """Remembers answered request ids of this process.

    Beyond `capacity` of them, or `most_bytes` of their views, the oldest of the bank that has most goes: no bank makes
    another's be forgotten.
    """

    def __init__(self, clock: Clock, *, capacity: int, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._clock = clock
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._count = self._bytes = 0
        self._held: dict[str, OrderedDict[str, _Held]] = {}

    async def once(
        self,
        bank: str,
        request_id: str,
        body: Callable[[], bytes],
        make: Callable[[], Awaitable[CreditAnswer]],
        *,
        until: float,
    ) -> tuple[CreditAnswer, bool]:
        """Gives the answer of an id and whether it was given before; `body` gives the digest of the request.

        A second caller with the same id and body waits for the first, and asks anew where the first went away, had too little
        time or was proven no more: that is no matter of the second's. Other failures are both's. No failure is kept: its id
        may be asked again. Raises RequestIdReusedError when the body differs, DeadlineError for one who still waits at
        `until`, a point of `Clock.monotonic`: the first may have longer.
        """
        digest = body()
        self._forget_old(bank)
        while (held := self._find(bank, request_id)) is not None:
            if held.body != digest:
                raise RequestIdReusedError("this request id was used with another body; use a new one")
            if not held.answer.done():
                # Not the answer itself: its cancellation would pass for the waiter's own.
                await asyncio.wait([held.answer], timeout=max(0.0, until - self._clock.monotonic()))
                if not held.answer.done():
                    raise DeadlineError("the deadline is past, and the same request id is still being answered")
            if not _is_first_callers_own(held.answer):
                return held.answer.result(), True
            self._forget_attempt(bank, request_id, held)
        self._make_room()
        future: asyncio.Future[CreditAnswer] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_read)
        mine = _Held(digest, self._clock.monotonic() + KEPT_S, future, asyncio.current_task())
        self._held.setdefault(bank, OrderedDict())[request_id] = mine
        self._count += 1
        try:
            answer = await make()
        except BaseException as error:
            self._forget_attempt(bank, request_id, mine)
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()
            raise
        future.set_result(answer)
        if self._find(bank, request_id) is mine:
            if mine.forgotten and answer.view.query.uscc in mine.forgotten:
                self._drop(bank, request_id)
                return answer, False
            mine.size = len(answer.encoded)
            self._bytes += mine.size
            while self._bytes > self._most_bytes:
                self._drop_oldest(lambda of_bank: sum(held.size for held in of_bank.values()))
        return answer, False

    def forget(self, uscc: str) -> None:
        """Forgets the answers about an enterprise: what was repaired since must not be told again, as their bytes would.

        Nor are those kept that are under way, but for the one in the making of which this came to be known.
        """
        maker = asyncio.current_task()
        for bank, of_bank in list(self._held.items()):
            for request_id, held in list(of_bank.items()):
                answer = held.answer
                if not answer.done():
                    if held.maker is not maker:
                        held.forgotten.add(uscc)
                elif not answer.cancelled() and answer.exception() is None and answer.result().view.query.uscc == uscc:
                    self._drop(bank, request_id)

    def _find(self, bank: str, request_id: str) -> _Held | None:
        of_bank = self._held.get(bank)
        return of_bank.get(request_id) if of_bank is not None else None

    def _forget_attempt(self, bank: str, request_id: str, held: _Held) -> None:
        """Forgets what came of one attempt, unless another one stands in its place by now."""
        if self._find(bank, request_id) is held:
            self._drop(bank, request_id)

    def _forget_old(self, bank: str) -> None:
        now = self._clock.monotonic()
        while of_bank := self._held.get(bank):
            request_id, held = next(iter(of_bank.items()))
            if held.until > now:
                return
            self._drop(bank, request_id)

    def _make_room(self) -> None:
        while self._held and self._count >= self._capacity:
            self._drop_oldest(len)

    def _drop_oldest(self, size: Callable[[OrderedDict[str, _Held]], int]) -> None:
        """Forgets the oldest id of the bank whose ids are the most, by that measure."""
        largest = max(self._held, key=lambda bank: size(self._held[bank]))
        self._drop(largest, next(iter(self._held[largest])))

    def _drop(self, bank: str, request_id: str) -> None:
        of_bank = self._held[bank]
        self._bytes -= of_bank.pop(request_id).size
        self._count -= 1
        if not of_bank:
            del self._held[bank]


def _is_first_callers_own(answer: asyncio.Future[CreditAnswer]) -> bool:
    """Whether an attempt failed by what is its caller's alone, so that another caller may fare better."""
    return answer.cancelled() or isinstance(answer.exception(), (DeadlineError, UnauthenticatedError))


def _read(future: asyncio.Future[CreditAnswer]) -> None:
    """Marks a failure as seen: whoever waits gets it, and without a waiter nobody needs the loop's complaint."""
    if not future.cancelled():
        future.exception()
