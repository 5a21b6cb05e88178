"""A circuit breaker (熔断) around one connector, with the connector's own shape, turned by mapped outcomes.

    closed ── enough failures in a row, and most of the newest calls ──► open: BREAKER_OPEN at once
      ▲                                                                   │ its pause is over
      └── the probe shows that the platform lives ── half-open: one probe ◄┘
                                                     the probe failed: open again, for longer

What keeps it from flapping on a platform that comes and goes: pauses grow with every failed probe; a platform that fails
again soon after it was let in begins with a longer pause each time; and one that fails every other call is left in, since
half of the answers is more than none.

The states, their turning and its events are purgatory's: `Context` and the states of its `domain.model`. Its three states
are subclassed here, since 3.0 lets nothing of this be set from outside: it reads `time.time()`, knows one pause for ever,
lets every call through while half-open, and counts failures in a row only. It also raises one exception object for every
refusal while open, whose traceback grows by each and keeps the frames of the refused calls; ours is a new one each time.
Its factory, message bus and repositories are left out: they would restore its own states. So each process learns alone.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from purgatory.domain.messages.events import ContextChanged
from purgatory.domain.model import CLOSED, ClosedState, Context, HalfOpenedState, OpenedState

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_MAINTENANCE,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import CallObserver, Clock, Connector


class _Verdict(Enum):
    """What a call that was not heard says about its platform."""

    FAILED = "its fault, and passing: what a rest can cure"
    LIVES = "it works, be it that it refused; enough for a probe, no proof of health"
    BUSY = "it works and wants fewer calls; a probe is to come back later"
    SILENT = "nothing"


# (outcome, reason) → verdict; a reason of None stands for every reason not listed; what is not listed is SILENT.
# RATE_LIMITED does not open: asking less, the bulkhead's and the quota's work, cures it without losing every answer.
# AUTH_FAILED does not either: no rest cures it, and BREAKER_OPEN would hide it from whoever must mend it.
_VERDICTS: Final[dict[tuple[Outcome.ValueType, str | None], _Verdict]] = {
    (OUTCOME_UNREACHABLE, None): _Verdict.FAILED,
    (OUTCOME_UNREACHABLE, "egress"): _Verdict.SILENT,  # our own rule
    (OUTCOME_TIMEOUT, None): _Verdict.FAILED,
    (OUTCOME_TIMEOUT, "pending"): _Verdict.LIVES,  # the task goes on over there
    (OUTCOME_BAD_ANSWER, None): _Verdict.FAILED,
    (OUTCOME_BAD_ANSWER, "request_refused"): _Verdict.LIVES,  # our own question
    (OUTCOME_MAINTENANCE, None): _Verdict.FAILED,
    (OUTCOME_AUTH_FAILED, None): _Verdict.LIVES,
    (OUTCOME_TOO_LARGE, None): _Verdict.LIVES,
    (OUTCOME_RATE_LIMITED, None): _Verdict.BUSY,
}

_REMEMBERED_CALLS: Final = 32
_MOST_STEPS: Final = 64  # of growth: beyond any cap, and no float overflows on the way
_TIMER_SLACK_S: Final = 0.005  # uvloop's timers keep whole milliseconds and may ring before their time


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When the breaker opens and how long it rests; times are in seconds.

    It opens after `failures_to_open` failures in a row, if `failing_share` of the newest calls failed (of the last 32 to 64,
    none older than twice `memory_s`). Time that ran out counts only if the platform had `fair_time_s`: a caller in a hurry
    must not close it to others. Pauses begin at `first_pause_s`, grow by `growth` with each failed probe up to
    `longest_pause_s`, and vary by `jitter` of themselves. If it was closed for less than `calm_s` when it opens again, it
    begins with a pause longer by `growth` than the last time, up to `longest_relapse_pause_s`; a Retry-After is obeyed up to
    that too. Raises ValueError for numbers that make no sense.
    """

    failures_to_open: int = 5
    failing_share: float = 0.8
    memory_s: float = 15.0
    fair_time_s: float = 0.5
    first_pause_s: float = 5.0
    growth: float = 2.0
    longest_pause_s: float = 60.0
    longest_relapse_pause_s: float = 120.0
    jitter: float = 0.2
    calm_s: float = 120.0

    def __post_init__(self) -> None:
        if self.failures_to_open < 1 or not 0 <= self.failing_share <= 1 or self.memory_s <= 0:
            raise ValueError("failures_to_open must be at least 1, failing_share between 0 and 1, memory_s above 0")
        if not 0 <= self.jitter < 1 or self.growth < 1:
            raise ValueError("jitter must be at least 0 and below 1, growth at least 1")
        if not 0 < self.first_pause_s <= min(self.longest_pause_s, self.longest_relapse_pause_s):
            raise ValueError("first_pause_s must be above 0 and no longer than the longest pauses")


