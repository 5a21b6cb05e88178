"""Answers out: what stands beside a view since it differs from call to call (ids, latencies, ages)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf import duration_pb2, timestamp_pb2

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PlatformAnswer
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, platform_service_pb2
from gateway.application.query_credit import Admission, CreditAnswer
from gateway.domain.answer import Answer
from gateway.domain.health import Health
from gateway.domain.query import CreditQuery
from gateway.domain.wire import delimited, short_heads, varint

_ANSWERS: Final = delimited(credit_service_pb2.ViewDelivery.DESCRIPTOR.fields_by_name["answers"])
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
    message.MergeFromString(_answer_delivery(answer, shown, now, health))


def _answer_delivery(
    answer: Answer,
    shown: PlatformAnswer | None,
    now: datetime | None,
    health: platform_service_pb2.PlatformHealth.ValueType,
) -> bytes:
    said = answer.said
    outcome = shown.outcome if shown is not None else said.outcome
    count = sum([category.record_count for category in shown.categories]) if shown is not None else 0
    written = _unchanging(
        said.platform, outcome, said.reason, answer.attempts, count, answer.stale_because or 0, health
    ) + _LATENCY(answer.latency_s)
    if answer.fetched_at is not None:
        written += _FETCHED_AT(answer.fetched_at.timestamp())
    if answer.cache_age_s is not None:
        written += _CACHE_AGE(answer.cache_age_s)
    if answer.retry_after_s is not None:
        written += _RETRY_AFTER(answer.retry_after_s)
    if now is not None and said.HasField("as_of"):
        written += _DATA_AGE(max(0.0, now.timestamp() - said.as_of.seconds))
    return written


@lru_cache(maxsize=16_384)
def _unchanging(
    platform: str, outcome: int, reason: str, attempts: int, record_count: int, stale_because: int, health: int
) -> bytes:
    """Gives what is alike from call to call: there are few different ones, so they are kept."""
    return credit_service_pb2.AnswerDelivery(
        platform=platform,
        outcome=outcome,  # type: ignore[arg-type]  # enums are ints at run time
        reason=reason,
        attempts=attempts,
        record_count=record_count,
        stale_because=stale_because,  # type: ignore[arg-type]
        health=health,  # type: ignore[arg-type]
    ).SerializeToString()


def _seconds(name: str) -> Callable[[float], bytes]:
    """Gives what writes a duration, or a moment in seconds since 1970, as that field of an answer's delivery."""
    heads = short_heads(credit_service_pb2.AnswerDelivery.DESCRIPTOR.fields_by_name[name])

    def write(seconds: float) -> bytes:
        whole, micros = divmod(round(seconds * 1e6), 10**6)
        content = b"\x08" + varint(whole)  # seconds, in both messages
        if micros:
            content += b"\x10" + varint(micros * 1000)  # nanos
        return heads[len(content)] + content

    return write


_LATENCY: Final = _seconds("latency")
_FETCHED_AT: Final = _seconds("fetched_at")
_CACHE_AGE: Final = _seconds("cache_age")
_RETRY_AFTER: Final = _seconds("retry_after")
_DATA_AGE: Final = _seconds("data_age")


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
    delivery.MergeFromString(
        b"".join(
            [
                _ANSWERS(_answer_delivery(answer, shown.get(answer.platform), admission.at, health_of(answer.platform)))
                for answer in answered.answers
            ]
        )
    )
