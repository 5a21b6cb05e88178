"""A second attempt beside a slow first one (D15), with the connector's own shape: it cuts the tail of the latency.

    first   ──────────────┬──────────────────────────── … heard: taken, the second is cancelled
                          │ the platform's own p95        failed: the second is waited for
    second                └────────── heard: taken, the first is interrupted

Where the policy has `attempts` 3, a second that is as slow as the first gets a third beside both after as long again; what
is said here of the second holds for it too.

The budget is for the slow ones. Of a platform with one slow answer in twenty a few more are late by a moment, for want of a
processor or on the wire, and these alone would spend what little the budget has above the slow share. So a late attempt
takes nothing of the budget's last tenth; half a delay later most of the late ones are over, and one that is not may have
it. It is asked for twice at most: a queue for the budget would have each slow attempt wait for those before it.

The first attempt runs in the caller's own task, so a call that is quick pays for a place in a line. Only a second attempt
is a task. Whichever is not taken has ended, its `finally` run, before the answer leaves. A first attempt is
interrupted in the way of `asyncio.timeout`: by cancelling the task it runs in and taking that one request back; a request
from outside is never taken back. The price: a connector that is slow to heed cancellation delays the second's answer.

Whichever attempt is taken, what was said is the same: only a whole answer ends the race; of two that are not, the better
by the fixed order of outcomes is taken, and the first where they are alike. What a failed second said is never told while
the first can still be heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_PARTIAL
from gateway.adapters.resilience.budget import CallBudget, Pay, pay_nothing
from gateway.adapters.resilience.quantile import Quantile
from gateway.domain.answer import HEARD, OUTCOME_RANK, Answer
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import CallObserver, Clock, Connector

_WHOLE: Final = HEARD - {OUTCOME_PARTIAL}
_HANDOVER_S: Final = 0.01
"""What is kept of the time left to hand on an answer in hand, before whoever asks cancels at the point in time."""
_SPARED: Final = 0.1
"""What share of the budget an attempt that is late, and may be so by a moment only, leaves to those that are slow."""
_SLOW_AFTER: Final = 1.5
"""After how many of the platform's own delays an attempt is slow."""
_GRACE_S: Final = 0.03
"""How long a cancelled second attempt may take to tidy up; less than the fan-out gives the whole call."""


@dataclass(frozen=True, slots=True)
class HedgePolicy:
    """When a second attempt is made; times are in seconds.

    It is made after the `quantile` of the platform's own latencies, held between `least_delay_s` and `longest_delay_s`,
    once `fewest_samples` were seen, and only if `least_attempt_s` are left then; `attempts` is how many there are at most in
    all. Second attempts are at most `budget_share` of the attempts over any `budget_window_s`, or `budget_floor` where that
    is more.
    """

    enabled: bool = True
    attempts: int = 2
    quantile: float = 0.95
    fewest_samples: int = 100
    least_delay_s: float = 0.01
    longest_delay_s: float = 2.0
    least_attempt_s: float = 0.05
    budget_share: float = 0.05
    budget_floor: int = 3
    budget_window_s: float = 60.0


def may_hedge(platform: Platform) -> bool:
    """Whether asking the platform twice at once is harmless: idempotent, unmetered, and no task to submit and poll."""
    return platform.is_idempotent and platform.is_direct and not platform.limits.is_metered


