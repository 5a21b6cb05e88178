"""No leak: over generated consents and answers, nothing outside what was consented stands in what a bank is given.

Platforms here say all they know of a few types, asked or not, and every text they say carries a mark of its category and
platform. What may be seen is worked out a second time, in a few plain lines that share nothing with the rules; then every
byte of the view, and of a streamed answer in a tenth of the cases, is searched for marks that may not be there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_OK,
    PURPOSE_GREEN_REVIEW,
    PURPOSE_IN_LOAN,
    PURPOSE_PRE_LOAN,
)
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE, RecordPlan
from gateway.domain.consent import Consent, ConsentState, Permit
from gateway.domain.errors import PermissionRefusedError
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery
from gateway.domain.reach import within
from gateway.domain.statement import Reading
from gateway.domain.type_masks import masked_fields
from gateway.domain.visible import visible
from tests.adapters.simulated import NOON
from tests.application.consenting import BANK, MASKER, MATRIX, RULES, consent
from tests.conftest import PROFILE
from tests.domain.worlds import AS_OF, MERGER, READER, USCC

PARTS: Final = 4
CONSENTS: Final = 10  # sets of consents drawn for each set of answers
WORLDS: Final = 600 if PROFILE == "quick" else 6_000
PLATFORMS: Final = ("anhui", "jiangsu", "shanghai")
PEOPLE: Final = ("张三", "李四五", "欧阳娜娜")
REFERENCES: Final = {name: MASKER.person(USCC.value, name) for name in PEOPLE}
PURPOSES: Final = (PURPOSE_PRE_LOAN, PURPOSE_PRE_LOAN, PURPOSE_IN_LOAN, PURPOSE_GREEN_REVIEW)
ALL: Final = tuple(sorted(CATALOGUE.by_category))
MASKED: Final = masked_fields(CATALOGUE)
PUBLIC: Final = {c for c, plan in CATALOGUE.by_category.items() if plan.is_public}
NAMING: Final = [CATALOGUE.by_category[category] for category in MASKED]
_MARK: Final = re.compile(rb"<(\d+)@(\w+)>")
_NUMBERS: Final = (b"310101199001011234", b"13812345678")


def answers(rng: Random) -> list[Answer]:
    """Draws what each platform says of up to three types, mostly of such as name persons."""
    drawn = {rng.choice(kinds).category for kinds in (NAMING, CATALOGUE.plans, NAMING)[: rng.choice((1, 2, 2, 3))]}
    plans = [CATALOGUE.by_category[category] for category in sorted(drawn)]
    said = []
    for name in PLATFORMS:
        answer = view_pb2.Answer(platform=name, outcome=OUTCOME_OK)
        for plan in plans:
            if rng.random() < 0.8:
                rows = getattr(answer.records, plan.records_field)
                for number in range(
                    1 if plan.options.combination == options_pb2.COMBINATION_AUTHORITATIVE else 1 + (rng.random() < 0.3)
                ):
                    rows.append(_record(plan, name, number, rng))
                answer.categories.add(category=plan.category, outcome=OUTCOME_OK, record_count=len(rows))
        answer.drifts.add(path="x", reason="drawn", raw=f"电话{_NUMBERS[1].decode()}")
        said.append(Answer(answer))
    return said


def _record(plan: RecordPlan, platform: str, number: int, rng: Random) -> Any:
    record = plan.message()
    envelope = record.envelope
    envelope.provenances.add(
        platform=platform,
        platform_record_key=f"<{plan.category}@{platform}>",
        match_method=envelope_pb2.MATCH_METHOD_CODE,
    )
    if rng.random() < 0.3:
        envelope.drifts.add(path="y", reason="drawn", raw=f"{_NUMBERS[0].decode()} <{plan.category}@{platform}>")
    keyed = {field.name for field in (*plan.key_always, *plan.key_weak)}
    for field in plan.message.DESCRIPTOR.fields:
        if field.name == "uscc":
            record.uscc = USCC.value
        elif field.name in MASKED.get(plan.category, ()):
            value = (
                f"因{_NUMBERS[0].decode()}"
                if plan.field(field.name).options.mask == options_pb2.MASK_TEXT
                else rng.choice(PEOPLE)
            )
            getattr(record, field.name).append(value) if field.is_repeated else setattr(record, field.name, value)
        elif field.name in keyed or (plan.key_document is not None and field.name == plan.key_document.name):
            _set_key(record, field, number)
        elif field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and rng.random() < 0.5:
            setattr(record, field.name, f"<{plan.category}@{platform}>")
    return record


def _set_key(record: Any, field: FieldDescriptor, number: int) -> None:
    """Sets a part of a key: the same at every platform, so that records of several become one."""
    if field.message_type is None:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(record, field.name, f"3{number}0000")
        elif field.enum_type is not None and not field.is_repeated:
            setattr(record, field.name, 1)
    elif field.message_type.name == "Date":
        getattr(record, field.name).year = 2026
    elif field.message_type.name == "Authority":
        getattr(record, field.name).code = f"11310000000000000{number}"


def consents(rng: Random) -> list[Consent]:
    """Draws up to four consents, some of which are of another bank or enterprise, of a person, or not in force."""
    drawn = []
    for number in range(rng.randrange(5)):
        person = rng.choice(tuple(REFERENCES.values())) if rng.random() < 0.5 else ""
        drawn.append(
            consent(
                f"c-{number}",
                bank=rng.choice((BANK, BANK, BANK, BANK, "bank-b")),
                uscc=rng.choice((USCC.value, USCC.value, USCC.value, USCC.value, "91310115MAC0DEM080")),
                person_ref=person,
                purposes=tuple(sorted(set(rng.choices(PURPOSES, k=2)))),
                categories=tuple(sorted(rng.sample(ALL, rng.randrange(4, len(ALL) + 1)))),
                platforms=tuple(sorted(rng.sample(PLATFORMS, rng.randrange(1, 3))))
                if rng.random() < (0.2 if person else 0.7)
                else (),
                valid_to=NOON + timedelta(days=1 if rng.random() < 0.9 else -0.5),
                max_uses=rng.choice((0, 0, 1)),
                uses=rng.choice((0, 0, 0, 1)),
                state=rng.choice((ConsentState.ACTIVE,) * 8 + (ConsentState.PAUSED, ConsentState.REVOKED)),
            )
        )
    return drawn


def holds(given: Consent, query: CreditQuery) -> bool:
    """Whether a consent is worth anything to the query, in plain words."""
    return (
        (given.bank, given.uscc) == (query.bank, query.uscc.value)
        and given.state is ConsentState.ACTIVE
        and given.valid_from <= NOON < given.valid_to
        and not (given.max_uses and given.uses >= given.max_uses)
        and query.purpose in given.purposes
    )


def may_be_seen(query: CreditQuery, stated: Sequence[Consent]) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
    """Gives the pairs of category and platform that may be seen, and those of category and name."""
    holding = [each for each in stated if holds(each, query)]
    seen = {
        (category, platform)
        for category in query.categories
        if category in MATRIX.allowed(query.purpose)
        for platform in query.platforms
        if category in PUBLIC
        or any(
            category in c.categories and (not c.platforms or platform in c.platforms)
            for c in holding
            if not c.person_ref
        )
    }
    names = {
        (category, name)
        for c in holding
        for category in c.categories
        for name in PEOPLE
        if c.person_ref == REFERENCES[name] and (not c.platforms or set(c.platforms) >= set(query.platforms))
    }
    return seen, names


def marks(content: bytes) -> set[tuple[int, str]]:
    return {(int(category), platform.decode()) for category, platform in _MARK.findall(content)}


def names_in(records: view_pb2.Records) -> set[tuple[int, str]]:
    """Gives every (category, name of a person) that stands in the records, wherever in them."""
    found = set()
    for descriptor, rows in records.ListFields():
        content = b"".join(row.SerializeToString() for row in rows)
        category = CATALOGUE.by_records_field[descriptor.name].category
        found |= {(category, name) for name in PEOPLE if name.encode() in content}
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_outside_the_scope_leaks(part: int) -> None:
    shares: Counter[str] = Counter()

    @settings(max_examples=WORLDS)
    @given(seed=st.integers(0, 2**48))
    def over_worlds(seed: int) -> None:
        rng = Random(f"{part} {seed}")
        readings = [READER.read(answer, USCC.value) for answer in answers(rng)]
        told = sorted({entry.category for reading in readings for entry in reading.answer.said.categories})
        for _ in range(CONSENTS):
            asked = {*rng.sample(told, rng.randint(min(1, len(told)), len(told))), *rng.sample(ALL, 2)}
            stated = consents(rng)
            shares["cases"] += 1
            shares["pairs"] += len(stated) * len(readings)
            _check(readings, tuple(sorted(asked)), stated, rng, shares)

    over_worlds()

    cases, pairs = shares.pop("cases"), shares.pop("pairs")
    print({name: f"{count / cases:.1%}" for name, count in sorted(shares.items())}, cases, "cases", pairs, "pairs")
    assert cases >= WORLDS * CONSENTS
    assert pairs * PARTS >= 50_000
    least = {
        "refused": 0.01,
        "streamed": 0.07,
        "in part": 0.2,
        "platforms left out": 0.05,
        "masked": 0.2,
        "person shown": 0.01,
        "united": 0.2,
    }
    assert {name: shares[name] for name, share in least.items() if shares[name] < share * cases} == {}


def _check(
    said: Sequence[Reading], asked: tuple[int, ...], stated: Sequence[Consent], rng: Random, shares: Counter[str]
) -> None:
    query = CreditQuery(
        USCC,
        rng.choice(PURPOSES),
        asked,
        PLATFORMS,
        bank=BANK,
        consent_ids=tuple(each.consent_id for each in stated),
    )
    seen, names = may_be_seen(query, stated)
    try:
        permit = RULES.decide(query, stated, NOON).permit
    except PermissionRefusedError:
        assert not seen
        shares["refused"] += 1
        return
    is_streamed = rng.random() < 0.1
    merged, streamed = _given_out(said, query, permit, is_streamed=is_streamed)

    view, content = merged.view, merged.encoded + streamed.SerializeToString()
    assert marks(content) <= seen
    assert {category for category, _ in seen} == set(permit.categories)
    assert not any(number in content for number in _NUMBERS)
    shown: set[tuple[int, str]] = set()
    if any(name.encode() in content for name in PEOPLE):
        shown = names_in(view.records) | names_in(streamed.records)
    assert shown <= names
    listed = {entry.category for entry in view.permit.withheld if not entry.field}
    assert set(query.categories) - set(permit.categories) <= listed
    shares["streamed"] += is_streamed
    shares["in part"] += bool(permit.refused)
    shares["platforms left out"] += bool(permit.outside)
    shares["masked"] += b"*" in content
    shares["person shown"] += bool(shown)
    shares["united"] += any(len(row.envelope.provenances) > 1 for _, rows in view.records.ListFields() for row in rows)


def _given_out(
    said: Sequence[Reading], query: CreditQuery, permit: Permit, *, is_streamed: bool
) -> tuple[Merged, view_pb2.Answer]:
    """Gives the final view and, of a stream, the first platform's answer, as the use case makes them."""
    kept = [within(reading.answer, permit) for reading in said]
    readings = [
        reading if answer is reading.answer else READER.read(answer, query.uscc.value)
        for reading, answer in zip(said, kept, strict=True)
    ]
    streamed = view_pb2.Answer()
    if is_streamed:
        streamed = visible(readings[0], MERGER.merge(readings, query, permit, AS_OF).view).said
        MASKER.mask_answer(streamed, query.uscc.value, permit)
    return MERGER.merge(readings, query, permit, AS_OF, MASKER), streamed
