"""Coded values that no code list knows: two of them are two, and their records do not become one."""

from __future__ import annotations

from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import capability_pb2, conduct_pb2, evaluation_pb2, fiscal_pb2, judicial_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_ENCUMBRANCE,
    CATEGORY_EVALUATION,
    CATEGORY_LIST_ENTRY,
    CATEGORY_QUALIFICATION,
    CATEGORY_UTILITY,
)
from gateway.domain.catalogue import CATALOGUE
from tests.domain.test_merge import HEFEI, day, merged, said


def listed(raw: str) -> conduct_pb2.ListEntry:
    return conduct_pb2.ListEntry(list_code="UNMAPPED", list_name_raw=raw, listed_on=day(2026, 1, 2))


def graded(raw: str) -> evaluation_pb2.Evaluation:
    return evaluation_pb2.Evaluation(scheme_id="UNMAPPED", scheme_raw=raw, period="2025", raw_grade=raw[:1])


def qualified(raw: str) -> capability_pb2.Qualification:
    return capability_pb2.Qualification(kind=capability_pb2.QUALIFICATION_KIND_UNMAPPED, kind_raw=raw)


def encumbered(raw: str) -> judicial_pb2.Encumbrance:
    kind = judicial_pb2.ENCUMBRANCE_KIND_UNMAPPED
    return judicial_pb2.Encumbrance(kind=kind, kind_raw=raw, authority=HEFEI, registered_on=day(2026, 1, 2))


def used(raw: str, region: str = "310000") -> fiscal_pb2.Utility:
    return fiscal_pb2.Utility(
        kind=fiscal_pb2.UTILITY_KIND_UNMAPPED,
        kind_raw=raw,
        period="2026-01",
        period_type=fiscal_pb2.PERIOD_TYPE_MONTH,
        region=region,
        usage=3,
    )


@pytest.mark.parametrize(
    ("category", "of"),
    [
        (CATEGORY_LIST_ENTRY, listed),
        (CATEGORY_EVALUATION, graded),
        (CATEGORY_QUALIFICATION, qualified),
        (CATEGORY_ENCUMBRANCE, encumbered),
        (CATEGORY_UTILITY, used),
    ],
)
def test_P17_values_that_no_code_list_knows_are_told_apart_as_they_were_written(category: int, of: Any) -> None:
    view = merged(
        category,
        said("anhui", category, of("甲（一）"), of("乙")),
        said("jiangsu", category, of("甲(一)")),
    ).view

    records = getattr(view.records, CATALOGUE.by_category[category].records_field)
    assert sorted(len(record.envelope.provenances) for record in records) == [1, 2]
    assert not any(record.envelope.conflicts for record in records if len(record.envelope.provenances) == 1)


def test_what_nobody_knows_is_not_summed_with_what_else_nobody_knows() -> None:
    view = merged(
        CATEGORY_UTILITY,
        said("shanghai", CATEGORY_UTILITY, used("蒸汽")),
        said("jiangsu", CATEGORY_UTILITY, used("蒸汽", "320000"), used("热水", "320000")),
    ).view

    assert [(total.number, list(total.regions)) for total in view.totals] == [(6, ["310000", "320000"])]
