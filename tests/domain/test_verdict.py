"""Whether the heard platforms suffice for a view."""

from __future__ import annotations

import pytest

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_REGISTRATION
from gateway.adapters.rpc.status import status_of
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.errors import DeadlineError, Reason, UnansweredError
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.domain.verdict import DEADLINE_TOO_SHORT, DEFAULT_RETRY_AFTER_S, obstacle

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), 1, (CATEGORY_REGISTRATION,), ("anhui", "shanghai", "zhejiang"))


def failed(platform: str, outcome: view_pb2.Outcome.ValueType, reason: str = "") -> Answer:
    return failed_answer(platform, outcome, reason, QUERY.categories)


def heard(platform: str, outcome: view_pb2.Outcome.ValueType = view_pb2.OUTCOME_OK) -> Answer:
    return Answer(view_pb2.Answer(platform=platform, outcome=outcome))


def test_one_platform_heard_suffices() -> None:
    answers = [heard("anhui"), failed("shanghai", view_pb2.OUTCOME_TIMEOUT)]

    assert obstacle(QUERY, answers) is None


def test_a_deadline_too_short_for_every_platform_is_the_callers_not_the_platforms() -> None:
    answers = [
        failed("anhui", view_pb2.OUTCOME_NOT_COVERED),
        failed("shanghai", view_pb2.OUTCOME_SKIPPED, DEADLINE_TOO_SHORT),
        failed("zhejiang", view_pb2.OUTCOME_SKIPPED, DEADLINE_TOO_SHORT),
    ]

    assert isinstance(obstacle(QUERY, answers), DeadlineError)


def test_one_platform_that_failed_beside_a_short_deadline_is_named_as_unheard() -> None:
    answers = [
        failed("anhui", view_pb2.OUTCOME_UNREACHABLE, "connect"),
        failed("shanghai", view_pb2.OUTCOME_SKIPPED, DEADLINE_TOO_SHORT),
    ]

    found = obstacle(QUERY, answers)

    assert isinstance(found, UnansweredError)
    assert found.reason is Reason.NO_PLATFORM_HEARD


def test_platforms_that_cover_nothing_are_no_short_deadline() -> None:
    answers = [failed(platform, view_pb2.OUTCOME_NOT_COVERED) for platform in QUERY.platforms]

    found = obstacle(QUERY, answers)

    assert isinstance(found, UnansweredError)
    assert found.reason is Reason.NO_PLATFORM_HEARD


def test_an_enterprise_no_platform_knows_is_not_found() -> None:
    answers = [heard(platform, view_pb2.OUTCOME_NOT_FOUND) for platform in QUERY.platforms]

    found = obstacle(QUERY, answers)

    assert isinstance(found, UnansweredError)
    assert found.reason is Reason.ENTERPRISE_NOT_FOUND


@pytest.mark.parametrize(
    ("outcome", "reason", "retry_after_s"),
    [
        (view_pb2.OUTCOME_AUTH_FAILED, "signature", None),
        (view_pb2.OUTCOME_AUTH_FAILED, "token_expired", DEFAULT_RETRY_AFTER_S),
        (view_pb2.OUTCOME_TOO_LARGE, "body", None),
        (view_pb2.OUTCOME_UNREACHABLE, "egress", None),
        (view_pb2.OUTCOME_TIMEOUT, "pending", DEFAULT_RETRY_AFTER_S),
    ],
)
def test_a_refusal_says_when_to_ask_again_only_where_that_can_help(
    outcome: view_pb2.Outcome.ValueType, reason: str, retry_after_s: float | None
) -> None:
    answers = [
        failed("anhui", view_pb2.OUTCOME_NOT_COVERED),
        failed("shanghai", view_pb2.OUTCOME_AUTH_FAILED, "tls_certificate"),
        failed("zhejiang", outcome, reason),
    ]

    found = obstacle(QUERY, answers)

    assert isinstance(found, UnansweredError)
    assert (found.reason, found.retry_after_s) == (Reason.NO_PLATFORM_HEARD, retry_after_s)
    details = [detail.TypeName() for detail in status_of(found).details]
    assert ("google.rpc.RetryInfo" in details) == (retry_after_s is not None)
