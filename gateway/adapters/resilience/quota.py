"""Quotas (配额) around one connector, with the connector's own shape: a call is paid for before it is made, or not made.

    paid for   the call goes on; what was not asked after all (BREAKER_OPEN, SKIPPED further in) is given back
    short      only of this second's calls, by little: it waits inside the time left, one of a few
    refused    QUOTA_EXHAUSTED, naming what is spent and when asking again can help; in a window MAINTENANCE(window)

Repeats and hedges pay by `paying`, which goes to `Retrying` and `Hedging`. One attempt of a connector is one call, be it
that it reads several pages or polls. The ledger stands behind `QuotaStore`, whose methods do not wait: one that replicas
share must take portions of the day ahead, since a round trip a call would cost more than all wrappers together.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol, Self

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_MAINTENANCE,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.adapters.resilience.budget import Pay
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.consent import Permit
from gateway.domain.dates import CHINA
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import CallObserver, Clock, Connector

QUOTA_SECOND: Final = "quota_second"
QUOTA_DAY: Final = "quota_day"
QUOTA_PAID: Final = "quota_paid"
QUOTA_BANK: Final = "quota_bank"
QUOTA_BANK_SECOND: Final = "quota_bank_second"
INTERACTIVE_RESERVE: Final = "interactive_reserve"
MAINTENANCE: Final = "maintenance"

_SHORT_LIVED: Final = frozenset({QUOTA_SECOND, QUOTA_BANK_SECOND})
_NOT_ASKED: Final = frozenset({OUTCOME_BREAKER_OPEN, OUTCOME_SKIPPED})

# (outcome, reason) of calls that no platform bills; a reason of None stands for every reason. What is not listed may be on
# the bill, time that ran out and connections that broke included.
_UNPAID: Final[frozenset[tuple[Outcome.ValueType, str | None]]] = frozenset(
    {
        (OUTCOME_AUTH_FAILED, None),
        (OUTCOME_MAINTENANCE, None),
        (OUTCOME_QUOTA_EXHAUSTED, None),
        (OUTCOME_RATE_LIMITED, None),
        (OUTCOME_UNREACHABLE, "connect"),
        (OUTCOME_UNREACHABLE, "dns"),
        (OUTCOME_UNREACHABLE, "egress"),
    }
)

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A time of the day, in China, in which a platform is not asked; it wraps midnight when it ends before it starts.

    `weekdays` are those on which it starts, Monday being 0. Raises ValueError when start and end are alike.
    """

    start: time
    end: time
    weekdays: frozenset[int] = frozenset(range(7))

    def __post_init__(self) -> None:
        if self.start == self.end or not self.weekdays or not self.weekdays <= frozenset(range(7)):
            raise ValueError("a maintenance window needs an end other than its start, and weekdays from 0 to 6")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads "00:00-02:00" or "Sat,Sun 22:00-06:00"; raises ValueError for anything else."""
        *days, span = text.split()
        try:
            start, end = span.split("-")
            weekdays = frozenset(_WEEKDAYS.index(day) for day in ",".join(days).lower().split(",") if day)
            return cls(_time(start), _time(end), weekdays or frozenset(range(7)))
        except ValueError as error:
            raise ValueError(
                f'{text!r} is no maintenance window; write "22:00-06:00" or "Sat,Sun 22:00-06:00"'
            ) from error

    def __str__(self) -> str:
        days = (
            "" if len(self.weekdays) == 7 else ",".join(_WEEKDAYS[day].title() for day in sorted(self.weekdays)) + " "
        )
        return f"{days}{self.start:%H:%M}-{self.end:%H:%M}"


def _time(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)


def maintenance_spans(windows: Sequence[MaintenanceWindow], day: date) -> list[tuple[datetime, datetime]]:
    """Gives the spans of a week from the day on, those that began on the eve included: ascending, apart, in China time."""
    spans: list[tuple[datetime, datetime]] = []
    for begins_on in (day + timedelta(days=ahead) for ahead in range(-1, 8)):
        for window in windows:
            if begins_on.weekday() in window.weekdays:
                ends_on = begins_on if window.end > window.start else begins_on + timedelta(days=1)
                begins = datetime.combine(begins_on, window.start, CHINA)
                spans.append((begins, datetime.combine(ends_on, window.end, CHINA)))
    apart: list[tuple[datetime, datetime]] = []
    for begins, ends in sorted(spans):
        if apart and begins <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], ends))
        else:
            apart.append((begins, ends))
    return apart


@dataclass(frozen=True, slots=True)
class QuotaPolicy:
    """How often a platform may be asked, and how often for one bank; None is no limit. Days are China's.

    A fraction of `calls_per_s` above one is rounded down; 0.2 is one call in five seconds. `paid_calls_per_day` is for
    platforms that bill: what pays is every call, repeats included, that may be on the bill; only a last answer which shows
    that it is not gives its own back. Batch queries may not touch the last `interactive_reserve` of any of these, except
    that one call of a second is always theirs to take. A call short of this second's calls waits `longest_wait_s` at most,
    while so many wait as can be served, and `least_attempt_s` are left after it. Raises ValueError for numbers that make
    no sense.
    """

    calls_per_s: float | None = None
    calls_per_day: int | None = None
    paid_calls_per_day: int | None = None
    bank_calls_per_s: float | None = None
    bank_calls_per_day: int | None = None
    interactive_reserve: float = 0.2
    maintenance: tuple[MaintenanceWindow, ...] = ()
    longest_wait_s: float = 0.5
    least_attempt_s: float = 0.05

    def __post_init__(self) -> None:
        rates = (self.calls_per_s, self.bank_calls_per_s)
        if any(rate is not None and not 0 < rate < math.inf for rate in rates):
            raise ValueError("calls_per_s and bank_calls_per_s must be above 0; leave them out for no limit")
        if any(calls is not None and calls < 0 for calls in self._days()):
            raise ValueError("calls_per_day, paid_calls_per_day and bank_calls_per_day must be at least 0")
        if not 0 <= self.interactive_reserve <= 1 or self.longest_wait_s < 0:
            raise ValueError("interactive_reserve must be between 0 and 1, longest_wait_s at least 0")

    @property
    def is_empty(self) -> bool:
        """Whether it limits nothing."""
        limits = (self.calls_per_s, self.bank_calls_per_s, *self._days())
        return not self.maintenance and all(limit is None for limit in limits)

    def shared_by(self, processes: int) -> QuotaPolicy:
        """Gives one process's part where each keeps a ledger of its own; rounded down, so that all keep the whole."""
        rates = (self.calls_per_s, self.bank_calls_per_s)
        second, bank_second = (None if rate is None else rate / processes for rate in rates)
        day, paid, bank_day = (None if calls is None else calls // processes for calls in self._days())
        return replace(
            self,
            calls_per_s=second,
            calls_per_day=day,
            paid_calls_per_day=paid,
            bank_calls_per_s=bank_second,
            bank_calls_per_day=bank_day,
        )

    def _days(self) -> tuple[int | None, int | None, int | None]:
        return self.calls_per_day, self.paid_calls_per_day, self.bank_calls_per_day


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not be made: the sub-reason, and when asking again can help, as a wait and as a moment in China."""

    reason: str
    retry_after_s: float
    resets_at: datetime


class QuotaStore(Protocol):
    """Whoever keeps count of calls; platforms it does not know have no quota."""

    def take(self, platform: str, bank: str, *, is_batch: bool) -> Refusal | None:
        """Charges one call to everything that limits it, or gives why it may not be made and charges nothing."""
        ...

    def give_back(self, platform: str, bank: str, taken_at: float, *, only_paid: bool = False) -> None:
        """Takes back one call charged not before `taken_at`, a point of `Clock.monotonic`; or only what bills count."""
        ...

    def left(self, platform: str) -> int | None:
        """Gives how many calls the platform's day still has; None where nothing limits the day."""
        ...

    def reset_at(self, platform: str) -> datetime | None:
        """Gives when the platform's day ends, in China time; None for a platform without a quota."""
        ...


def paying(ledger: QuotaStore, platform: str, observer: CallObserver | None = None) -> Pay:
    """Gives what charges a repeat or a hedge: it pays as any call does."""

    def pay(query: CreditQuery) -> bool:
        refusal = ledger.take(platform, query.bank, is_batch=query.is_batch)
        if observer is not None:
            if refusal is not None:
                observer.quota_refused(platform, refusal.reason)
            _tell_left(ledger, platform, observer)
        return refusal is None

    return pay


def _tell_left(ledger: QuotaStore, platform: str, observer: CallObserver) -> None:
    left = ledger.left(platform)
    if left is not None:
        observer.quota_left(platform, left)


class Metered:
    """A connector whose calls are paid for first."""

    def __init__(
        self,
        inner: Connector,
        policy: QuotaPolicy,
        ledger: QuotaStore,
        clock: Clock,
        observer: CallObserver | None = None,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._ledger = ledger
        self._clock = clock
        self._observer = observer
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._id = inner.platform.id
        self._waiting = 0
        rate = policy.calls_per_s or policy.bank_calls_per_s or 0.0
        self._may_wait = max(1, int(rate * policy.longest_wait_s)) if policy.longest_wait_s else 0

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the connector's answer; its latency counts the wait. QUOTA_EXHAUSTED if no quota was left in time.

        Its reason says what is spent, `retry_after_s` and the detail when asking again can help.
        """
        taken_at = began = self._clock.monotonic()
        refusal = self._ledger.take(self._id, query.bank, is_batch=query.is_batch)
        if refusal is not None:
            taken_at, refusal = await self._wait(refusal, query, began, fetch_by)
            if refusal is not None:
                return self._refused(refusal, permit, taken_at - began)
        if self._observer is not None:
            _tell_left(self._ledger, self._id, self._observer)
        answer = await self._inner.fetch(query, permit, fetch_by)
        if answer.said.outcome not in HEARD:
            self._give_back(answer, query.bank, taken_at)
        return answer if taken_at == began else answer._replace(latency_s=answer.latency_s + taken_at - began)

    async def _wait(
        self, refusal: Refusal, query: CreditQuery, began: float, fetch_by: float
    ) -> tuple[float, Refusal | None]:
        """Gives when it asked last and what it was told; asks until a call of this second is free or the wait too long."""
        asked_at = began
        if self._waiting >= self._may_wait:
            return asked_at, refusal
        latest = min(began + self._policy.longest_wait_s, fetch_by - self._policy.least_attempt_s)
        told: Refusal | None = refusal
        self._waiting += 1
        try:
            while told is not None and told.reason in _SHORT_LIVED and asked_at + told.retry_after_s <= latest:
                await asyncio.sleep(told.retry_after_s)
                asked_at = self._clock.monotonic()
                if asked_at > fetch_by - self._policy.least_attempt_s:  # the loop was late
                    break
                told = self._ledger.take(self._id, query.bank, is_batch=query.is_batch)
        finally:
            self._waiting -= 1
        return asked_at, told

    def _refused(self, refusal: Refusal, permit: Permit, waited_s: float) -> Answer:
        if self._observer is not None:
            self._observer.quota_refused(self._id, refusal.reason)
            _tell_left(self._ledger, self._id, self._observer)
        is_resting = refusal.reason == MAINTENANCE
        answer = failed_answer(
            self._id,
            OUTCOME_MAINTENANCE if is_resting else OUTCOME_QUOTA_EXHAUSTED,
            "window" if is_resting else refusal.reason,
            permit.categories,
            retry_after_s=refusal.retry_after_s,
            detail=f"{'ends' if is_resting else 'resets'} at {refusal.resets_at.isoformat(timespec='seconds')}",
        )
        return answer._replace(latency_s=waited_s) if waited_s else answer

    def _give_back(self, answer: Answer, bank: str, taken_at: float) -> None:
        """Gives back what a call that was not heard did not cost; one that was cancelled or broke may have cost all."""
        said = answer.said
        if said.outcome in _NOT_ASKED:
            self._ledger.give_back(self._id, bank, taken_at)
        elif (said.outcome, None) in _UNPAID or (said.outcome, said.reason) in _UNPAID:
            self._ledger.give_back(self._id, bank, taken_at, only_paid=True)
        else:
            return
        if self._observer is not None:
            _tell_left(self._ledger, self._id, self._observer)
