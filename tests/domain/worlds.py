"""Answers made from the descriptors over all record types, so that a new type is tested without a new line here.

Values come from small pools: keys collide between platforms, copies differ, some records lack their document number, some
are repaired or revoked, some have run out. A world is drawn from one seed: hypothesis explores seeds, and a failing seed
is its own reproduction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, view_pb2
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE, RecordPlan
from gateway.domain.consent import development_permit
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.divisions import DivisionTable
from gateway.domain.identifiers import Uscc
from gateway.domain.merge import Merged, Merger
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.publication import PublicationRule, PublicationTable
from gateway.domain.query import CreditQuery
from gateway.domain.statement import AuthorityIds, Reader, Reading

USCC: Final = Uscc.parse("91310115MA0TERT167")
AS_OF: Final = date(2026, 11, 24)
PROVINCES: Final = {"shanghai": "31", "jiangsu": "32", "zhejiang": "33", "anhui": "34"}
BODIES: Final = {f"11{code}0000000000000{n}"[:18]: f"机关{code}" for n, code in enumerate(PROVINCES.values())}
_ALL: Final = {c: CategoryCoverage(c) for c in CATALOGUE.by_category}
PLATFORMS: Final[Mapping[str, Platform]] = {
    **{
        name: Platform(name, name, name, Tier.PROVINCE, province=code, coverage=_ALL)
        for name, code in PROVINCES.items()
    },
    "xinyongzhongguo": Platform("xinyongzhongguo", "信用中国", "Credit China", Tier.CREDIT_CHINA, coverage=_ALL),
}
IDS: Final = AuthorityIds({name: code for code, name in BODIES.items()})
READER: Final = Reader(CATALOGUE, IDS, PLATFORMS)
DIVISIONS: Final = DivisionTable.from_toml(
    {"source": "drawn", "as_of": date(2026, 1, 1), "province": {f"{code}0000": code for code in PROVINCES.values()}}
)
_RULE: Final = PublicationRule(date(2023, 1, 1), None, {"minor": 3, "general": 12, "serious": 36, "unclassified": 36})
MERGER: Final = Merger(CATALOGUE, PLATFORMS, IDS, Crosswalk.from_tables({}), PublicationTable((_RULE,), {}), DIVISIONS)
_FAILURES: Final = [o for o in view_pb2.Outcome.values() if o and o not in HEARD]
_BODIES: Final = tuple(BODIES.items())

_TEXTS: Final = ("310000", "320000", "v〔1〕", "v[1]", "w 2", "ｖ［１］", "w\u200b2", "𠮷\ue000", "310000", "320000")
_FEN: Final = (100, 100, 200, 200, 300, -100, 2**63 - 1, -(2**63))


def _drawn(plan: RecordPlan) -> list[tuple[FieldDescriptor, bool]]:
    """Gives the fields that are drawn, and whether each is part of the key."""
    keys = {field.name for field in (*plan.key_always, *plan.key_weak, plan.key_document) if field is not None}
    return [(plan.message.DESCRIPTOR.fields_by_name[field.name], field.name in keys) for field in plan.fields]


_FIELDS: Final = {plan.records_field: _drawn(plan) for plan in CATALOGUE.plans}
_STATUSES: Final = (0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 6)


def query(platforms: Mapping[str, Any] = PLATFORMS) -> CreditQuery:
    """Gives a query of every category."""
    return CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, tuple(sorted(CATALOGUE.by_category)), tuple(sorted(platforms)))


def view_of(answers: list[Answer]) -> view_pb2.CreditView:
    """Gives the view over some answers, in the order given, of the categories that they are about."""
    return merged_of(answers).view


def merged_of(answers: list[Answer]) -> Merged:
    """Gives what the merge makes of some answers, in the order given, of the categories that they are about."""
    return merged_from([READER.read(answer, USCC.value) for answer in answers])


def merged_from(readings: Sequence[Reading]) -> Merged:
    """Gives the same of answers that were read."""
    told = {category.category for reading in readings for category in reading.answer.said.categories}
    asked = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, tuple(sorted(told)), tuple(sorted(PLATFORMS)))
    return MERGER.merge(readings, asked, development_permit(asked), AS_OF)


def world(seed: int | str) -> list[Answer]:
    """Draws one answer per platform: heard ones with records of one to three types, failed ones without.

    Two worlds in three are small, two or three platforms heard, mostly one type, and few categories asked: much of what can
    go wrong needs no more.
    """
    rng = Random(seed)
    is_small = rng.random() < 2 / 3
    plans = [CATALOGUE.plans[rng.randrange(len(CATALOGUE.plans))] for _ in range(1 if is_small else 2)]
    if not is_small or rng.random() < 0.3:
        plans.append(CATALOGUE.by_records_field["penalties"])
    heard = rng.sample(tuple(PLATFORMS), rng.choice((2, 2, 3))) if is_small else tuple(PLATFORMS)
    asked = {
        category: plan
        for category, plan in CATALOGUE.by_category.items()
        if not is_small or plan in plans or rng.random() < 0.1
    }
    templates = {plan.records_field: [_record(plan, rng) for _ in range(2 if is_small else 3)] for plan in plans}
    answers = []
    for platform in PLATFORMS:
        if platform not in heard or rng.random() < 0.15:
            answers.append(failed_answer(platform, rng.choice(_FAILURES), "drawn", asked))
            continue
        said = view_pb2.Answer(platform=platform, outcome=view_pb2.OUTCOME_OK)
        said.as_of.seconds = 1_790_000_000 + 86_400 * rng.randrange(4)
        for plan in plans:
            rows = getattr(said.records, plan.records_field)
            for template in templates[plan.records_field]:
                if rng.random() < 0.6 and not (
                    len(rows) and plan.options.combination == options_pb2.COMBINATION_AUTHORITATIVE
                ):
                    rows.append(_copy(plan, template, platform, rng))
        for category, plan in asked.items():
            count = len(getattr(said.records, plan.records_field))
            outcome = view_pb2.OUTCOME_OK if count else view_pb2.OUTCOME_NO_RECORDS
            said.categories.add(category=category, outcome=outcome, record_count=count)
        answers.append(Answer(said=said))
    return answers


def _copy(plan: RecordPlan, template: Any, platform: str, rng: Random) -> Any:
    """Gives one platform's copy of a record: its own status, and now and then another value or no document number."""
    record = plan.message()
    record.CopyFrom(template)
    for field, is_key in _FIELDS[plan.records_field]:
        if not is_key and rng.random() < 0.15:
            record.ClearField(field.name)
            _set(record, field, rng)
    if plan.key_document is not None and rng.random() < 0.25:
        record.ClearField(plan.key_document.name)
    envelope = record.envelope
    envelope.provenances.add(platform=platform, match_method=envelope_pb2.MATCH_METHOD_CODE)
    if plan.is_adverse:
        envelope.status = rng.choice(_STATUSES)
        if envelope.status in (2, 3) or rng.random() < 0.2:
            _date(envelope.status_on, rng)
    if rng.random() < 0.1:
        envelope.drifts.add(path=f"x[{rng.randrange(2)}]", reason="drawn")
    if rng.random() < 0.1:
        _date(envelope.publish_end, rng)
    elif rng.random() < 0.1:
        envelope.publish_is_indefinite = True
    return record


