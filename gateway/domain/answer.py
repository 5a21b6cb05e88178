"""What one platform said to one query (应答): outcomes, how answers join, and which failures a retry can cure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_CANCELLED,
    OUTCOME_MAINTENANCE,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.domain.errors import PlatformError
from gateway.domain.wire import delimited

HEARD: Final = frozenset({OUTCOME_OK, OUTCOME_PARTIAL, OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND})
"""Outcomes by which a platform was heard; only these may speak of an enterprise's records or of their absence."""

_ORDER: Final = (
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_FOUND,
    OUTCOME_NOT_COVERED,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_TOO_LARGE,
    OUTCOME_AUTH_FAILED,
    OUTCOME_QUOTA_EXHAUSTED,
    OUTCOME_RATE_LIMITED,
    OUTCOME_MAINTENANCE,
    OUTCOME_TIMEOUT,
    OUTCOME_UNREACHABLE,
    OUTCOME_BREAKER_OPEN,
    OUTCOME_SKIPPED,
    OUTCOME_CANCELLED,
)
OUTCOME_RANK: Final = {outcome: rank for rank, outcome in enumerate(_ORDER)}
"""The fixed order in which several answers of one platform join: the smaller rank wins."""

# (outcome, cause) pairs that a second attempt can cure; a cause of None stands for every cause not listed as False.
# Sources: RFC 9110 §9.2.2 and §15.6 for idempotent resends, RFC 6585 §4 for 429.
_RETRYABLE: Final[dict[tuple[Outcome.ValueType, str | None], bool]] = {
    (OUTCOME_UNREACHABLE, None): True,
    (OUTCOME_UNREACHABLE, "egress"): False,
    (OUTCOME_TIMEOUT, None): True,
    (OUTCOME_TIMEOUT, "pending"): False,  # the task goes on over there; asking anew would only submit a second one
    (OUTCOME_RATE_LIMITED, None): True,
    (OUTCOME_BAD_ANSWER, "truncated"): True,
    (OUTCOME_BAD_ANSWER, "protocol"): True,
    (OUTCOME_AUTH_FAILED, "token_expired"): True,
}

_UNDISTURBED: Final = frozenset(
    {OUTCOME_OK, OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND, OUTCOME_NOT_COVERED, OUTCOME_NOT_CONSENTED}
)

# Failures that may pass by themselves, so that the bank may usefully ask again later.
_PASSING: Final = frozenset(
    {
        OUTCOME_UNREACHABLE,
        OUTCOME_TIMEOUT,
        OUTCOME_RATE_LIMITED,
        OUTCOME_QUOTA_EXHAUSTED,
        OUTCOME_BREAKER_OPEN,
        OUTCOME_MAINTENANCE,
        OUTCOME_BAD_ANSWER,
        OUTCOME_CANCELLED,
        OUTCOME_SKIPPED,
    }
)
_LASTING: Final = frozenset({(OUTCOME_UNREACHABLE, "egress")})
"""(outcome, cause) pairs among them that do not: a host that the configuration does not declare."""


class Answer(NamedTuple):
    """What one platform said, and how it was fetched.

    `said` is what enters the view; it is never changed after the connector gave it out. `latency_s` counts waits and all
    `attempts`; `fetched_at` is None when nothing was received; `cache_age_s` is None unless a cache answered;
    `retry_after_s` is what the platform asked for;
    `stale_because` is the outcome of the call in whose place a kept answer, older than asked for, stands.
    """

    said: view_pb2.Answer
    latency_s: float = 0.0
    attempts: int = 0
    fetched_at: datetime | None = None
    cache_age_s: float | None = None
    retry_after_s: float | None = None
    detail: str = ""
    stale_because: Outcome.ValueType | None = None

    def lasting(self, latency_s: float) -> Answer:
        """Gives the answer with another latency; every answer gets one, and `_replace` costs three times as much."""
        said, _, *others = self
        return tuple.__new__(Answer, (said, latency_s, *others))

    def again(self, cache_age_s: float) -> Answer:
        """Gives what a cache gives of it: what was said and when it was fetched, without what that took then."""
        return tuple.__new__(Answer, (self.said, 0.0, 0, self.fetched_at, cache_age_s, None, "", None))

    @property
    def platform(self) -> str:
        """Id of the platform."""
        return self.said.platform

    @property
    def outcome(self) -> Outcome.ValueType:
        """How it came out."""
        return self.said.outcome

    @property
    def is_heard(self) -> bool:
        """Whether the platform was heard."""
        return self.said.outcome in HEARD


