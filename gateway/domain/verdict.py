"""Whether the heard platforms suffice for a view (design: errors and statuses), as a pure rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_NOT_FOUND,
    OUTCOME_SKIPPED,
)
from gateway.domain.answer import HEARD, Answer, may_pass
from gateway.domain.errors import DeadlineError, Reason, UnansweredError
from gateway.domain.query import CreditQuery

DEFAULT_RETRY_AFTER_S = 5.0
DEADLINE_TOO_SHORT: Final = "deadline_too_short"
"""Why a platform was not asked when the time left was too short for one attempt."""
_UNKNOWN: Final = frozenset({OUTCOME_NOT_FOUND})
NOTHING_TO_ASK: Final = frozenset({OUTCOME_NOT_COVERED, OUTCOME_NOT_CONSENTED})
"""Outcomes of platforms that were not asked since there was nothing to ask them."""


def obstacle(query: CreditQuery, answers: Sequence[Answer]) -> UnansweredError | DeadlineError | None:
    """Gives why no view may be given, None when one may.

    A deadline too short to ask anyone comes first, then a required platform not heard or a quorum missed, then nobody
    heard, then an enterprise that every asked platform was heard not to know.
    """
    outcomes = {answer.said.outcome for answer in answers}
    if outcomes <= HEARD and outcomes - _UNKNOWN and len(answers) >= query.quorum:
        return None  # all were heard, and so were those required: the way of nearly every query
    heard = [answer for answer in answers if answer.is_heard]
    unheard = [answer for answer in answers if not answer.is_heard]
    askable = [answer for answer in unheard if answer.outcome not in NOTHING_TO_ASK]
    if askable and not heard and all(map(_had_no_time, askable)):
        return DeadlineError("the deadline is too short to ask any platform")
    missing = [answer for answer in unheard if answer.platform in query.required]
    if missing:
        names = ", ".join(answer.platform for answer in missing)
        return _unanswered(Reason.REQUIRED_PLATFORM_MISSING, f"required but not heard: {names}", answers, missing)
    if not heard:
        return _unanswered(Reason.NO_PLATFORM_HEARD, "none of the asked platforms was heard", answers, unheard)
    if len(heard) < query.quorum:
        return _unanswered(
            Reason.QUORUM_MISSED,
            f"{len(heard)} of the {query.quorum} platforms of the quorum were heard",
            answers,
            unheard,
        )
    if not unheard and all(answer.outcome == OUTCOME_NOT_FOUND for answer in heard):
        return UnansweredError(
            Reason.ENTERPRISE_NOT_FOUND,
            "every asked platform was heard and none knows the enterprise",
            answers,
        )
    return None


def _had_no_time(answer: Answer) -> bool:
    return answer.outcome == OUTCOME_SKIPPED and answer.said.reason == DEADLINE_TOO_SHORT


def _unanswered(reason: Reason, message: str, answers: Sequence[Answer], causes: Sequence[Answer]) -> UnansweredError:
    waits = [answer.retry_after_s for answer in causes if answer.retry_after_s is not None]
    is_retryable = any(may_pass(answer.outcome, answer.said.reason) for answer in causes)
    return UnansweredError(
        reason,
        message,
        answers,
        is_retryable=is_retryable,
        is_consent_missing=any(answer.outcome == OUTCOME_NOT_CONSENTED for answer in causes),
        retry_after_s=max(waits, default=DEFAULT_RETRY_AFTER_S) if is_retryable else None,
    )
