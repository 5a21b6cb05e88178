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
from gateway.domain.told import Told, told_of, told_of_all
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
    parted = _parted(now.timestamp()) if now is not None else None
    message.MergeFromString(_answer_delivery(answer, told_of(answer), shown, parted, health))


def _answer_delivery(
    answer: Answer,
    told: Told,
    shown: PlatformFigures | None,
    now: _Parted | None,
    health: platform_service_pb2.PlatformHealth.ValueType,
) -> bytes:
    _, latency_s, attempts, fetched_at, cache_age_s, retry_after_s, _, stale_because = answer
    if shown is not None:
        outcome, count = shown.outcome, shown.record_count
    else:
        outcome, count = told.outcome, 0
    written = _unchanging(told.platform, outcome, told.reason, attempts, count, stale_because or 0, health)
    written += _LATENCY(_parted(latency_s)) if latency_s else _NO_LATENCY
    if cache_age_s is not None:
        written += _CACHE_AGE(_parted(cache_age_s))
        if fetched_at is not None:
            written += _kept_since(fetched_at)
    elif fetched_at is not None:
        written += _FETCHED_AT(_parted(fetched_at.timestamp()))
    if retry_after_s is not None:
        written += _RETRY_AFTER(_parted(retry_after_s))
    if now is not None and told.as_of_s is not None:
        age_s = now[0] - told.as_of_s
        written += _DATA_AGE((age_s, now[1]) if age_s >= 0 else (0, b""))
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
    return _FETCHED_AT(_parted(fetched_at.timestamp()))


_Parted: TypeAlias = tuple[int, bytes]
"""Whole seconds, and the field of the nanoseconds beyond them: empty where there are none."""


def _parted(seconds: float) -> _Parted:
    """Parts a duration, or a moment in seconds since 1970, to the microsecond."""
    whole, micros = divmod(round(seconds * 1e6), 1_000_000)
    return whole, b"\x10" + varint(micros * 1000) if micros else b""


@lru_cache(maxsize=1_024)
def _whole(seconds: int) -> bytes:
    """Gives the whole seconds of a duration or a moment; those of one moment are asked for again and again."""
    return b"\x08" + varint(seconds)


def _seconds(field: FieldDescriptor) -> Callable[[_Parted], bytes]:
    """Gives what writes a duration or a moment as that field."""
    heads = short_heads(field)

    def write(parted: _Parted) -> bytes:
        content = _whole(parted[0]) + parted[1]
        return heads[len(content)] + content

    return write


_ANSWER_FIELDS: Final = credit_service_pb2.AnswerDelivery.DESCRIPTOR.fields_by_name
_LATENCY: Final = _seconds(_ANSWER_FIELDS["latency"])
_NO_LATENCY: Final = _LATENCY((0, b""))
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
    now = _parted(admission.at.timestamp())
    written = [
        _ANSWER_ID(answered.answer_id),
        _ADMITTED_AT(now),
        _DEADLINE(_parted(admission.deadline - admission.arrived)),
    ]
    if query.request_id:
        written.append(_REQUEST_ID(query.request_id))
    if is_repeated:
        written.append(_IS_REPEATED(True))
    warnings = query.uscc.warnings
    if warnings:
        written.append(_WARNINGS([warning.value for warning in warnings]))
    if answered.receipt is not None:
        written.append(_EVIDENCE(evidence_bytes(answered.receipt)))
    shown = answered.figures.platforms
    for answer, told in zip(answered.answers, answered.told or told_of_all(answered.answers), strict=True):
        platform = told.platform
        written.append(_ANSWERS(_answer_delivery(answer, told, shown.get(platform), now, health_of(platform))))
    return b"".join(written)
