"""Calls under way that several queries wait for (single flight): owned here, by none of those who wait.

    the first of them   begins the call, in a task of its own
    each of them        waits with a future of its own: its cancellation, or the end of its time, ends only its wait
    the call            hands its end to them itself: a callback of its task would do so a turn of the loop later
    the last to leave   cancels the call, and its future is cancelled once the call has ended, or a moment later
    a purge             disowns the calls about an enterprise: those who wait get the answer, but it is not kept, and
                        nobody joins any more

All on one event loop: between looking for a call and joining it nothing else runs. Whoever asks is given its future, not a
coroutine that waits for it: nearly every call has one who waits, and a task for that would cost as much as the call's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from gateway.domain.answer import Answer
from gateway.domain.keeping import AnswerKey

_GRACE_S: Final = 0.04
"""How long a cancelled call may take to tidy up; less than the fan-out gives the whole."""

FlightKey = tuple[AnswerKey, bool]
"""What is asked for, and whether by batch queries: an interactive query is not to wait in their lines."""


class Flights:
    """The calls under way of all platforms, those for the same answer newest first."""

    def __init__(self) -> None:
        self._joinable: dict[FlightKey, Flight] = {}
        self._all: set[Flight] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, flight: Flight) -> bool:
        return flight in self._all

    def under_way(self, platform: str) -> int:
        """Gives how many calls of a platform are under way."""
        return sum([flight.key[0].platform == platform for flight in self._all])

    def joinable(self, key: AnswerKey, now: float, *, is_batch: bool) -> Flight | None:
        """Gives a call under way for that answer whose time is not over; a batch query takes an interactive one's too.

        A call past its time may never end: were it joined, each who joins would keep it up for the next one.
        """
        for is_batch_flight in (False, True) if is_batch else (False,):
            flight = self._joinable.get((key, is_batch_flight))
            if flight is not None and flight.fetch_by > now:
                return flight
        return None

    def begin(
        self,
        key: AnswerKey,
        call: Callable[[Flight], Coroutine[Any, Any, None]],
        *,
        bank: str,
        is_batch: bool,
        fetch_by: float,
        now: float,
    ) -> Flight:
        """Begins a call in the name of a bank, planned to end by a point in time; later queries join it.

        `call` ends its flight by `landed` or `broke_off`.
        """
        flight = Flight(self, (key, is_batch), bank, fetch_by, now)
        flight.task = asyncio.get_running_loop().create_task(call(flight))
        self._joinable[flight.key] = flight
        self._all.add(flight)
        return flight

    def disown(self, usccs: Collection[str]) -> None:
        """Keeps what is under way about the enterprises from being joined and kept."""
        for flight in self._all:
            if flight.key[0].uscc in usccs:
                flight.is_keepable = False
                self.close_to_others(flight)

    def close_to_others(self, flight: Flight) -> None:
        """Lets nobody join the call any more."""
        if self._joinable.get(flight.key) is flight:
            del self._joinable[flight.key]

    def over(self, flight: Flight) -> None:
        """Lets go of a call that has ended."""
        self._all.discard(flight)
        newest = self._joinable.pop(flight.key, flight)
        if newest is not flight:  # one begun later, which goes on
            self._joinable[flight.key] = newest

    async def aclose(self) -> None:
        """Cancels what is still under way and waits for it."""
        flights = list(self._all)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*[flight.task for flight in flights], return_exceptions=True)


class Flight:
    """One call under way; `bank` is in whose name, `fetch_by` by when it was planned, `began` since when."""

    __slots__ = ("_flights", "_leaving", "_waiters", "bank", "began", "fetch_by", "is_keepable", "key", "task")

    task: asyncio.Task[None]

    def __init__(self, flights: Flights, key: FlightKey, bank: str, fetch_by: float, began: float) -> None:
        self.key = key
        self.bank = bank
        self.fetch_by = fetch_by
        self.began = began
        self.is_keepable = True
        self._flights = flights
        self._waiters: set[_Waiter] = set()
        self._leaving: _Waiter | None = None

    def wait(self) -> asyncio.Future[Answer]:
        """Gives a future of the answer, or of what the call raised; whoever cancels it leaves, and the last ends the call."""
        waiter = _Waiter(loop=self.task.get_loop())
        waiter.flight = self
        self._waiters.add(waiter)
        return waiter

    def leave(self, waiter: _Waiter, message: str | None) -> None:
        """Ends the wait; of the last one when the call has ended, which is told how far it had come."""
        if waiter is self._leaving:
            return
        self._waiters.discard(waiter)
        if self._waiters or self.task.done():
            waiter.end(message)
            return
        self._leaving = waiter
        self._flights.close_to_others(self)
        self.cancel()
        self.task.get_loop().call_later(_GRACE_S, waiter.end)

    def cancel(self) -> None:
        """Cancels the call, be it that its task never ran: then it is the task's end that is told."""
        self.task.add_done_callback(self._never_ran)
        self.task.cancel()

    def landed(self, answer: Answer) -> None:
        """Hands the answer to all who wait."""
        self._flights.over(self)
        if self._leaving is not None:
            self._leaving.end()
        for waiter in self._waiters:
            waiter.set_result(answer)
        self._waiters.clear()

    def broke_off(self, error: BaseException) -> None:
        """Hands on what the call raised; a cancelled one's last words only to the last, who left."""
        is_cancelled = isinstance(error, asyncio.CancelledError)
        self._flights.over(self)
        if self._leaving is not None:
            self._leaving.end(str(error) if is_cancelled else "")
        for waiter in self._waiters:
            if is_cancelled:
                waiter.end()
            else:
                waiter.set_exception(error)
        self._waiters.clear()

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        if self in self._flights:
            self.broke_off(asyncio.CancelledError())


class _Waiter(asyncio.Future[Answer]):
    """The wait of one query for a call."""

    __slots__ = ("flight",)

    flight: Flight

    def cancel(self, msg: str | None = None) -> bool:
        """Leaves the call: asked for by whoever waits, or by the task that it waits in."""
        if self.done():
            return False
        self.flight.leave(self, msg)
        return True

    def end(self, message: str | None = None) -> None:
        """Cancels the wait itself."""
        super().cancel(message)
