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
from gateway.domain.wire import delimited, encoder, heads, short_heads, varint

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
    now: tuple[int, bytes] | None,
    health: platform_service_pb2.PlatformHealth.ValueType,
) -> bytes:
    _, latency_s, attempts, fetched_at, cache_age_s, retry_after_s, _, stale_because = answer
    outcome, count = (shown.outcome, shown.record_count) if shown is not None else (told.outcome, 0)
    # In pieces, joined once: each `+` would copy what there is.
    if cache_age_s is not None:
        alike = _kept(told.platform, outcome, told.reason, attempts, count, stale_because, health, fetched_at)
        written = [alike, *_CACHE_AGE(cache_age_s)]
    else:
        written = [_unchanging(told.platform, outcome, told.reason, attempts, count, stale_because, health)]
        if fetched_at is not None:
            written += _FETCHED_AT(fetched_at.timestamp())
    if latency_s:
        written += _LATENCY(latency_s)
    else:
        written.append(_NO_LATENCY)
    if retry_after_s is not None:
        written += _RETRY_AFTER(retry_after_s)
    as_of_s = told.as_of_s
    if now is not None and as_of_s is not None:
        age_s = now[0] - as_of_s
        written += _DATA_AGE(_whole(age_s), now[1]) if age_s >= 0 else _DATA_AGE(_whole(0), b"")
    return b"".join(written)


@lru_cache(maxsize=16_384)
def _unchanging(
    platform: str, outcome: int, reason: str, attempts: int, record_count: int, stale_because: int | None, health: int
) -> bytes:
    """Gives what is alike from call to call: there are few different ones, so they are kept."""
    return credit_service_pb2.AnswerDelivery(
        platform=platform,
        outcome=outcome,  # type: ignore[arg-type]  # enums are ints at run time
        reason=reason,
        attempts=attempts,
        record_count=record_count,
        stale_because=stale_because or 0,  # type: ignore[arg-type]
        health=health,  # type: ignore[arg-type]
    ).SerializeToString()


@lru_cache(maxsize=16_384)
def _kept(
    platform: str,
    outcome: int,
    reason: str,
    attempts: int,
    record_count: int,
    stale_because: int | None,
    health: int,
    fetched_at: datetime | None,
) -> bytes:
    """Gives the same of a kept answer, with when it was fetched: the same moment whenever it is given again."""
    written = _unchanging(platform, outcome, reason, attempts, record_count, stale_because, health)
    return written if fetched_at is None else b"".join((written, *_FETCHED_AT(fetched_at.timestamp())))


_Pieces: TypeAlias = tuple[bytes, bytes, bytes]
"""A duration or a moment as a field: tag and length, the whole seconds, the nanoseconds beyond them."""


@lru_cache(maxsize=1_024)
def _whole(seconds: int) -> bytes:
    """Gives the whole seconds of a duration or a moment; those of one moment are asked for again and again."""
    return b"\x08" + varint(seconds)


def _parted(seconds: float) -> tuple[int, bytes]:
    """Gives the whole seconds, and what is written of the nanoseconds beyond them, to the microsecond."""
    whole, micros = divmod(round(seconds * 1e6), 1_000_000)
    return whole, b"\x10" + varint(micros * 1000) if micros else b""


def _pieces(field: FieldDescriptor) -> Callable[[bytes, bytes], _Pieces]:
    """Gives what writes whole seconds and nanoseconds as that field."""
    heads = short_heads(field)
    return lambda whole, nanos: (heads[len(whole) + len(nanos)], whole, nanos)


def _seconds(field: FieldDescriptor) -> Callable[[float], _Pieces]:
    """Gives what writes a duration, or a moment in seconds since 1970, as that field."""
    heads = short_heads(field)

    def write(seconds: float) -> _Pieces:
        second, nanos = _parted(seconds)
        whole = _whole(second)
        return heads[len(whole) + len(nanos)], whole, nanos

    return write


_ANSWER_FIELDS: Final = credit_service_pb2.AnswerDelivery.DESCRIPTOR.fields_by_name
_LATENCY: Final = _seconds(_ANSWER_FIELDS["latency"])
_NO_LATENCY: Final = b"".join(_LATENCY(0))
_FETCHED_AT: Final = _seconds(_ANSWER_FIELDS["fetched_at"])
_CACHE_AGE: Final = _seconds(_ANSWER_FIELDS["cache_age"])
_RETRY_AFTER: Final = _seconds(_ANSWER_FIELDS["retry_after"])
_DATA_AGE: Final = _pieces(_ANSWER_FIELDS["data_age"])

_FIELDS: Final = credit_service_pb2.ViewDelivery.DESCRIPTOR.fields_by_name
_ANSWER_ID: Final = delimited(_FIELDS["answer_id"])
_REQUEST_ID: Final = encoder(_FIELDS["request_id"])
_ADMITTED_AT: Final = _pieces(_FIELDS["admitted_at"])
_DEADLINE: Final = _seconds(_FIELDS["deadline"])
_ANSWERS: Final = delimited(_FIELDS["answers"])
_WARNINGS: Final = encoder(_FIELDS["warnings"])
_IS_REPEATED: Final = encoder(_FIELDS["is_repeated"])
_EVIDENCE: Final = delimited(_FIELDS["evidence"])
_VIEW: Final = heads(credit_service_pb2.GetCreditViewResponse.DESCRIPTOR.fields_by_name["view"])
_DELIVERY: Final = heads(credit_service_pb2.GetCreditViewResponse.DESCRIPTOR.fields_by_name["delivery"])


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
    delivery = _view_delivery(answered, query, admission, health_of, is_repeated=is_repeated)
    return b"".join((_VIEW(len(view)), view, _DELIVERY(len(delivery)), delivery))


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
        _ANSWER_ID(answered.answer_id.encode()),
        *_ADMITTED_AT(_whole(now[0]), now[1]),
        *_DEADLINE(admission.deadline - admission.arrived),
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
        platform = told[0]
        written.append(_ANSWERS(_answer_delivery(answer, told, shown.get(platform), now, health_of(platform))))
    return b"".join(written)
