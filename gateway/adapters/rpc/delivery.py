"""Answers out: what stands beside a view since it differs from call to call (ids, latencies, ages)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias

from google.protobuf import duration_pb2, timestamp_pb2

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PlatformAnswer
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, platform_service_pb2
from gateway.application.query_credit import Admission, CreditAnswer
from gateway.domain.answer import Answer
from gateway.domain.health import Health
from gateway.domain.query import CreditQuery
from gateway.domain.wire import delimited

_VIEW: Final = delimited(credit_service_pb2.GetCreditViewResponse.DESCRIPTOR.fields_by_name["view"])

HEALTH: Final = {
    health: platform_service_pb2.PlatformHealth.Value(f"PLATFORM_HEALTH_{health.value}") for health in Health
}
"""The contract's value for each verdict."""

HealthOf: TypeAlias = Callable[[str], platform_service_pb2.PlatformHealth.ValueType]
"""What gives a platform's health by its id."""


def timestamp(target: timestamp_pb2.Timestamp, moment: datetime) -> None:
    """Sets a timestamp message; the library's own setter is written in Python and many times slower."""
    micros = round(moment.timestamp() * 1e6)
    target.seconds = micros // 10**6
    target.nanos = micros % 10**6 * 1000


def duration(target: duration_pb2.Duration, seconds: float) -> None:
    """Sets a duration message."""
    nanos = round(seconds * 1e9)
    target.seconds = nanos // 10**9
    target.nanos = nanos % 10**9


def fill_delivery(
    message: credit_service_pb2.AnswerDelivery,
    answer: Answer,
    shown: PlatformAnswer | None,
    *,
    now: datetime | None = None,
    health: platform_service_pb2.PlatformHealth.ValueType = platform_service_pb2.PLATFORM_HEALTH_UNSPECIFIED,
) -> None:
    """Says how one answer was fetched; with the view's own entry, counts and outcome are those the view shows."""
    said = answer.said
    message.platform = said.platform
    message.outcome = shown.outcome if shown is not None else said.outcome
    message.reason = said.reason
    duration(message.latency, answer.latency_s)
    message.attempts = answer.attempts
    if health:
        message.health = health
    if shown is not None:
        message.record_count = sum([category.record_count for category in shown.categories])
    if answer.fetched_at is not None:
        timestamp(message.fetched_at, answer.fetched_at)
    if answer.cache_age_s is not None:
        duration(message.cache_age, answer.cache_age_s)
    if answer.stale_because is not None:
        message.stale_because = answer.stale_because
    if answer.retry_after_s is not None:
        duration(message.retry_after, answer.retry_after_s)
    if now is not None and said.HasField("as_of"):
        duration(message.data_age, max(0.0, now.timestamp() - said.as_of.seconds))


def credit_view_response(
    answered: CreditAnswer,
    query: CreditQuery,
    admission: Admission,
    health_of: HealthOf,
    *,
    is_repeated: bool = False,
) -> credit_service_pb2.GetCreditViewResponse:
    """Gives the response of one answered query."""
    response = credit_service_pb2.GetCreditViewResponse()
    response.view.CopyFrom(answered.view)
    _fill_view_delivery(response.delivery, answered, query, admission, health_of, is_repeated=is_repeated)
    return response


def credit_view_bytes(
    answered: CreditAnswer,
    query: CreditQuery,
    admission: Admission,
    health_of: HealthOf,
    *,
    is_repeated: bool = False,
) -> bytes:
    """Gives the same response as bytes, the view's own among them: it is neither copied nor, where kept, serialised."""
    response = credit_service_pb2.GetCreditViewResponse()
    _fill_view_delivery(response.delivery, answered, query, admission, health_of, is_repeated=is_repeated)
    return _VIEW(answered.encoded or answered.view.SerializeToString()) + response.SerializeToString()


def _fill_view_delivery(
    delivery: credit_service_pb2.ViewDelivery,
    answered: CreditAnswer,
    query: CreditQuery,
    admission: Admission,
    health_of: HealthOf,
    *,
    is_repeated: bool,
) -> None:
    delivery.answer_id = answered.answer_id
    delivery.request_id = query.request_id
    timestamp(delivery.admitted_at, admission.at)
    duration(delivery.deadline, admission.deadline - admission.arrived)
    delivery.is_repeated = is_repeated
    if query.uscc.warnings:
        delivery.warnings.extend([warning.value for warning in query.uscc.warnings])
    shown = {entry.platform: entry for entry in answered.view.answers}
    deliveries = delivery.answers
    for answer in answered.answers:
        platform = answer.platform
        fill_delivery(deliveries.add(), answer, shown.get(platform), now=admission.at, health=health_of(platform))
