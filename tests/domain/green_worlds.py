"""Answers about one enterprise that matter to the green review, drawn from a seed, and the views over them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from random import Random
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, evaluation_pb2, registration_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_EVALUATION,
    CATEGORY_LICENCE,
    CATEGORY_LIST_ENTRY,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_SUBJECT,
)
from gateway.adapters.rules.book import TablesOfDay
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit
from gateway.domain.green import Assessor
from gateway.domain.merge import Merger
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.domain.statement import AuthorityIds, Reader
from tests.domain.worlds import USCC
from tests.shipped import shipped_settings

SETTINGS: Final = shipped_settings()
AS_OF: Final = date(2026, 11, 24)
CATEGORIES: Final = (
    CATEGORY_SUBJECT,
    CATEGORY_REGISTRATION,
    CATEGORY_LICENCE,
    CATEGORY_PENALTY,
    CATEGORY_LIST_ENTRY,
    CATEGORY_EVALUATION,
)
PROVINCES: Final = {"shanghai": "31", "jiangsu": "32", "zhejiang": "33", "anhui": "34"}
PLATFORMS: Final = {
    name: Platform(
        name, name, name, Tier.PROVINCE, province=code, coverage={c: CategoryCoverage(c) for c in CATALOGUE.by_category}
    )
    for name, code in PROVINCES.items()
}
IDS: Final = AuthorityIds({})
READER: Final = Reader(CATALOGUE, IDS, PLATFORMS)
MERGER: Final = Merger(CATALOGUE, PLATFORMS, IDS, SETTINGS.crosswalk, SETTINGS.publication, SETTINGS.divisions)
TABLES: Final = SETTINGS.rules.at(AS_OF)
_SCHEMES: Final = {
    "shanghai": ("ENV_SHANGHAI_OLD", ("很好", "好", "一般", "差", "很差"), 2024),
    "jiangsu": ("ENV_JIANGSU", ("绿", "蓝", "黄", "红", "黑"), 2026),
    "zhejiang": ("ENV_ZHEJIANG", ("A", "B", "C", "D", "E"), 2025),
    "anhui": ("ENV_ANHUI", ("诚信", "良好", "警示", "不良", "未知等级"), 2026),
}


def assessor(policy: Any = SETTINGS.green.default, platforms: Any = PLATFORMS) -> Assessor:
    """Gives an assessor by the shipped rules that has judged nothing yet, nor have its tables."""
    return Assessor(policy, TablesOfDay(TABLES.tables).evaluate, SETTINGS.rules.facts, platforms, SETTINGS.crosswalk)


def day(year: int, month: int = 1, number: int = 1) -> Any:
    """A date as messages take it by keyword."""
    return {"year": year, "month": month, "day": number}


def body(province: str, name: str = "生态环境局") -> Any:
    """An authority of a province, as messages take it by keyword."""
    return {"code": f"11{province}0000MA0000000"[:18], "name": name}


def answer(platform: str, *records: Any, told: int = 20) -> Answer:
    """Gives a platform's answer on all green categories with these records."""
    said = view_pb2.Answer(platform=platform)
    said.as_of.seconds = 1_790_000_000 + told * 86_400
    counts = dict.fromkeys(CATEGORIES, 0)
    for record in records:
        plan = next(p for p in CATALOGUE.plans if isinstance(record, p.message))
        record.envelope.provenances.add(platform=platform)
        getattr(said.records, plan.records_field).append(record)
        counts[plan.category] += 1  # type: ignore[index]  # enums are ints at run time
    said.outcome = view_pb2.OUTCOME_OK if records else view_pb2.OUTCOME_NO_RECORDS
    for category, count in counts.items():
        outcome = view_pb2.OUTCOME_OK if count else view_pb2.OUTCOME_NO_RECORDS
        said.categories.add(category=category, outcome=outcome, record_count=count)
    return Answer(said=said)


def failed(platform: str) -> Answer:
    """Gives the answer of a platform that timed out."""
    return failed_answer(platform, view_pb2.OUTCOME_TIMEOUT, "drawn", CATEGORIES)


def view_of(answers: Iterable[Answer], platforms: Iterable[str] = PLATFORMS) -> view_pb2.CreditView:
    """Gives the merged view of answers."""
    query = CreditQuery(USCC, view_pb2.PURPOSE_GREEN_REVIEW, CATEGORIES, tuple(sorted(platforms)))
    readings = [READER.read(each, USCC.value) for each in answers]
    return MERGER.merge(readings, query, Permit("test", CATEGORIES), AS_OF).view


