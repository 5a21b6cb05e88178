"""Masking on the wire, before a view is put together, comes to the same bytes as masking the finished view.

Worlds are drawn as for the merge, with records added that name persons wherever one may be named: in fields, in conflicts, in
free texts, in a platform's own keys and in notes of what could not be read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, view_pb2
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE, RecordPlan
from gateway.domain.consent import Permit
from gateway.domain.masking import Masker
from gateway.domain.merge import view_id
from gateway.domain.type_masks import masked_fields
from tests.conftest import PROFILE
from tests.domain.masking_by_message import MessageMasker
from tests.domain.worlds import AS_OF, MERGER, READER, USCC, query, world

WORLDS: Final = 400 if PROFILE == "quick" else 4_000
KEYS: Final = (b"a key of this deployment", b"longer than a block of the digest's, which is then its own digest " * 2)
NAMES: Final = ("张三", "李四五", "张　三", "欧阳 娜娜", "王", "  ", "上海启辰科技有限公司", "310101199001011234")
TEXTS: Final = ("电话13812345678", "查张三、李四五持310101199001011234", "查张 三", "无", "")
MASKED: Final = masked_fields(CATALOGUE)
NAMING: Final = [CATALOGUE.by_category[category] for category in MASKED]
ALL: Final = tuple(sorted(CATALOGUE.by_category))


def answers(rng: Random) -> list[Answer]:
    """Draws a world whose answers name persons."""
    plans = rng.sample(NAMING, rng.randint(1, 3))
    drawn = []
    for answer in world(rng.randrange(2**48)):
        said = view_pb2.Answer()
        said.CopyFrom(answer.said)
        if answer.is_heard:
            for plan in plans:
                rows = getattr(said.records, plan.records_field)
                for _ in range(rng.randrange(3)):
                    rows.append(_record(plan, said.platform, rng))
            for descriptor, rows in said.records.ListFields():
                for row in rows:
                    _note(row, descriptor.name, rng)
            if rng.random() < 0.3:
                said.drifts.add(path="x", reason="drawn", raw=rng.choice(TEXTS))
        drawn.append(answer._replace(said=said))
    return drawn


def _record(plan: RecordPlan, platform: str, rng: Random) -> Any:
    record = plan.message()
    own_key = rng.choice(("", "1", f"H-{rng.choice(NAMES)}"))
    record.envelope.provenances.add(
        platform=platform, platform_record_key=own_key, match_method=envelope_pb2.MATCH_METHOD_CODE
    )
    for field in plan.message.DESCRIPTOR.fields:
        if field.type != FieldDescriptor.TYPE_STRING or (
            rng.random() < 0.2 and field.name not in MASKED[plan.category]
        ):
            continue
        is_text = plan.field(field.name).options.mask == options_pb2.MASK_TEXT
        value = rng.choice(TEXTS if is_text else NAMES if field.name in MASKED[plan.category] else "12")
        if field.is_repeated:
            getattr(record, field.name).extend([value, rng.choice(NAMES)][: rng.randrange(3)])
        else:
            setattr(record, field.name, value)
    return record


def _note(row: Any, records_field: str, rng: Random) -> None:
    """Adds to an envelope what a platform may state there, rarely even what is the merge's to say."""
    if rng.random() < 0.15:
        row.envelope.drifts.add(path="x", reason="drawn", raw=rng.choice(TEXTS))
    if rng.random() < 0.05:
        name = rng.choice([field.name for field in CATALOGUE.by_records_field[records_field].fields])
        row.envelope.conflicts.add(field=name).values.add().value.text = rng.choice(NAMES)
    if rng.random() < 0.05:
        row.envelope.possible_duplicate_of.append(bytes(16))


@settings(max_examples=WORLDS)
@given(seed=st.integers(0, 2**48))
def test_masking_on_the_wire_is_masking_the_finished_view(seed: int) -> None:
    rng = Random(seed)
    key = rng.choice(KEYS)
    masker, by_message = Masker(CATALOGUE, key), MessageMasker(CATALOGUE, key)
    readings = [READER.read(answer, USCC.value) for answer in answers(rng)]
    persons = {
        (rng.choice(NAMING).category, masker.person(USCC.value, rng.choice(NAMES))) for _ in range(rng.randrange(3))
    }
    permit = Permit("consent", ALL, is_masked=True, persons=frozenset(persons))
    finished = MERGER.merge(readings, query(), permit, AS_OF).view
    again = view_pb2.CreditView()
    again.CopyFrom(finished)

    merged = MERGER.merge(readings, query(), permit, AS_OF, masker)
    masker.mask(again, permit)

    by_message.mask(finished, permit)
    assert again == finished
    finished.view_id = view_id(finished)
    assert merged.encoded == finished.SerializeToString(deterministic=True)
    assert merged.figures.view_id == finished.view_id


def test_the_worlds_show_what_is_to_be_masked() -> None:
    seen: Counter[str] = Counter()
    masker = Masker(CATALOGUE, KEYS[0])
    permit = Permit("consent", ALL, is_masked=True)
    for seed in range(200):
        readings = [READER.read(answer, USCC.value) for answer in answers(Random(seed))]
        plain = MERGER.merge(readings, query(), replace(permit, is_masked=False), AS_OF, masker)
        masked = MERGER.merge(readings, query(), permit, AS_OF, masker)
        seen["masked"] += masked.encoded != plain.encoded
        for descriptor, rows in plain.view.records.ListFields():
            names = MASKED.get(CATALOGUE.by_records_field[descriptor.name].category, ())
            for row in rows:
                seen["conflicts"] += any(conflict.field in names for conflict in row.envelope.conflicts)
                seen["drifts"] += bool(row.envelope.drifts)
                seen["possible duplicates"] += bool(row.envelope.possible_duplicate_of)
                seen["own keys"] += any("H-" in p.platform_record_key for p in row.envelope.provenances)

    assert min(seen[what] for what in ("masked", "conflicts", "drifts", "possible duplicates", "own keys")) > 20, seen
