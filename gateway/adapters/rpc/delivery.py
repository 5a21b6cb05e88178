"""Answers out: what stands beside a view since it differs from call to call (ids, latencies, ages).

There are few kinds of deliveries: the same platforms, come out alike. Each kind has one form, a message with what it says
written in, and blanks for the numbers: to fill those in costs a third of a message made anew. A form is filled in and
serialised without anything awaited in between, so that one serves all calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

from google.protobuf import duration_pb2, timestamp_pb2

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, platform_service_pb2
from gateway.adapters.rpc.evidence import evidence_bytes
from gateway.application.query_credit import CreditAnswer
from gateway.application.story import Admission
from gateway.domain.answer import Answer
from gateway.domain.figures import PlatformFigures
from gateway.domain.health import Health
from gateway.domain.query import CreditQuery
from gateway.domain.told import Told, told_of, told_of_all
from gateway.domain.wire import delimited, encoder, heads

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
    told = told_of(answer)
    kind = _kind(answer, told, shown, health, is_dated=now is not None and told.as_of_s is not None)
    _AnswerForm(message, kind).fill(answer, told, shown, _parted(now.timestamp()) if now is not None else (0, 0))


_Kind: TypeAlias = tuple[str, int, str, int, int, int, bool, bool, bool, bool, bool]
"""What is alike of answers from call to call, and which times they have: see `_AnswerForm`."""


def _kind(answer: Answer, told: Told, shown: PlatformFigures | None, health: int, *, is_dated: bool) -> _Kind:
    _, latency_s, attempts, fetched_at, cache_age_s, retry_after_s, _, stale_because = answer
    return (
        told.platform,
        told.outcome if shown is None else shown.outcome,
        told.reason,
        attempts,
        stale_because or 0,
        health,
        latency_s != 0.0,
        fetched_at is not None,
        cache_age_s is not None,
        retry_after_s is not None,
        is_dated,
    )


class _AnswerForm:
    """What is said of one answer of a kind, but for its numbers."""

    __slots__ = ("_cache_age", "_data_age", "_fetched_at", "_latency", "_message", "_retry_after")

    def __init__(self, message: credit_service_pb2.AnswerDelivery, kind: _Kind) -> None:
        platform, outcome, reason, attempts, stale_because, health, *has = kind
        has_latency, is_fetched, is_kept, is_put_off, is_dated = has
        message.platform = platform
        message.outcome = outcome  # type: ignore[assignment]  # enums are ints at run time
        message.reason = reason
        message.attempts = attempts
        message.stale_because = stale_because  # type: ignore[assignment]
        message.health = health  # type: ignore[assignment]
        message.latency.SetInParent()
        self._message = message
        self._latency = message.latency if has_latency else None
        self._fetched_at = _present(message.fetched_at) if is_fetched else None
        self._cache_age = _present(message.cache_age) if is_kept else None
        self._retry_after = _present(message.retry_after) if is_put_off else None
        self._data_age = _present(message.data_age) if is_dated else None

    def fill(self, answer: Answer, told: Told, shown: PlatformFigures | None, now: _Parted) -> None:
        """Fills in an answer's numbers; `now` is when its query was admitted."""
        _, latency_s, _, fetched_at, cache_age_s, retry_after_s, _, _ = answer
        self._message.record_count = 0 if shown is None else shown.record_count
        blank = self._latency
        if blank is not None:
            blank.seconds, blank.nanos = _parted(latency_s)
        fetched = self._fetched_at
        if fetched is not None and fetched_at is not None:
            fetched.seconds, fetched.nanos = _moment(fetched_at)
        blank = self._cache_age
        if blank is not None and cache_age_s is not None:
            blank.seconds, blank.nanos = _parted(cache_age_s)
        blank = self._retry_after
        if blank is not None and retry_after_s is not None:
            blank.seconds, blank.nanos = _parted(retry_after_s)
        blank, as_of_s = self._data_age, told.as_of_s
        if blank is not None and as_of_s is not None:
            seconds, nanos = now
            blank.seconds, blank.nanos = (seconds - as_of_s, nanos) if seconds >= as_of_s else (0, 0)


_Time = TypeVar("_Time", duration_pb2.Duration, timestamp_pb2.Timestamp)


def _present(time: _Time) -> _Time:
    time.SetInParent()
    return time


_Parted: TypeAlias = tuple[int, int]
"""Whole seconds, and the nanoseconds beyond them."""


def _parted(seconds: float) -> _Parted:
    """Parts a duration, or a moment in seconds since 1970, to the microsecond."""
    whole, micros = divmod(round(seconds * 1e6), 1_000_000)
    return whole, micros * 1000


@lru_cache(maxsize=16_384)
def _moment(at: datetime) -> _Parted:
    """Parts a moment: that of a kept answer is the same whenever it is given again."""
    return _parted(at.timestamp())


class _Form:
    """What is said beside a view of answers of some kinds, but for its numbers."""

    __slots__ = ("_admitted_at", "_answers", "_deadline", "_message")

    def __init__(self, kinds: tuple[_Kind, ...]) -> None:
        self._message = message = credit_service_pb2.ViewDelivery()
        self._admitted_at = _present(message.admitted_at)
        self._deadline = _present(message.deadline)
        self._answers = [_AnswerForm(message.answers.add(), kind) for kind in kinds]

    def filled(self, answered: CreditAnswer, tolds: Sequence[Told], admission: Admission) -> bytes:
        """Gives the bytes of a delivery of these kinds of answers."""
        message = self._message
        message.answer_id = answered.answer_id
        now = _parted(admission.at.timestamp())
        admitted_at, deadline = self._admitted_at, self._deadline
        admitted_at.seconds, admitted_at.nanos = now
        deadline.seconds, deadline.nanos = _parted(admission.deadline - admission.arrived)
        shown = answered.figures.platforms
        for form, answer, told in zip(self._answers, answered.answers, tolds, strict=True):
            form.fill(answer, told, shown.get(told.platform), now)
        return message.SerializeToString()


_form_of: Final = lru_cache(maxsize=1_024)(_Form)
"""Gives the form of answers of some kinds, made once."""

_FIELDS: Final = credit_service_pb2.ViewDelivery.DESCRIPTOR.fields_by_name
_REQUEST_ID: Final = encoder(_FIELDS["request_id"])
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
    shown = answered.figures.platforms
    tolds = answered.told or told_of_all(answered.answers)
    kinds: list[_Kind] = []
    for answer, told in zip(answered.answers, tolds, strict=True):
        platform = told.platform
        is_dated = told.as_of_s is not None
        kinds.append(_kind(answer, told, shown.get(platform), health_of(platform), is_dated=is_dated))
    written = [_form_of(tuple(kinds)).filled(answered, tolds, admission)]
    if query.request_id:
        written.append(_REQUEST_ID(query.request_id))
    if is_repeated:
        written.append(_IS_REPEATED(True))
    warnings = query.uscc.warnings
    if warnings:
        written.append(_WARNINGS([warning.value for warning in warnings]))
    if answered.receipt is not None:
        written.append(_EVIDENCE(evidence_bytes(answered.receipt)))
    return b"".join(written) if len(written) > 1 else written[0]
