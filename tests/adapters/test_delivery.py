"""Delivery: what stands beside a view changes from call to call, and the view does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    OUTCOME_TIMEOUT,
    PURPOSE_PRE_LOAN,
    Answer,
    CategoryAnswer,
    CreditView,
    PlatformAnswer,
)
from gateway._pb.xinyidai.gateway.v1 import platform_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import AnswerDelivery, GetCreditViewResponse, ViewDelivery
from gateway.adapters.rpc.delivery import HEALTH, credit_view_bytes, credit_view_response, fill_delivery
from gateway.application.query_credit import CreditAnswer
from gateway.application.story import Admission
from gateway.domain import answer as answers
from gateway.domain.answer import failed_answer
from gateway.domain.figures import figures_of, platform_figures
from gateway.domain.health import Health
from gateway.domain.identifiers import Uscc, uscc_check_character
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
_ODD_17 = QUERY.uscc.value[:16] + "0"  # the check character of the inner code is 6
ODD = Uscc.parse(_ODD_17 + uscc_check_character(_ODD_17))
ADMISSION = Admission(datetime(2026, 11, 25, tzinfo=UTC), 0.0, 10.0)


def test_the_same_view_is_delivered_whatever_the_platform_s_health_is() -> None:
    view = CreditView(view_id="v-1", answers=[PlatformAnswer(platform="a", outcome=OUTCOME_OK)])
    answered = CreditAnswer(
        "a-1", Merged.of(view), figures_of(view), (failed_answer("a", OUTCOME_OK, "", (5,), attempts=1),)
    )

    good = credit_view_response(answered, QUERY, ADMISSION, lambda _: pb.PLATFORM_HEALTH_GOOD)
    bad = credit_view_response(answered, QUERY, ADMISSION, lambda _: pb.PLATFORM_HEALTH_BAD)

    assert good.view.SerializeToString(deterministic=True) == bad.view.SerializeToString(deterministic=True)
    assert [response.delivery.answers[0].health for response in (good, bad)] == [
        pb.PLATFORM_HEALTH_GOOD,
        pb.PLATFORM_HEALTH_BAD,
    ]


def test_every_verdict_has_its_value_in_the_contract() -> None:
    assert set(HEALTH) == set(Health)
    assert set(HEALTH.values()) == set(pb.PlatformHealth.values()) - {pb.PLATFORM_HEALTH_UNSPECIFIED}


def test_a_delivery_says_how_the_answer_was_fetched_and_how_old_it_is() -> None:
    said = Answer(platform="a", outcome=OUTCOME_OK, reason="r")
    said.as_of.FromDatetime(datetime(2026, 11, 24, 23, tzinfo=UTC))
    answer = answers.Answer(
        said,
        latency_s=1.25,
        attempts=2,
        fetched_at=datetime(2026, 11, 24, 23, 59, 59, 500_000, tzinfo=UTC),
        cache_age_s=0.5,
        retry_after_s=3.0,
        stale_because=OUTCOME_TIMEOUT,
    )
    shown = PlatformAnswer(
        platform="a",
        outcome=OUTCOME_PARTIAL,
        categories=[CategoryAnswer(record_count=2), CategoryAnswer(record_count=300)],
    )
    delivery = AnswerDelivery()

    fill_delivery(delivery, answer, platform_figures(shown), now=ADMISSION.at, health=pb.PLATFORM_HEALTH_GOOD)

    assert delivery == AnswerDelivery(
        platform="a",
        outcome=OUTCOME_PARTIAL,
        reason="r",
        latency=Duration(seconds=1, nanos=250_000_000),
        attempts=2,
        fetched_at=Timestamp(seconds=1_795_564_799, nanos=500_000_000),
        cache_age=Duration(nanos=500_000_000),
        retry_after=Duration(seconds=3),
        record_count=302,
        data_age=Duration(seconds=3600),
        stale_because=OUTCOME_TIMEOUT,
        health=pb.PLATFORM_HEALTH_GOOD,
    )


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize("is_repeated", [True, False])
@pytest.mark.parametrize("request_id", ["", "请求-1"])
def test_the_bytes_are_those_of_the_message_with_every_field_of_the_delivery(
    encoded: bool, is_repeated: bool, request_id: str
) -> None:
    view = CreditView(view_id="v-1", answers=[PlatformAnswer(platform="a", outcome=OUTCOME_OK)])
    answer = failed_answer("a", OUTCOME_OK, "", (5,), attempts=1)
    answered = CreditAnswer(
        "a-1", Merged.of(view), figures_of(view), (answer,), view.SerializeToString() if encoded else b""
    )
    query = replace(QUERY, request_id=request_id, uscc=ODD)

    raw = credit_view_bytes(answered, query, ADMISSION, lambda _: pb.PLATFORM_HEALTH_GOOD, is_repeated=is_repeated)
    message = credit_view_response(
        answered, query, ADMISSION, lambda _: pb.PLATFORM_HEALTH_GOOD, is_repeated=is_repeated
    )

    assert GetCreditViewResponse.FromString(raw) == message
    assert message.delivery == ViewDelivery(
        answer_id="a-1",
        request_id=request_id,
        admitted_at=Timestamp(seconds=1_795_564_800),
        deadline=Duration(seconds=10),
        answers=[
            AnswerDelivery(
                platform="a", outcome=OUTCOME_OK, attempts=1, latency=Duration(), health=pb.PLATFORM_HEALTH_GOOD
            )
        ],
        warnings=["inner_check"],
        is_repeated=is_repeated,
    )
