"""Answers out: what stands beside a view since it differs from call to call (ids, latencies, ages)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, platform_service_pb2
from gateway.adapters.rpc.evidence import evidence_bytes
from gateway.application.query_credit import Admission, CreditAnswer
from gateway.domain.answer import Answer
from gateway.domain.figures import PlatformFigures
from gateway.domain.health import Health
from gateway.domain.query import CreditQuery
from gateway.domain.wire import delimited, encoder, short_heads, varint

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
    shown: PlatformFigures | None,
    *,
    now: datetime | None = None,
    health: platform_service_pb2.PlatformHealth.ValueType = platform_service_pb2.PLATFORM_HEALTH_UNSPECIFIED,
) -> None:
    """Says how one answer was fetched; with the view's own figures, counts and outcome are those the view shows."""
    message.MergeFromString(_answer_delivery(answer, shown, now.timestamp() if now is not None else None, health))


def _answer_delivery(
    answer: Answer,
    shown: PlatformFigures | None,
    now_s: float | None,
    health: platform_service_pb2.PlatformHealth.ValueType,
) -> bytes:
    said, latency_s, attempts, fetched_at, cache_age_s, retry_after_s, _, stale_because = answer
    if shown is not None:
        outcome, count = shown.outcome, shown.record_count
    else:
        outcome, count = said.outcome, 0
    written = _unchanging(said.platform, outcome, said.reason, attempts, count, stale_because or 0, health)
    written += _LATENCY(latency_s) if latency_s else _NO_LATENCY
    if cache_age_s is not None:
        written += _CACHE_AGE(cache_age_s)
        if fetched_at is not None:
            written += _kept_since(fetched_at)
    elif fetched_at is not None:
        written += _FETCHED_AT(fetched_at.timestamp())
    if retry_after_s is not None:
        written += _RETRY_AFTER(retry_after_s)
    if now_s is not None and said.HasField("as_of"):
        written += _DATA_AGE(max(0.0, now_s - said.as_of.seconds))
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


@lru_cache(maxsize=16_384)
def _kept_since(fetched_at: datetime) -> bytes:
    """Gives when a kept answer was fetched: the same moment whenever it is given again."""
    return _FETCHED_AT(fetched_at.timestamp())


@lru_cache(maxsize=1_024)
def _whole(seconds: int) -> bytes:
    """Gives the whole seconds of a duration or a moment; those of one moment are asked for again and again."""
    return b"\x08" + varint(seconds)


def _seconds(field: FieldDescriptor) -> Callable[[float], bytes]:
    """Gives what writes a duration, or a moment in seconds since 1970, as that field."""
    heads = short_heads(field)

    def write(seconds: float) -> bytes:
        micros = round(seconds * 1e6)
        whole = micros // 1_000_000
        content = _whole(whole)
        if micros := micros - whole * 1_000_000:
            content += b"\x10" + varint(micros * 1000)  # nanos
        return heads[len(content)] + content

    return write


_ANSWER_FIELDS: Final = credit_service_pb2.AnswerDelivery.DESCRIPTOR.fields_by_name
_LATENCY: Final = _seconds(_ANSWER_FIELDS["latency"])
_NO_LATENCY: Final = _LATENCY(0.0)
_FETCHED_AT: Final = _seconds(_ANSWER_FIELDS["fetched_at"])
_CACHE_AGE: Final = _seconds(_ANSWER_FIELDS["cache_age"])
_RETRY_AFTER: Final = _seconds(_ANSWER_FIELDS["retry_after"])
_DATA_AGE: Final = _seconds(_ANSWER_FIELDS["data_age"])

_FIELDS: Final = credit_service_pb2.ViewDelivery.DESCRIPTOR.fields_by_name
_ANSWER_ID: Final = encoder(_FIELDS["answer_id"])
_REQUEST_ID: Final = encoder(_FIELDS["request_id"])
_ADMITTED_AT: Final = _seconds(_FIELDS["admitted_at"])
_DEADLINE: Final = _seconds(_FIELDS["deadline"])
_ANSWERS: Final = delimited(_FIELDS["answers"])
_WARNINGS: Final = encoder(_FIELDS["warnings"])
_IS_REPEATED: Final = encoder(_FIELDS["is_repeated"])
_EVIDENCE: Final = delimited(_FIELDS["evidence"])
_VIEW: Final = delimited(credit_service_pb2.GetCreditViewResponse.DESCRIPTOR.fields_by_name["view"])
_DELIVERY: Final = delimited(credit_service_pb2.GetCreditViewResponse.DESCRIPTOR.fields_by_name["delivery"])


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
    response.delivery.MergeFromString(_view_delivery(answered, query, admission, health_of, is_repeated=is_repeated))
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
    view = answered.encoded or answered.view.SerializeToString()
    return _VIEW(view) + _DELIVERY(_view_delivery(answered, query, admission, health_of, is_repeated=is_repeated))


def _view_delivery(
    answered: CreditAnswer,
    query: CreditQuery,
    admission: Admission,
    health_of: HealthOf,
    *,
    is_repeated: bool,
) -> bytes:
    now_s = admission.at.timestamp()
    written = [
        _ANSWER_ID(answered.answer_id),
        _ADMITTED_AT(now_s),
        _DEADLINE(admission.deadline - admission.arrived),
    ]
    if query.request_id:
        written.append(_REQUEST_ID(query.request_id))
    if is_repeated:
        written.append(_IS_REPEATED(True))
    if query.uscc.warnings:
        written.append(_WARNINGS([warning.value for warning in query.uscc.warnings]))
    if answered.receipt is not None:
        written.append(_EVIDENCE(evidence_bytes(answered.receipt)))
    shown = answered.figures.platforms
    for answer in answered.answers:
        platform = answer.said.platform
        written.append(_ANSWERS(_answer_delivery(answer, shown.get(platform), now_s, health_of(platform))))
    return b"".join(written)
