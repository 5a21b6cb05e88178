"""Requests of one shape: what was checked once is not checked again, and nothing gets by because of it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway._pb.buf.validate import validate_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_REGISTRATION
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_POST_LOAN, PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc import questions
from gateway.adapters.rpc.questions import TEXTS, Questions, rules_of
from gateway.adapters.rpc.unreadable import UNREADABLE
from gateway.domain.caller import Caller, Role
from gateway.domain.errors import GatewayError
from gateway.domain.query import CreditQuery

USCC = "91310115MA0TERT167"
OTHER = "91320594MA1MQ20B6L"
PLATFORMS = ("anhui", "jiangsu", "shanghai")
A = Caller("bank-a", frozenset({Role.BANK_QUERY}))
B = Caller("bank-b", frozenset({Role.BANK_QUERY}), operator="op-1")


def reading() -> tuple[Questions, list[int]]:
    unknown: list[int] = []
    return Questions(PLATFORMS, unknown.append), unknown


def asked(**fields: Any) -> pb.GetCreditViewRequest:
    return pb.GetCreditViewRequest(query=pb.CreditQuery(**{"uscc": USCC, "purpose": PURPOSE_PRE_LOAN, **fields}))


def outcome(reader: Questions, request: Any, caller: Caller) -> CreditQuery | tuple[type, str]:
    try:
        return reader.read(request, caller)
    except GatewayError as error:
        return type(error), str(error)


_texts = st.sampled_from(["", "x", "y" * 128, "z" * 129, USCC, OTHER, USCC[:-1] + "0", f" {USCC.lower()}", "信" * 64])
_requests = st.builds(
    asked,
    uscc=_texts,
    purpose=st.sampled_from([0, PURPOSE_PRE_LOAN, PURPOSE_POST_LOAN, 99]),
    categories=st.lists(st.sampled_from([0, CATEGORY_REGISTRATION, CATEGORY_PENALTY, 77]), max_size=3),
    platforms=st.lists(st.sampled_from(["anhui", "nowhere"]), max_size=2),
    quorum=st.sampled_from([0, 1, 99]),
    request_id=_texts,
    consent_ids=st.lists(_texts, max_size=3) | st.just([str(number) for number in range(65)]),
    loan_reference=_texts,
    application_reference=_texts,
    operator=st.sampled_from(["", "op-1", "op-2"]),
)


@given(st.lists(st.tuples(_requests, st.sampled_from([A, B])), min_size=2, max_size=4))
def test_who_read_a_thousand_requests_reads_the_next_as_who_read_none(told: list[tuple[Any, Caller]]) -> None:
    warm, _ = reading()
    for caller in (A, B):
        warm.read(asked(), caller)
        warm.read(asked(categories=[CATEGORY_REGISTRATION]), caller)
        warm.read(asked(purpose=PURPOSE_POST_LOAN, platforms=["anhui"]), caller)

    for request, caller in told:
        assert outcome(warm, request, caller) == outcome(reading()[0], request, caller)
        plain = pb.GetCreditViewRequest(query=pb.CreditQuery(uscc=request.query.uscc, purpose=PURPOSE_PRE_LOAN))
        plain.query.consent_ids.extend(request.query.consent_ids)
        assert outcome(warm, plain, caller) == outcome(reading()[0], plain, caller)


def asked_in_bytes(reader: Questions, raw: bytes, caller: Caller) -> CreditQuery | tuple[type, str]:
    try:
        return reader.read_bytes(raw, caller)
    except GatewayError as error:
        return type(error), str(error)


def _wrapped(query: bytes) -> bytes:
    length = len(query)
    return b"\x0a" + (bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7))) + query


def asked_with_consent(request: pb.GetCreditViewRequest) -> pb.GetCreditViewRequest:
    consented = pb.GetCreditViewRequest.FromString(request.SerializeToString())
    consented.query.consent_ids.append("c-0")
    return consented


_fields = st.sampled_from(
    [
        b"\x0a\x12" + USCC.encode(),
        b"\x0a\x12" + OTHER.encode(),
        b"\x0a\x00",
        b"\x10\x01",
        b"\x10\x81\x00",
        b"\x1a\x01\x05",
        b"\x18\x05",
        b"\x22\x05anhui",
        b"\x3a\x00",
        b"\x42\x01r",
        b"\x42\x00",
        b"\x42\x01\xff",
        b"\x4a\x03c-1",
        b"\x4a\x03c-2",
        b"\x4a\x03\xff\xff\xff",
        b"\x4a\x00",
        b"\x52\x01l",
        b"\x5a\x81\x00a",
        b"\x62\x04op-1",
        b"\x98\x06\x01",
        b"\x0d\x00\x00\x00\x00",
        b"\x4a\x7f",
    ]
)


@given(st.lists(_fields, max_size=7), st.booleans(), st.sampled_from([b"", b"\x0a\x00", b"\x10\x01"]))
def test_a_request_is_read_off_its_bytes_as_off_its_message(fields: list[bytes], is_sorted: bool, more: bytes) -> None:
    raw = _wrapped(b"".join(sorted(fields) if is_sorted else fields)) + more
    warm, _ = reading()
    for shape in (asked(), asked(categories=[CATEGORY_REGISTRATION]), asked(platforms=["anhui", "jiangsu"])):
        warm.read_bytes(asked_with_consent(shape).SerializeToString(), A)
        warm.read_bytes(shape.SerializeToString(), A)
    message: Any = readable_request(raw)

    for _ in range(2):
        given_bytes, given_message = asked_in_bytes(warm, raw, A), outcome(reading()[0], message, A)
        assert given_bytes == given_message
        if isinstance(given_bytes, CreditQuery) and isinstance(given_message, CreditQuery):
            assert given_bytes.sent == given_message.sent


def readable_request(raw: bytes) -> Any:
    try:
        return pb.GetCreditViewRequest.FromString(raw)
    except DecodeError:
        return UNREADABLE


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Gives the requests whose annotations were checked, as they are."""
    requests: list[Any] = []
    check: Any = getattr(questions, "check_annotations")  # noqa: B009  # it is theirs, not exported

    def checking(request: Any) -> None:
        requests.append(request)
        check(request)

    monkeypatch.setattr(questions, "check_annotations", checking)
    return requests


