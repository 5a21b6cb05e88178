"""Retries around one connector, with the connector's own shape; tenacity is entered only after a first failure.

Only what a retry can cure is retried, with full jitter, Retry-After obeyed when it fits the time left, and never past the
query's one point in time: an attempt that cannot finish is not begun, the first included. A repeat is made only if the
platform's budget of extra calls grants it, so an outage costs about a tenth more calls, and if the quota pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_base, wait_random_exponential

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_SKIPPED
from gateway.adapters.resilience.budget import CallBudget, Pay, pay_nothing
from gateway.domain.answer import HEARD, Answer, failed_answer, is_retryable
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT
from gateway.ports import CallObserver, Clock, Connector


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts in all (1 means none again), first and longest back-off and the least time an attempt needs, in seconds.

    Repeats are at most `budget_share` of the queries over any `budget_window_s`, or `budget_floor` where that is more: a
    platform asked fewer than some thirty times in a window may thus see more than a tenth on top.
    """

    attempts: int = 3
    backoff_s: float = 0.1
    longest_backoff_s: float = 2.0
    least_attempt_s: float = 0.05
    budget_share: float = 0.10
    budget_floor: int = 3
    budget_window_s: float = 60.0


class Retrying:
    """A connector that is asked again where that can help."""

    def __init__(
        self,
        inner: Connector,
        policy: RetryPolicy,
        clock: Clock,
        *,
        budget: CallBudget | None = None,
        pay: Pay = pay_nothing,
        observer: CallObserver | None = None,
    ) -> None:
        """Takes a budget shared with others, else keeps one of its own; `pay` is asked just before each repeat."""
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._budget = budget or CallBudget(policy.budget_share, policy.budget_floor, policy.budget_window_s, clock)
        self._pay = pay
        self._observer = observer
        self.platform: Platform = inner.platform
        """The facts about the platform."""
        self._can_repeat = inner.platform.is_idempotent and policy.attempts > 1
        self._wait = _WaitAsAsked(policy)

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the answer of the first attempt, or of the last one made; latency and attempts count all of them.

        Without the time for one attempt the platform is not asked: SKIPPED(deadline_too_short).
        """
        started = self._clock.monotonic()
        if fetch_by - started < self._policy.least_attempt_s:
            return failed_answer(self.platform.id, OUTCOME_SKIPPED, DEADLINE_TOO_SHORT, permit.categories)
        self._budget.note_call(started)
        answer = await self._inner.fetch(query, permit, fetch_by)
        if answer.said.outcome not in HEARD and self._can_repeat and _is_curable(answer):
            answer = await self._again(answer, query, permit, fetch_by)
        return answer.lasting(self._clock.monotonic() - started)

    async def _again(self, first: Answer, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        policy = self._policy
        last = first
        attempts = max(first.attempts, 1)
        is_given_up = False

        def fits(wait_s: float) -> bool:
            return self._clock.monotonic() + wait_s + policy.least_attempt_s <= fetch_by

        def is_over(state: RetryCallState) -> bool:
            # The budget is asked last, and before the wait: what it grants is used, and nobody waits for a refusal.
            return (
                state.attempt_number >= policy.attempts
                or not fits(state.upcoming_sleep)
                or not self._budget.try_extra()
            )

        async def attempt() -> Answer:
            nonlocal last, attempts, is_given_up
            if retrying.statistics["attempt_number"] == 1:
                return first  # the failure that brought us here is tenacity's first result
            # Asked anew after the wait: it may have taken longer, and the quota may have gone to others.
            if not fits(0.0) or not self._pay(query):
                is_given_up = True
                return last
            if self._observer is not None:
                self._observer.call_repeated(self.platform.id)
            last = await self._inner.fetch(query, permit, fetch_by)
            attempts += max(last.attempts, 1)
            return last

        retrying = AsyncRetrying(
            retry=retry_if_result(lambda answer: not is_given_up and _is_curable(answer)),
            wait=self._wait,
            stop=is_over,
            retry_error_callback=lambda state: last,
        )
        await retrying(attempt)
        return last._replace(attempts=attempts)


def _is_curable(answer: Answer) -> bool:
    said = answer.said
    return is_retryable(said.outcome, said.reason)


class _WaitAsAsked(wait_base):
    """Waits a random share of a growing back-off, on top of what the platform asked for (Retry-After, RFC 9110 §10.2.3).

    On top, since all who were told the same moment would otherwise come back at once.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._jitter = wait_random_exponential(multiplier=policy.backoff_s, max=policy.longest_backoff_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        outcome = retry_state.outcome
        answer = outcome.result() if outcome is not None else None
        jitter_s = self._jitter(retry_state)
        if isinstance(answer, Answer) and answer.retry_after_s is not None:
            return answer.retry_after_s + jitter_s
        return jitter_s