class Breaking:
    """A connector that is not asked while its platform is down."""

    def __init__(
        self,
        inner: Connector,
        policy: BreakerPolicy,
        clock: Clock,
        observer: CallObserver | None = None,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Takes what gives the jitter, a number from 0 to below 1."""
        self._inner = inner
        self._clock = clock
        self._observer = observer
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._fair_time_s = policy.fair_time_s
        self._circuit = _Circuit(inner.platform.id, policy, clock, chance)
        self._is_open = False
        self._turns = 0  # a call begun before a turn says nothing about the time after it
        self._because = ""

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, be it that one probe is under way."""
        return self._is_open

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the connector's answer, or BREAKER_OPEN at once, its reason being the outcome by which the platform failed.

        `retry_after_s` is then the time to the next probe.
        """
        circuit = self._circuit
        if self._is_open:  # closed, purgatory's state has nothing to say of a new call
            try:
                circuit.handle_new_request()
            except _RefusedError as refused:
                return failed_answer(
                    self.platform.id,
                    OUTCOME_BREAKER_OPEN,
                    self._because,
                    permit.categories,
                    retry_after_s=refused.wait_s,
                )
            self._tell()
        turns = self._turns
        began = self._clock.monotonic()
        try:
            answer = await self._inner.fetch(query, permit, fetch_by)
            if turns == self._turns:
                if answer.said.outcome in HEARD and not self._is_open:
                    circuit.closed.heard()
                else:
                    self._judge(answer, began)
            return answer
        except asyncio.CancelledError:
            # At the end of the time it is the caller's one timer that cancels: that is the platform's silence. Before, it
            # is the caller's leaving.
            if turns == self._turns and self._clock.monotonic() >= fetch_by - _TIMER_SLACK_S:
                self._note(_Verdict.FAILED, OUTCOME_TIMEOUT, "deadline", began)
            raise
        finally:
            if turns == self._turns:  # a probe that decided nothing, be it that the connector broke: the next one may
                circuit.is_probed = False

    def _judge(self, answer: Answer, began: float) -> None:
        said = answer.said
        if said.outcome in HEARD:
            self._circuit.handle_end_request()
            self._tell()
            return
        verdict = _VERDICTS.get((said.outcome, said.reason)) or _VERDICTS.get((said.outcome, None), _Verdict.SILENT)
        self._note(verdict, said.outcome, said.reason, began, answer.retry_after_s)

    def _note(
        self,
        verdict: _Verdict,
        outcome: Outcome.ValueType,
        reason: str,
        began: float,
        retry_after_s: float | None = None,
    ) -> None:
        """Hands a call that was not heard to purgatory, which takes exceptions."""
        circuit = self._circuit
        if outcome == OUTCOME_TIMEOUT and self._clock.monotonic() - began < self._fair_time_s:
            verdict = _Verdict.SILENT
        if verdict is _Verdict.FAILED:
            self._because = Outcome.Name(outcome).removeprefix("OUTCOME_").lower()
            circuit.handle_exception(PlatformError(outcome, reason, retry_after_s=retry_after_s))
        elif self._is_open and verdict is _Verdict.LIVES:
            circuit.handle_end_request()
        elif self._is_open and verdict is _Verdict.BUSY:
            circuit.rest_again(retry_after_s)
        self._tell()

    def _tell(self) -> None:
        """Takes purgatory's events away, which would pile up, and tells of a turn what the outside sees of it."""
        for message in self._circuit.messages:
            if not isinstance(message, ContextChanged):
                continue
            self._turns += 1
            is_open = message.state != CLOSED
            if is_open is not self._is_open:
                self._is_open = is_open
                if self._observer is not None:
                    self._observer.breaker_turned(self.platform.id, is_open=is_open)
        self._circuit.messages.clear()


class _RefusedError(Exception):
    """The call is not to be made; `wait_s` is the time to the next probe."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


class _Circuit(Context):
    """purgatory's context, with the time, the pauses and the one probe its states need."""

    def __init__(self, name: str, policy: BreakerPolicy, clock: Clock, chance: Callable[[], float]) -> None:
        super().__init__(name, threshold=policy.failures_to_open, ttl=policy.first_pause_s)
        self.policy = policy
        self.clock = clock
        self.is_probed = False
        self._chance = chance
        self._relapses = 0
        self._failed_probes = 0
        self._closed_at = -math.inf
        self._state = self.closed = _Closed(self)

    def open(self, exc: BaseException) -> None:
        """Begins the rests: with a longer one if the platform was let in only just now."""
        is_relapse = self.clock.monotonic() - self._closed_at < self.policy.calm_s
        self._relapses = min(self._relapses + 1, _MOST_STEPS) if is_relapse else 0
        self._failed_probes = 0
        self.rest_again(_retry_after_s(exc))

    def open_for_longer(self, exc: BaseException) -> None:
        """Begins the next rest after a failed probe."""
        self._failed_probes = min(self._failed_probes + 1, _MOST_STEPS)
        self.rest_again(_retry_after_s(exc))

    def rest_again(self, retry_after_s: float | None) -> None:
        """Begins a rest as long as the last, or as long as asked for."""
        policy = self.policy
        first_s = min(policy.first_pause_s * policy.growth**self._relapses, policy.longest_relapse_pause_s)
        pause_s = min(first_s * policy.growth**self._failed_probes, max(first_s, policy.longest_pause_s))
        pause_s *= 1 + policy.jitter * (2 * self._chance() - 1)
        asked_s = min(retry_after_s or 0.0, policy.longest_relapse_pause_s)
        self.set_state(_Opened(self, max(pause_s, asked_s)))

    def close(self) -> None:
        """Lets all calls in again."""
        self._closed_at = self.clock.monotonic()
        self.closed = _Closed(self)
        self.set_state(self.closed)


def _retry_after_s(exc: BaseException) -> float | None:
    return exc.retry_after_s if isinstance(exc, PlatformError) else None


class _Closed(ClosedState):
    """Counts failures in a row, as purgatory does, and what share of the newest calls they are."""

    def __init__(self, circuit: _Circuit) -> None:
        super().__init__()
        self._circuit = circuit
        self._calls = self._failed = 0
        self._calls_before = self._failed_before = 0
        self._since = circuit.clock.monotonic()

    def heard(self) -> None:
        """Counts a call that was heard: what purgatory does of it, but for an event that nobody wants."""
        self.failure_count = 0
        self._count(0)

    def handle_end_request(self, context: Context) -> None:
        self.heard()

    def handle_exception(self, context: Context, exc: BaseException) -> None:
        self._count(1)
        self.failure_count += 1
        policy = self._circuit.policy
        newest = self._calls + self._calls_before
        if self.failure_count < context.threshold or self._failed + self._failed_before < policy.failing_share * newest:
            return
        self._circuit.open(exc)

    def _count(self, failed: int) -> None:
        """Remembers in two halves, of which the older is forgotten when the newer is full or old."""
        now = self._circuit.clock.monotonic()
        age_s = now - self._since
        memory_s = self._circuit.policy.memory_s
        if self._calls >= _REMEMBERED_CALLS or age_s >= memory_s:
            is_fresh = age_s < 2 * memory_s
            self._calls_before = self._calls if is_fresh else 0
            self._failed_before = self._failed if is_fresh else 0
            self._calls = self._failed = 0
            self._since = now
        self._calls += 1
        self._failed += failed


class _Opened(OpenedState):
    """Refuses every call until its pause is over, then lets one probe through."""

    def __init__(self, circuit: _Circuit, pause_s: float) -> None:
        super().__init__(circuit.name)
        self._circuit = circuit
        self.opened_at = circuit.clock.monotonic()
        self._probe_at = self.opened_at + pause_s

    def handle_new_request(self, context: Context) -> None:
        wait_s = self._probe_at - self._circuit.clock.monotonic()
        if wait_s > 0:
            raise _RefusedError(wait_s)
        self._circuit.is_probed = False
        context.set_state(_HalfOpened(self._circuit))
        context.handle_new_request()


class _HalfOpened(HalfOpenedState):
    """Lets one probe through at a time; what the probe comes to decides."""

    def __init__(self, circuit: _Circuit) -> None:
        self._circuit = circuit

    def handle_new_request(self, context: Context) -> None:
        if self._circuit.is_probed:
            raise _RefusedError(self._circuit.policy.first_pause_s)
        self._circuit.is_probed = True

    def handle_exception(self, context: Context, exc: BaseException) -> None:
        self._circuit.open_for_longer(exc)

    def handle_end_request(self, context: Context) -> None:
        self._circuit.close()