def registration(industry: str = "C3484") -> registration_pb2.Registration:
    """A registration of an industry."""
    return registration_pb2.Registration(industry_code=industry, registration_authority=body("31", "市场监督管理局"))


def listed(year: int = 2018, basis: int = conduct_pb2.LIST_BASIS_REGIONAL_MEMO, **more: Any) -> conduct_pb2.ListEntry:
    """An entry of the regional environmental list."""
    values: dict[str, Any] = {
        "list_code": "YRD_ENV", "list_year": year, "basis": basis, "joint_field": conduct_pb2.JOINT_FIELD_ENVIRONMENT,
        "listed_on": day(year, 12), "authority": body("33"), **more,
    }  # fmt: skip
    return conduct_pb2.ListEntry(**values)


def graded(platform: str, label: str, on: Any = None, scheme: str = "") -> evaluation_pb2.Evaluation:
    """A grade of a platform's own environmental scheme."""
    own, _, year = _SCHEMES[platform]
    return evaluation_pb2.Evaluation(
        scheme_id=scheme or own, raw_grade=label, authority=body(PROVINCES[platform]), rated_on=on or day(year, 3)
    )


def penalised(number: str = "沪环罚〔2026〕1号", kinds: Any = (conduct_pb2.PENALTY_KIND_FINE,), **more: Any) -> Any:
    """An environmental penalty in publication."""
    values: dict[str, Any] = {
        "document_number": number, "kinds": kinds, "authority": body("31"), "violation_type": "超标排放水污染物",
        "domain": conduct_pb2.PENALTY_DOMAIN_ENVIRONMENT, "decided_on": day(2026, 6), **more,
    }  # fmt: skip
    return conduct_pb2.Penalty(**values)


def permit(**more: Any) -> conduct_pb2.Licence:
    """A discharge licence in force."""
    values: dict[str, Any] = {
        "document_number": "沪环许〔2025〕1号", "is_pollution_permit": True, "authority": body("31"),
        "licence_status": conduct_pb2.LICENCE_STATUS_IN_FORCE, "valid_to": day(2029), "decided_on": day(2025), **more,
    }  # fmt: skip
    return conduct_pb2.Licence(**values)


def repaired(record: Any, year: int = 2026, month: int = 10, number: int = 1) -> Any:
    """The same record, repaired."""
    record.envelope.status = envelope_pb2.RECORD_STATUS_REPAIRED
    record.envelope.status_on.year, record.envelope.status_on.month, record.envelope.status_on.day = year, month, number
    return record


def drawn(seed: int, *, failing: float = 0.08) -> list[Answer]:
    """Draws one answer per platform; most enterprises have something, few have everything."""
    rng = Random(seed)
    answers = []
    for name, code in PROVINCES.items():
        if rng.random() < failing:
            answers.append(failed(name))
            continue
        records: list[Any] = []
        if rng.random() < 0.8:
            records.append(registration(rng.choice(("C3484", "C2661", "G5810", ""))))
        if rng.random() < 0.35:
            labels = _SCHEMES[name][1]
            on = day(2020) if rng.random() < 0.1 else None
            records.append(graded(name, rng.choices(labels, (40, 30, 12, 10, 8))[0], on))
        if rng.random() < 0.12:
            basis = rng.choice((conduct_pb2.LIST_BASIS_LAW, conduct_pb2.LIST_BASIS_REGIONAL_MEMO))
            entry = listed(rng.choice((2017, 2018, 2019)), basis)
            records.append(repaired(entry) if rng.random() < 0.3 else entry)
        for number in range(rng.choices((0, 1, 2), (75, 17, 8))[0]):
            kind = rng.choice((conduct_pb2.PENALTY_KIND_FINE, conduct_pb2.PENALTY_KIND_WARNING,
                               conduct_pb2.PENALTY_KIND_CLOSURE, conduct_pb2.PENALTY_KIND_UNMAPPED))  # fmt: skip
            what = rng.choice(("超标排放水污染物", "未批先建", "污染环境罪"))
            penalty = penalised(f"{code}环罚〔2026〕{number}号", (kind,), violation_type=what, authority=body(code))
            if rng.random() < 0.2:
                penalty.envelope.status = envelope_pb2.RECORD_STATUS_DISPUTED
            records.append(penalty)
        if rng.random() < 0.2:
            records.append(permit(authority=body(code), licence_status=rng.choice((1, 1, 2, 3, 4))))
        answers.append(answer(name, *records, told=20 - 250 * (rng.random() < 0.03)))
    return answers
