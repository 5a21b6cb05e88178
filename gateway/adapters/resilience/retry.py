"""Retries around one connector, with the connector's own shape; tenacity is entered only after a first failure.

Only what a retry can cure is retried, with full jitter, Retry-After obeyed when it fits the time left, and never past the
query's one point in time: an attempt that cannot finish is not begun.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from gateway.domain.answer import Answer, is_retryable
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.ports import Clock, Connector


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts in all (1 means none again), first and longest back-off and the least time an attempt needs, in seconds."""

    attempts: int = 3
    backoff_s: float = 0.1
    longest_backoff_s: float = 2.0
    least_attempt_s: float = 0.05


class Retrying:
    """A connector that is asked again where that can help."""

    def __init__(self, inner: Connector, policy: RetryPolicy, clock: Clock) -> None:
        self._inner = inner
        self._policy = policy
        self._clock = clock

    @property
    def platform(self) -> Platform:
        """The facts about the platform."""
        return self._inner.platform

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives the answer of the first attempt, or of the last one made; latency and attempts count all of them."""
        started = self._clock.monotonic()
        first = await self._inner.fetch(query, permit, fetch_by)
        if not self._may_retry(first) or self._policy.attempts < 2:
            return first._replace(latency_s=self._clock.monotonic() - started)
        return await self._again(first, query, permit, fetch_by, started)

    async def _again(
        self, first: Answer, query: CreditQuery, permit: Permit, fetch_by: float, started: float
    ) -> Answer:
        last = first
        is_first = True
        attempts = max(first.attempts, 1)

        def stop(state: RetryCallState) -> bool:
            wait_s = state.upcoming_sleep
            return self._clock.monotonic() + wait_s + self._policy.least_attempt_s > fetch_by

        async def attempt() -> Answer:
            nonlocal last, attempts, is_first
            if is_first:  # the failure that brought us here is tenacity's first result
                is_first = False
                return first
            last = await self._inner.fetch(query, permit, fetch_by)
            attempts += max(last.attempts, 1)
            return last

        await AsyncRetrying(
            retry=retry_if_result(self._may_retry),
            wait=_WaitAsAsked(self._policy),
            stop=lambda state: stop_after_attempt(self._policy.attempts)(state) or stop(state),
            retry_error_callback=lambda state: last,
        )(attempt)
        return last._replace(attempts=attempts, latency_s=self._clock.monotonic() - started)

    def _may_retry(self, answer: Answer) -> bool:
        return self.platform.is_idempotent and is_retryable(answer.outcome, answer.said.reason)


class _WaitAsAsked(wait_base):
    """Waits as long as the platform asked (Retry-After), else a random share of a growing back-off."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._jitter = wait_random_exponential(multiplier=policy.backoff_s, max=policy.longest_backoff_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        outcome = retry_state.outcome
        answer = outcome.result() if outcome is not None else None
        if isinstance(answer, Answer) and answer.retry_after_s is not None:
            return answer.retry_after_s
        return self._jitter(retry_state)