def failed_answer(
    platform: str,
    outcome: Outcome.ValueType,
    reason: str,
    categories: Iterable[int],
    *,
    raw_digest: bytes = b"",
    retry_after_s: float | None = None,
    attempts: int = 0,
    detail: str = "",
) -> Answer:
    """Gives the answer of a platform that was not heard: every category carries the failure."""
    said = view_pb2.Answer(
        platform=platform,
        outcome=outcome,
        reason=reason,
        raw_digest=raw_digest,
        categories=[
            view_pb2.CategoryAnswer(category=category, outcome=outcome, reason=reason)  # type: ignore[arg-type]
            for category in categories
        ],
    )
    return Answer(said=said, retry_after_s=retry_after_s, attempts=attempts, detail=detail)


@lru_cache(maxsize=16_384)
def category_entry(
    category: int,
    outcome: Outcome.ValueType,
    reason: str = "",
    record_count: int = 0,
    as_of: tuple[int, int] = (0, 0),
    missing_years: tuple[int, ...] = (),
) -> bytes:
    """Gives one entry of `categories`, of an answer and of a view's answer alike, on the wire; `as_of` as in a statement.

    There are few different ones, and every query needs one per platform and category: they are kept.
    """
    entry = view_pb2.CategoryAnswer(
        category=category,  # type: ignore[arg-type]  # enums are ints at run time
        outcome=outcome,
        reason=reason,
        record_count=record_count,
        missing_years=missing_years,
    )
    if as_of != (0, 0):
        entry.as_of.seconds, entry.as_of.nanos = as_of
    return _CATEGORIES(entry.SerializeToString())


_CATEGORIES: Final = delimited(view_pb2.Answer.DESCRIPTOR.fields_by_name["categories"])


def answer_of_error(platform: str, error: PlatformError, categories: Iterable[int]) -> Answer:
    """Turns a platform's failure into its answer: the one place where the exception becomes a value."""
    return failed_answer(
        platform,
        error.outcome,
        error.cause,
        categories,
        raw_digest=error.raw_digest,
        retry_after_s=error.retry_after_s,
        attempts=1,
        detail=error.detail,
    )


def is_retryable(outcome: Outcome.ValueType, reason: str) -> bool:
    """Whether a second attempt can cure the failure."""
    table = _RETRYABLE
    return table.get((outcome, reason), table.get((outcome, None), False))


def may_pass(outcome: Outcome.ValueType, reason: str) -> bool:
    """Whether the failure may pass by itself, so that asking again later is worth while."""
    return is_retryable(outcome, reason) or (outcome in _PASSING and (outcome, reason) not in _LASTING)


def summary_outcome(categories: Sequence[view_pb2.CategoryAnswer]) -> tuple[Outcome.ValueType, str]:
    """Gives the outcome of a whole answer from its categories': what a connector reports when it heard the platform.

    All categories alike give that outcome; something heard beside something failed is PARTIAL with the failure's name as
    reason; nothing heard gives the best-ranked failure.
    """
    outcomes = {category.outcome for category in categories}
    if OUTCOME_OK in outcomes and outcomes <= _UNDISTURBED:
        return OUTCOME_OK, ""
    heard = outcomes & HEARD
    asked = outcomes - {OUTCOME_NOT_COVERED, OUTCOME_NOT_CONSENTED}
    if not heard:
        worst = min(categories, key=lambda c: OUTCOME_RANK[c.outcome])
        return worst.outcome, worst.reason
    failed = asked - HEARD
    if failed or OUTCOME_PARTIAL in heard:
        first = min(
            (c for c in categories if c.outcome in failed or c.outcome == OUTCOME_PARTIAL),
            key=lambda c: (c.category, OUTCOME_RANK[c.outcome]),
        )
        return OUTCOME_PARTIAL, first.reason or Outcome.Name(first.outcome).removeprefix("OUTCOME_").lower()
    if OUTCOME_OK in heard:
        return OUTCOME_OK, ""
    return (OUTCOME_NO_RECORDS, "") if OUTCOME_NO_RECORDS in heard else (OUTCOME_NOT_FOUND, "")