def _record(plan: RecordPlan, rng: Random) -> Any:
    record = plan.message()
    for field, is_key in _FIELDS[plan.records_field]:
        if is_key or rng.random() < 0.5:
            _set(record, field, rng)
    if plan.records_field == "subjects":
        record.uscc = USCC.value
    return record


def _set(record: Any, field: FieldDescriptor, rng: Random) -> None:
    name = field.name
    if name == "uscc":
        record.uscc = USCC.value
    elif field.message_type is not None:
        _set_message(getattr(record, name), field, rng)
    elif field.enum_type is not None:
        number = 1 + rng.randrange(len(field.enum_type.values) - 1)
        getattr(record, name).append(number) if field.is_repeated else setattr(record, name, number)
    elif field.is_repeated:
        getattr(record, name).append(f"v{rng.randrange(3)}")
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(record, name, rng.choice(_TEXTS))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(record, name, rng.random() < 0.5)
    else:
        setattr(record, name, rng.randrange(1, 4))


def _set_message(target: Any, field: FieldDescriptor, rng: Random) -> None:
    assert field.message_type is not None
    kind = field.message_type.name
    if kind == "Date":
        _date(target, rng)
    elif kind == "Money":
        target.minor_units, target.currency = rng.choice(_FEN), "CNY"
    else:
        code, name = rng.choice(_BODIES)
        target.name = name
        if rng.random() < 0.7:
            target.code = code


def _date(target: Any, rng: Random) -> None:
    target.year, target.month = rng.choice((2025, 2026, 2026, 2027)), 1 + rng.randrange(12)
    target.day = rng.choice((0, 5, 24))
