"""Delivery: what stands beside a view changes from call to call, and the view does not."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, PURPOSE_PRE_LOAN, CreditView, PlatformAnswer
from gateway._pb.xinyidai.gateway.v1 import platform_service_pb2 as pb
from gateway.adapters.rpc.delivery import HEALTH, credit_view_response
from gateway.application.query_credit import Admission, CreditAnswer
from gateway.domain.answer import failed_answer
from gateway.domain.health import Health
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery

QUERY = CreditQuery(Uscc.parse("91310115MA0TERT167"), PURPOSE_PRE_LOAN, (5,), ("a",))
ADMISSION = Admission(datetime(2026, 11, 25, tzinfo=UTC), 0.0, 10.0)


def test_the_same_view_is_delivered_whatever_the_platform_s_health_is() -> None:
    view = CreditView(view_id="v-1", answers=[PlatformAnswer(platform="a", outcome=OUTCOME_OK)])
    answered = CreditAnswer("a-1", view, (failed_answer("a", OUTCOME_OK, "", (5,), attempts=1),))

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
