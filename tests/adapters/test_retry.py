"""Retries: only what they can cure, as asked, and never past the query's point in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_MAINTENANCE,
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    PURPOSE_PRE_LOAN,
    Outcome,
)
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.adapters.state.clock import SystemClock
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform, Tier
from gateway.domain.query import CreditQuery

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
POLICY = RetryPolicy(attempts=3, backoff_s=0.001, longest_backoff_s=0.002, least_attempt_s=0.001)

Told = tuple[Outcome.ValueType, str, float | None]


class Sequence:
    """Gives one answer after the other."""

    platform = Platform("a", "平台", "platform", Tier.PROVINCE)

    def __init__(self, *told: Told) -> None:
        self._told: Iterator[Told] = iter(told)
        self.asked = 0

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        self.asked += 1
        outcome, reason, retry_after_s = next(self._told)
        return failed_answer("a", outcome, reason, (5,), attempts=1, retry_after_s=retry_after_s)


async def fetch(inner: Sequence, time_s: float = 5.0, policy: RetryPolicy = POLICY) -> Answer:
    fetch_by = asyncio.get_running_loop().time() + time_s
    return await Retrying(inner, policy, SystemClock()).fetch(QUERY, development_permit(QUERY), fetch_by)


async def test_a_passing_failure_is_asked_again() -> None:
    inner = Sequence((OUTCOME_UNREACHABLE, "http_503", None), (OUTCOME_OK, "", None))

    answer = await fetch(inner)

    assert (answer.outcome, answer.attempts, inner.asked) == (OUTCOME_OK, 2, 2)


async def test_attempts_are_bounded_and_the_last_answer_is_told() -> None:
    inner = Sequence(
        (OUTCOME_UNREACHABLE, "closed", None), (OUTCOME_UNREACHABLE, "reset", None), (OUTCOME_TIMEOUT, "read", None)
    )

    answer = await fetch(inner)

    assert (answer.outcome, answer.said.reason, answer.attempts) == (OUTCOME_TIMEOUT, "read", 3)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (OUTCOME_OK, ""),
        (OUTCOME_AUTH_FAILED, "signature"),
        (OUTCOME_BAD_ANSWER, "json"),
        (OUTCOME_BAD_ANSWER, "wrong_subject"),
        (OUTCOME_TOO_LARGE, "body"),
        (OUTCOME_MAINTENANCE, "code"),
        (OUTCOME_TIMEOUT, "pending"),
    ],
)
async def test_what_a_retry_cannot_cure_is_asked_once(outcome: Outcome.ValueType, reason: str) -> None:
    inner = Sequence((outcome, reason, None))

    await fetch(inner)

    assert inner.asked == 1


async def test_retry_after_is_obeyed_when_it_fits() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 0.05), (OUTCOME_OK, "", None))
    started = asyncio.get_running_loop().time()

    answer = await fetch(inner)

    assert answer.outcome == OUTCOME_OK
    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    inner = Sequence((OUTCOME_RATE_LIMITED, "http_429", 30.0))
    started = asyncio.get_running_loop().time()

    answer = await fetch(inner, time_s=0.5)

    assert (answer.outcome, answer.retry_after_s, inner.asked) == (OUTCOME_RATE_LIMITED, 30.0, 1)
    assert asyncio.get_running_loop().time() - started < 0.3


async def test_one_attempt_means_never_again() -> None:
    inner = Sequence((OUTCOME_UNREACHABLE, "connect", None))

    answer = await fetch(inner, policy=RetryPolicy(attempts=1))

    assert (answer.outcome, inner.asked) == (OUTCOME_UNREACHABLE, 1)
