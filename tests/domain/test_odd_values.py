"""No value that a message can hold takes a view down, or lets order, repetition or the place of a row show in it.

Worlds are drawn as for the merge's laws; then fields of all types are given values that no connector of the kit states, but
one of somebody else's may: days that are none, numbers at the ends of their range, enum numbers of a newer schema, texts
beyond the BMP, of zero width, of either direction.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE, ENVELOPE
from gateway.domain.consent import Permit
from gateway.domain.masking import Masker
from gateway.domain.merge import Merged, view_id
from gateway.domain.query import CreditQuery
from gateway.domain.standing import HIDDEN
from tests.conftest import PROFILE
from tests.domain.worlds import AS_OF, MERGER, PLATFORMS, READER, USCC, world

WORLDS: Final = 600 if PROFILE == "quick" else 10_000
MASKER: Final = Masker(CATALOGUE, b"a key of this deployment")
TEXTS: Final = (
    "", " ", "UNMAPPED", "张三", "张\u3000三", "\U00020bb7野家", "ＡＢ（1）", "a\u200bb", "\u202ex\u202c", "e\u0301", "é",
    "〔2020〕3号", "（2020）3號", "x" * 130, "信用修复", "310115", "张三 138 1234 5678", "\U000e0100", "A,B", "%s{}",
)  # fmt: skip
DAYS: Final = (
    (0, 0, 0), (0, 2, 29), (1, 1, 1), (1900, 1, 1), (2024, 2, 29), (2026, 2, 31), (2026, 13, 40), (2026, 0, 5),
    (9999, 12, 31), (-3, 1, 1), (2026, 11, 24), (2026, 11, 23), (2026, 12, 0),
)  # fmt: skip
AMOUNTS: Final = (0, 1, -1, 2**62, 2**63 - 1, -(2**63), 200_000)


def odd(record: Any, rng: Random) -> None:
    """Gives some fields of a record, and of its envelope, odd values."""
    for field in record.DESCRIPTOR.fields:
        if field.name != ENVELOPE and field.name != "uscc" and rng.random() < 0.25:
            record.ClearField(field.name)
            for _ in range(rng.randrange(4) if field.is_repeated else 1):
                _set(record, field, rng)
    envelope = record.envelope
    if rng.random() < 0.3:
        envelope.status = rng.choice((0, 1, 2, 3, 4, 5, 6, 77, -1))
    for name in ("status_on", "publish_start", "publish_end"):
        if rng.random() < 0.15:
            _day(getattr(envelope, name), rng)
    if rng.random() < 0.1:
        envelope.drifts.add(path="p", reason="r", raw=rng.choice(TEXTS))
    if rng.random() < 0.1:
        envelope.provenances[0].platform_record_key = rng.choice(TEXTS)


def _set(record: Any, field: FieldDescriptor, rng: Random) -> None:
    kind = field.message_type.name if field.message_type is not None else ""
    if kind == "Date":
        _day(getattr(record, field.name), rng)
    elif kind == "Money":
        money = getattr(record, field.name)
        money.minor_units, money.currency = rng.choice(AMOUNTS), rng.choice(("CNY", "USD", ""))
    elif kind:
        body = getattr(record, field.name)
        body.code, body.name = rng.choice(("", "11340100MA00000001", "11340100ma00000001", "x")), rng.choice(TEXTS)
    else:
        _put(record, field, _scalar(field, rng))


def _scalar(field: FieldDescriptor, rng: Random) -> Any:
    if field.enum_type is not None:
        return rng.choice((*(value.number for value in field.enum_type.values), 77, -5))
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    return rng.choice((0, 1, 2**32 - 1) if field.type == FieldDescriptor.TYPE_UINT32 else AMOUNTS)


def _put(record: Any, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(record, field.name).append(value)
    else:
        setattr(record, field.name, value)


def _day(day: Any, rng: Random) -> None:
    day.year, day.month, day.day = rng.choice(DAYS)


def odd_world(seed: int) -> tuple[list[Answer], tuple[int, ...]]:
    """Draws answers with odd values, now and then two of one platform, and gives the categories they are about."""
    rng = Random(seed)
    answers = []
    for answer in world(rng.randrange(2**48)):
        for _ in range(rng.choice((1, 1, 1, 2))):
            said = view_pb2.Answer()
            said.CopyFrom(answer.said)
            for _, rows in said.records.ListFields():
                for row in rows:
                    odd(row, rng)
            for category in said.categories:
                if rng.random() < 0.1:
                    category.as_of.seconds = 1_790_000_000 + 86_400 * rng.randrange(3)
            answers.append(answer._replace(said=said))
    return answers, tuple(sorted({category.category for answer in answers for category in answer.said.categories}))


def with_rows_shuffled(answer: Answer, rng: Random) -> Answer:
    """Gives the same answer with its records in another order."""
    said = view_pb2.Answer()
    said.CopyFrom(answer.said)
    said.ClearField("records")
    for descriptor, rows in answer.said.records.ListFields():
        getattr(said.records, descriptor.name).extend(rng.sample(list(rows), len(rows)))
    return answer._replace(said=said)


def merged(answers: list[Answer], categories: tuple[int, ...], masker: Masker | None) -> Merged:
    query = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, categories, tuple(sorted(PLATFORMS)))
    permit = Permit("consent", categories, is_masked=masker is not None)
    return MERGER.merge([READER.read(answer, USCC.value) for answer in answers], query, permit, AS_OF, masker)


@settings(max_examples=WORLDS)
@given(seed=st.integers(0, 2**48))
def test_whatever_a_message_can_hold_gives_one_view_in_canonical_bytes(seed: int) -> None:
    answers, categories = odd_world(seed)
    rng = Random(seed)
    again = [with_rows_shuffled(answer, rng) for answer in [*answers, *rng.choices(answers, k=2)]]
    rng.shuffle(again)

    for masker in (None, MASKER):
        first, second = merged(answers, categories, masker), merged(again, categories, masker)

        assert first.encoded == second.encoded
        assert first.encoded == first.view.SerializeToString(deterministic=True)
        assert first.view.view_id == view_id(first.view)
        for _, records in first.view.records.ListFields():
            for record in records:
                assert not all(said.status in HIDDEN for said in record.envelope.provenances)
