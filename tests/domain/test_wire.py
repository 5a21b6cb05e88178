"""The wire format written by hand against the library's own encoding."""

from __future__ import annotations

from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, evaluation_pb2, fiscal_pb2, value_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_DISPUTED, RECORD_STATUS_VALID
from gateway._pb.xinyidai.catalogue.v1.evaluation_pb2 import CANONICAL_GRADE_ATTENTION
from gateway.domain.wire import delimited, encoder, split_fields, take_delimited, take_varint, varint
from tests.domain.worlds import world

_INT64 = st.integers(-(2**63), 2**63 - 1)
_SHORT_AND_LONG = (
    st.text(max_size=3) | st.text(min_size=120, max_size=140) | st.text(min_size=1).map(lambda text: text * 16_400)
)


def field_of(message: Any, name: str) -> FieldDescriptor:
    field: FieldDescriptor = message.DESCRIPTOR.fields_by_name[name]
    return field


@given(_INT64)
def test_a_number_is_written_as_the_library_writes_it(number: int) -> None:
    expected = value_pb2.Money(minor_units=number).SerializeToString()

    written = encoder(field_of(value_pb2.Money, "minor_units"))(number)

    assert written == (expected or b"\x08\x00")  # the library leaves a zero out; to a reader both are zero


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**21, 2**28 - 1, 2**28, 2**63 - 1, 2**64 - 1])
def test_a_varint_is_read_back_with_the_place_after_it(number: int) -> None:
    written = varint(number)

    assert take_varint(b"\xff" + written + b"\x01", 1) == (number, 1 + len(written))


@given(_SHORT_AND_LONG)
def test_a_text_of_any_length_is_written_and_found_again(text: str) -> None:
    written = encoder(field_of(value_pb2.Money, "currency"))(text)

    assert value_pb2.Money.FromString(written).currency == text
    start, end = take_delimited(written, 0)
    assert written[start:end] == text.encode()


@given(st.lists(st.integers(0, 200)), st.lists(st.binary(max_size=20)))
def test_lists_are_written_as_the_library_reads_them(numbers: list[int], values: list[bytes]) -> None:
    years = encoder(field_of(view_pb2.CategoryAnswer, "missing_years"))(numbers)
    keys = encoder(field_of(envelope_pb2.RecordEnvelope, "possible_duplicate_of"))(values)

    assert list(view_pb2.CategoryAnswer.FromString(years).missing_years) == numbers
    assert list(envelope_pb2.RecordEnvelope.FromString(keys).possible_duplicate_of) == values


def test_claims_enums_and_messages_are_written_as_the_library_writes_them() -> None:
    money = value_pb2.Money(minor_units=-5, currency="CNY")
    evaluation = evaluation_pb2.Evaluation(is_published=True, canonical_grade=CANONICAL_GRADE_ATTENTION)
    payment = fiscal_pb2.TaxPayment(vat_paid=money)

    written = encoder(field_of(evaluation_pb2.Evaluation, "is_published"))(True) + encoder(
        field_of(evaluation_pb2.Evaluation, "canonical_grade")
    )(CANONICAL_GRADE_ATTENTION)

    assert evaluation_pb2.Evaluation.FromString(written) == evaluation
    assert encoder(field_of(fiscal_pb2.TaxPayment, "vat_paid"))(money) == payment.SerializeToString()


def test_a_later_copy_of_a_message_adds_to_and_overrides_an_earlier_one() -> None:
    """The property of the format on which the merge stands when it adds fields to a record's envelope."""
    envelope = delimited(field_of(conduct_pb2.Penalty, "envelope"))
    first = envelope_pb2.RecordEnvelope(status=RECORD_STATUS_VALID, status_raw="0")
    later = envelope_pb2.RecordEnvelope(status=RECORD_STATUS_DISPUTED, record_key=b"k")

    record = conduct_pb2.Penalty.FromString(envelope(first.SerializeToString() + later.SerializeToString()))

    assert record.envelope == envelope_pb2.RecordEnvelope(
        status=RECORD_STATUS_DISPUTED, status_raw="0", record_key=b"k"
    )


@given(st.integers(0, 10_000))
def test_records_part_into_their_fields_and_back(seed: int) -> None:
    for answer in world(seed):
        for _, records in answer.said.records.ListFields():
            for record in records:
                raw = record.SerializeToString(deterministic=True)

                fields = split_fields(raw)

                assert b"".join(fields.values()) == raw
                assert list(fields) == [descriptor.number for descriptor, _ in record.ListFields()]
                for descriptor, value in record.ListFields():
                    assert getattr(type(record).FromString(fields[descriptor.number]), descriptor.name) == value


@given(st.integers(0, 10_000))
def test_a_record_parts_into_the_same_fields_whatever_it_is_thought_to_be_like(seed: int) -> None:
    by_type: dict[type, list[bytes]] = {}
    for answer in world(seed):
        for _, records in answer.said.records.ListFields():
            for record in records:
                by_type.setdefault(type(record), []).append(record.SerializeToString(deterministic=True))

    for raws in by_type.values():
        for raw in raws[:6]:
            for other in (*raws[:6], b""):
                assert split_fields(raw, split_fields(other)) == split_fields(raw)


_FEW: Final = st.lists(st.sampled_from(["", "a", "aa", "b"]), max_size=4)


@given(_FEW, _FEW, _FEW, _FEW)
def test_repeated_fields_part_alike_whatever_they_are_thought_to_be_like(
    heard: list[str], missing: list[str], others_heard: list[str], others_missing: list[str]
) -> None:
    raw, other = (
        view_pb2.Coverage(category=1, heard=first, missing=second, record_count=7).SerializeToString(deterministic=True)  # type: ignore[arg-type]
        for first, second in ((heard, missing), (others_heard, others_missing))
    )

    assert split_fields(raw, split_fields(other)) == split_fields(raw)
    assert b"".join(split_fields(raw, split_fields(other)).values()) == raw


def test_a_number_that_comes_twice_keeps_both_whatever_it_is_thought_to_be_like() -> None:
    raw, like = b"\x10\x01\x18\x02\x10\x01", {2: b"\x10\x01", 3: b"\x18\x02"}

    assert split_fields(raw, like) == split_fields(raw) == {2: b"\x10\x01\x10\x01", 3: b"\x18\x02"}
    assert split_fields(b"\x18\x02\x10\x01", like) == {2: b"\x10\x01", 3: b"\x18\x02"}


def test_fixed_width_fields_and_large_numbers_part_too() -> None:
    raw = b"\x09" + bytes(8) + b"\x15" + bytes(4) + b"\x82\x01\x02ab" + b"\x80\x01\xff\x01" + b"\x82\x01\x00"

    assert split_fields(raw) == {1: raw[:9], 2: raw[9:14], 16: raw[14:]}