class Hedging:
    """A connector whose slow attempts get a second one beside them, where that is harmless."""

    def __init__(
        self,
        inner: Connector,
        policy: HedgePolicy,
        clock: Clock,
        *,
        budget: CallBudget | None = None,
        pay: Pay = pay_nothing,
        observer: CallObserver | None = None,
    ) -> None:
        """Takes a budget shared with others, else keeps one of its own; `pay` is asked just before each second attempt."""
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._budget = budget or CallBudget(policy.budget_share, policy.budget_floor, policy.budget_window_s, clock)
        self._pay = pay
        self._observer = observer
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._is_on = policy.enabled and may_hedge(inner.platform)
        self._latency = Quantile(policy.quantile, policy.fewest_samples)
        self._ending: set[asyncio.Future[Answer]] = set()  # cancelled, not over yet: held, so that none is lost
        # Who may get a second attempt, the next first; those whose first has ended stay until it is their turn. One timer
        # rings for all of them: nearly every attempt ends before its turn, and to set and cancel a timer for each costs
        # more than all else here.
        self._watched: deque[_Race] = deque()
        self._bell: asyncio.TimerHandle | None = None

    @property
    def delay_s(self) -> float | None:
        """After how many seconds a second attempt would be made; None while none would."""
        observed_s = self._latency.value_s
        if observed_s is None or not self._is_on:
            return None
        policy = self._policy
        if observed_s < policy.least_delay_s:
            observed_s = policy.least_delay_s
        return observed_s if observed_s < policy.longest_delay_s else policy.longest_delay_s

    def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Awaitable[Answer]:
        """Gives the answer of the first attempt or of the one beside it; `attempts` counts both."""
        if not self._is_on:
            return self._inner.fetch(query, permit, fetch_by)
        started = self._clock.monotonic()
        self._budget.note_call(started)
        delay_s = self.delay_s
        if delay_s is None or started + delay_s + self._policy.least_attempt_s > fetch_by:
            return self._alone(query, permit, fetch_by, started)
        return _Race(self, query, permit, fetch_by, started + delay_s, delay_s).run(started)

    def _watch(self, race: _Race, loop: asyncio.AbstractEventLoop) -> None:
        """Has the race looked at when it is its turn."""
        if self._watched and race.due < self._watched[-1].due:  # the delay has just become shorter
            loop.call_at(race.due, race.begin_another)
            return
        self._watched.append(race)
        if self._bell is None:
            self._bell = loop.call_at(self._watched[0].due, self._ring, loop, self._watched[0].due)

    def _ring(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Looks at those whose turn it is by the time for which the bell was set; the bell may ring a little before it."""
        self._bell = None
        watched = self._watched
        while watched and (watched[0].due <= until or not watched[0].is_first_running):
            watched.popleft().begin_another()
        if watched and self._bell is None:
            self._bell = loop.call_at(watched[0].due, self._ring, loop, watched[0].due)

    async def _alone(self, query: CreditQuery, permit: Permit, fetch_by: float, started: float) -> Answer:
        answer = await self._inner.fetch(query, permit, fetch_by)
        if answer.said.outcome in HEARD:
            self._latency.note(self._clock.monotonic() - started)
        return answer


class _Race:
    """One attempt that may get a second one beside it; looked at when it is `due`."""

    __slots__ = (
        "_beside",
        "_cancels_before",
        "_context",
        "_delay_s",
        "_fetch_by",
        "_hedging",
        "_is_interrupted",
        "_is_slow",
        "_permit",
        "_query",
        "_task",
        "_timer",
        "due",
        "is_first_running",
    )

    _cancels_before: int
    _context: Context
    _task: asyncio.Task[Any]

    def __init__(
        self, hedging: Hedging, query: CreditQuery, permit: Permit, fetch_by: float, due: float, delay_s: float
    ) -> None:
        self._hedging = hedging
        self._query = query
        self._permit = permit
        self._fetch_by = fetch_by
        self.due = due
        self._delay_s = delay_s
        self._beside: list[asyncio.Future[Answer]] = []
        self.is_first_running = True
        self._is_interrupted = False
        self._is_slow = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, started: float) -> Answer:
        """Gives the answer; no second attempt is left when it returns or raises."""
        hedging = self._hedging
        task = asyncio.current_task()
        assert task is not None  # a coroutine is always run by one
        self._task = task
        self._cancels_before = task.cancelling()
        # The bell rings in the context of whoever set it, which is another query's: its trace is not this one's.
        self._context = copy_context()
        hedging._watch(self, task.get_loop())
        first: Answer | None = None  # what the second's answer made needless
        winner: asyncio.Future[Answer] | None = None
        try:
            try:
                first = await hedging._inner.fetch(self._query, self._permit, self._fetch_by)
            except asyncio.CancelledError:
                if not self._is_interrupted or task.cancelling() > self._cancels_before + 1:
                    raise  # asked for from outside, be it besides
            finally:
                self._first_ended(first, started)
            if first is not None and not self._beside:
                return first
            answer, winner = await self._settle(first)
            return answer
        finally:
            if self._beside:
                await self._end(winner)

    def _first_ended(self, answer: Answer | None, started: float) -> None:
        hedging = self._hedging
        self.is_first_running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._is_interrupted:
            self._task.uncancel()
        took_s = hedging._clock.monotonic() - started
        # One cut short, or late to fail, was at least as slow: left out, slow ones would seem rarer than they are.
        if took_s > self._delay_s or (answer is not None and answer.said.outcome in HEARD):
            hedging._latency.note(took_s)

    def begin_another(self) -> None:
        """Makes one more attempt beside the first if that still runs, there is time for it, and it is granted."""
        if not self.is_first_running or self._is_interrupted or self._timer is not None:
            return  # it is over, about to be, or there is an answer in hand
        hedging = self._hedging
        now = hedging._clock.monotonic()
        if self._fetch_by - now < hedging._policy.least_attempt_s:
            return  # the loop was late
        if not hedging._budget.try_extra(spared=0.0 if self._is_slow else _SPARED):
            if not self._is_slow:
                self._look_again(now + self._delay_s * (_SLOW_AFTER - 1))
            return
        if not hedging._pay(self._query):
            return
        attempt = self._context.run(self._begun)
        self._beside.append(attempt)
        attempt.add_done_callback(self._ended)
        if len(self._beside) + 1 < hedging._policy.attempts:
            self._look_again(now + self._delay_s)

    def _begun(self) -> asyncio.Future[Answer]:
        return asyncio.ensure_future(self._hedging._inner.fetch(self._query, self._permit, self._fetch_by))

    def _look_again(self, due: float) -> None:
        """Has an attempt that is slow by then looked at once more; for what it is refused then it does not ask again."""
        self._is_slow = True
        self.due = due
        self._hedging._watch(self, self._task.get_loop())

    def _ended(self, attempt: asyncio.Future[Answer]) -> None:
        answer = _answer_of(attempt)
        if answer is None or not self.is_first_running:
            return
        if answer.said.outcome in _WHOLE:
            self._interrupt()
        elif (
            answer.is_heard and self._timer is None
        ):  # better than none: the first has until the last moment to say more
            self._timer = self._task.get_loop().call_at(self._fetch_by - _HANDOVER_S, self._interrupt)

    def _interrupt(self) -> None:
        if not self._is_interrupted:  # two may answer in the same turn
            self._is_interrupted = True
            self._task.cancel()

    async def _settle(self, first: Answer | None) -> tuple[Answer, asyncio.Future[Answer] | None]:
        """Gives the best answer and whose it is, None for the first's; waits for those that can still be better."""
        if first is not None and first.said.outcome not in _WHOLE:
            await self._wait_for_better()
        best, winner = first, None
        attempts = 0 if first is None else max(first.attempts, 1)
        attempts += first is None  # it was made, though its answer was not waited for
        for attempt in self._beside:
            answer = _answer_of(attempt) if attempt.done() else None
            attempts += 1 if answer is None else max(answer.attempts, 1)
            if answer is not None and (best is None or OUTCOME_RANK[answer.outcome] < OUTCOME_RANK[best.outcome]):
                best, winner = answer, attempt
        assert best is not None  # the first is interrupted only for an answer
        return best._replace(attempts=attempts), winner

    async def _wait_for_better(self) -> None:
        """Waits until one of the attempts beside is heard whole, all are over, or time is up."""
        last_moment = self._fetch_by - _HANDOVER_S
        running = {attempt for attempt in self._beside if not attempt.done()}
        while running and not any(attempt.done() and _is_whole(attempt) for attempt in self._beside):
            left_s = last_moment - self._hedging._clock.monotonic()
            if left_s <= 0:
                return
            _, running = await asyncio.wait(running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    async def _end(self, winner: asyncio.Future[Answer] | None) -> None:
        """Tells of the attempts beside, and ends those that still run."""
        observer = self._hedging._observer
        if observer is not None:
            for attempt in self._beside:
                observer.call_hedged(self._hedging.platform.id, won=attempt is winner)
        running = [attempt for attempt in self._beside if not attempt.done()]
        if not running:
            return
        ending = self._hedging._ending
        for attempt in running:
            ending.add(attempt)
            attempt.add_done_callback(ending.discard)
            attempt.cancel()
        await asyncio.wait(running, timeout=_GRACE_S)


def _is_whole(ended: asyncio.Future[Answer]) -> bool:
    answer = _answer_of(ended)
    return answer is not None and answer.said.outcome in _WHOLE


def _answer_of(ended: asyncio.Future[Answer]) -> Answer | None:
    """Gives what a second attempt said; None if it was cancelled, or broke: the first is not to suffer for it."""
    if ended.cancelled() or ended.exception() is not None:
        return None
    return ended.result()