def test_several_platforms_and_consents_make_no_request_rare(checked: list[Any]) -> None:
    reader, _ = reading()
    several = asked(platforms=["anhui", "jiangsu"], consent_ids=["c-1", "c-2"], operator="op-1")

    first = reader.read_bytes(several.SerializeToString(), A)
    several.query.consent_ids[0] = "c-3"
    second = reader.read_bytes(several.SerializeToString(), A)

    assert (first.consent_ids, second.consent_ids) == (("c-1", "c-2"), ("c-3", "c-2"))
    assert (second.platforms, second.operator) == (("anhui", "jiangsu"), "op-1")
    assert second.sent == several.query.SerializeToString(deterministic=True)
    assert len(checked) == 1


def test_requests_of_one_shape_are_checked_once(checked: list[Any]) -> None:
    reader, _ = reading()

    first = reader.read(asked(consent_ids=["c-1"]), A)
    second = reader.read(asked(uscc=OTHER, consent_ids=["c-2"], request_id="r"), A)

    assert (first.uscc.value, first.consent_ids) == (USCC, ("c-1",))
    assert (second.uscc.value, second.consent_ids, second.request_id) == (OTHER, ("c-2",), "r")
    assert second.sent == asked(uscc=OTHER, consent_ids=["c-2"], request_id="r").query.SerializeToString()
    assert len(checked) == 1
    reader.read(asked(quorum=2), A)
    reader.read(asked(), B)
    assert len(checked) == 3


def test_a_consent_at_the_end_is_read_off_without_walking_through_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, _ = reading()
    consented = asked(categories=[CATEGORY_REGISTRATION], consent_ids=["c-1"])
    reader.read_bytes(consented.SerializeToString(), A)
    monkeypatch.setattr(questions, "_parted", None)

    consented.query.uscc, consented.query.consent_ids[0] = OTHER, "c-2"
    second = reader.read_bytes(consented.SerializeToString(), A)

    assert (second.uscc.value, second.consent_ids, second.categories) == (OTHER, ("c-2",), (CATEGORY_REGISTRATION,))
    assert second.sent == consented.query.SerializeToString(deterministic=True)


def test_a_field_of_a_newer_client_is_counted_each_time() -> None:
    reader, unknown = reading()
    newer = asked().SerializeToString() + b"\x98\x06\x01"  # field 99

    for _ in range(2):
        reader.read(pb.GetCreditViewRequest.FromString(newer), A)
        reader.read(asked(), A)

    assert unknown == [1, 1]


def test_items_of_a_batch_are_checked_one_by_one() -> None:
    reader, _ = reading()
    item = pb.BatchGetCreditViewsRequest(correlation_id="1", query=asked().query)
    assert reader.read(item, A).is_batch

    item.correlation_id = "x" * 1_000
    assert isinstance(outcome(reader, item, A), tuple)


def test_what_differs_has_no_rules_but_those_that_are_looked_at() -> None:
    for name in TEXTS:
        rules = rules_of(name)
        assert [field.name for field, _ in rules.ListFields()] == ["string"]
        assert {field.name for field, _ in rules.string.ListFields()} <= {"min_len", "max_len"}
    consents = rules_of("consent_ids")
    assert [field.name for field, _ in consents.ListFields()] == ["repeated"]
    assert {field.name for field, _ in consents.repeated.ListFields()} == {"max_items", "unique", "items"}
    assert consents.repeated.items.WhichOneof("type") == "string"
    assert {field.name for field, _ in consents.repeated.items.string.ListFields()} == {"min_len", "max_len"}
    assert isinstance(consents, validate_pb2.FieldRules)
