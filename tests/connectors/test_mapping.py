"""Mappings: data compiled at start-up, faults listed, drift flagged, nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.kit.mapping import MappingFault, compile_mapping
from connectors.kit.payload import PayloadReader
from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_HONOUR,
    CATEGORY_PENALTY,
    CATEGORY_SUBJECT,
    CATEGORY_TAX_PAYMENT,
)
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.errors import PlatformError
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import CategoryCoverage, Platform, PlatformLimits, Tier
from gateway.domain.statement import AuthorityIds, Reader

USCC = "91310115MA0TERT167"
MAPPING: dict[str, Any] = {
    "subject_code": "code",
    "as_of": {"from": "day", "format": "iso"},
    "penalties": {
        "rows": "rows.penalty",
        "record_key": "id",
        "ignored": ["trace"],
        "subject": {"uscc": "uscc", "registration_number": "reg"},
        "fields": {
            "document_number": "no",
            "authority": {"as": "authority", "name": "body"},
            "fine": {"from": "fine", "as": "money", "unit": "万元"},
            "decided_on": {"from": "decided", "as": "date", "format": "iso"},
            "valid_to": {"from": "until", "as": "date", "format": "iso", "indefinite": "valid_is_indefinite"},
            "kinds": {"from": "kinds", "as": "codes", "split": "、;", "codes": {"罚款": "FINE", "警告": "WARNING"}},
            "severity": {"from": "severity", "as": "code", "codes": {"一般": "GENERAL"}},
        },
        "envelope": {"status": {"from": "status", "as": "code", "codes": {"0": "VALID"}}},
    },
}
ROW = {"id": "p1", "uscc": USCC, "no": "沪〔2026〕1号", "body": "上海市环境局", "fine": Decimal("0.2"), "decided": "2026-05-08",
       "until": "长期", "kinds": "罚款、警告", "severity": "一般", "status": "0", "trace": "x"}  # fmt: skip


def read(*rows: dict[str, Any], pages: list[Any] | None = None, max_records: int = 100) -> Answer:
    coverage: dict[int, CategoryCoverage] = {CATEGORY_PENALTY: CategoryCoverage(CATEGORY_PENALTY)}
    limits = PlatformLimits(max_records=max_records)
    platform = Platform("p", "平台", "platform", Tier.PROVINCE, coverage=coverage, limits=limits)
    reader = PayloadReader(platform, compile_mapping(MAPPING))
    return reader.answer(
        pages if pages is not None else [{"code": USCC, "day": "2026-10-31", "rows": {"penalty": list(rows)}}],
        Uscc.parse(USCC),
        [CATEGORY_PENALTY, CATEGORY_HONOUR],
        fetched_at=datetime(2026, 11, 24, tzinfo=UTC),
        raw_digest=b"d",
    )


def test_a_row_becomes_a_record_of_the_catalogue() -> None:
    said = read(ROW).said

    record = said.records.penalties[0]
    assert (record.document_number, record.authority.name, record.fine.minor_units) == (
        "沪〔2026〕1号",
        "上海市环境局",
        200_000,
    )
    assert list(record.kinds) == [conduct_pb2.PENALTY_KIND_WARNING, conduct_pb2.PENALTY_KIND_FINE]
    assert (record.kinds_raw, record.valid_is_indefinite, record.HasField("valid_to")) == ("罚款、警告", True, False)
    assert record.envelope.provenances[0].platform_record_key == "p1"
    assert record.envelope.status == envelope_pb2.RECORD_STATUS_VALID
    assert said.as_of.ToDatetime(UTC) == datetime(2026, 10, 30, 16, tzinfo=UTC)
    assert not said.drifts


def test_a_category_the_platform_does_not_cover_is_not_covered() -> None:
    said = read(ROW).said

    assert [(c.category, c.outcome) for c in said.categories] == [
        (CATEGORY_PENALTY, view_pb2.OUTCOME_OK),
        (CATEGORY_HONOUR, view_pb2.OUTCOME_NOT_COVERED),
    ]


def test_no_rows_are_no_records_but_a_missing_category_is_a_bad_answer() -> None:
    assert read().said.categories[0].outcome == view_pb2.OUTCOME_NO_RECORDS

    missing = read(pages=[{"code": USCC, "rows": {}}]).said

    assert (missing.categories[0].outcome, missing.categories[0].reason) == (
        view_pb2.OUTCOME_BAD_ANSWER,
        "category_missing",
    )


def test_P17_an_unknown_code_is_unmapped_with_its_raw_value() -> None:
    record = read({**ROW, "severity": "特别严重"}).said.records.penalties[0]

    assert record.severity == conduct_pb2.SEVERITY_UNMAPPED
    assert record.severity_raw == "特别严重"
    assert [(d.path, d.reason) for d in record.envelope.drifts] == [("rows.penalty[0].severity", "code.unmapped")]


def test_P15_a_value_that_cannot_be_read_is_absent_and_flagged_where_it_stood() -> None:
    record = read(ROW, {**ROW, "id": "p2", "fine": "0.00000001", "decided": "2026-02-30"}).said.records.penalties[1]

    assert not record.HasField("fine")
    assert not record.HasField("decided_on")
    assert {(d.path, d.reason) for d in record.envelope.drifts} == {
        ("rows.penalty[1].fine", "money.sub_fen"),
        ("rows.penalty[1].decided", "date.impossible"),
    }


@pytest.mark.parametrize("fine", [-1, "-1", "－0.2", Decimal("-0.000001")])
def test_a_fine_below_zero_is_no_amount_and_is_told(fine: Any) -> None:
    answer = read({**ROW, "fine": fine})

    (record,) = answer.said.records.penalties
    assert not record.HasField("fine")
    assert [(one.path, one.reason) for one in record.envelope.drifts] == [("rows.penalty[0].fine", "money.negative")]


def test_P15_nothing_is_shown_of_what_is_no_value_nor_a_number_of_a_person_in_an_unknown_code() -> None:
    person = {"name": "李四五", "id": "310101199001011234"}

    nested = read({**ROW, "severity": person, "decided": person, "fine": [person], "kinds": ["罚款", person]})
    labelled = read({**ROW, "severity": "一般（310101199001011234）", "kinds": "罚款、310101199001011234"})

    for answer in (nested, labelled):
        assert "李四五" not in str(answer.said)
        assert "19900101" not in str(answer.said)
    (penalty,), (other,) = nested.said.records.penalties, labelled.said.records.penalties
    assert list(penalty.kinds) == [conduct_pb2.PENALTY_KIND_FINE, conduct_pb2.PENALTY_KIND_UNMAPPED]
    assert (penalty.severity, penalty.kinds_raw) == (conduct_pb2.SEVERITY_UNMAPPED, "罚款")
    assert {drift.reason for drift in penalty.envelope.drifts} == {"code.type", "date.type", "text.type"}
    assert other.severity_raw == "一般（310***********1234）"


@pytest.mark.parametrize(
    ("raw", "names"), [(Decimal("1.5"), []), (7, []), ({"a": 1}, []), (["甲", {"b": "乙"}], ["甲"]), (["甲"], ["甲"])]
)
def test_P15_names_that_are_none_are_flagged(raw: Any, names: list[str]) -> None:
    mapping = compile_mapping(
        {"subject_code": "code", "subjects": {"rows": "s", "fields": {"former_names": {"from": "f", "as": "names"}}}}
    )
    coverage: dict[int, CategoryCoverage] = {CATEGORY_SUBJECT: CategoryCoverage(CATEGORY_SUBJECT)}
    reader = PayloadReader(Platform("p", "平台", "platform", Tier.PROVINCE, coverage=coverage), mapping)

    (subject,) = reader.answer(
        [{"code": USCC, "s": [{"f": raw}]}],
        Uscc.parse(USCC),
        [CATEGORY_SUBJECT],
        fetched_at=datetime(2026, 11, 24, tzinfo=UTC),
        raw_digest=b"d",
    ).said.records.subjects

    assert list(subject.former_names) == names
    assert [drift.reason for drift in subject.envelope.drifts] == ["names.type"] * (raw != ["甲"])


def test_P16_an_unknown_key_is_drift_once_per_answer_without_its_value() -> None:
    said = read({**ROW, "newKey": "13800000000"}, {**ROW, "newKey": "13900000000"}).said

    assert [(d.path, d.reason, d.raw) for d in said.drifts] == [("rows.penalty[].newKey", "field.unknown", "")]


@pytest.mark.parametrize("where", ["page", "row"])
def test_P21_another_enterprises_code_drops_the_whole_answer(where: str) -> None:
    other = "91310115MAC0DEM080"
    rows = [{**ROW, "uscc": other}] if where == "row" else [ROW]
    code = other if where == "page" else USCC

    with pytest.raises(PlatformError) as raised:
        read(pages=[{"code": code, "rows": {"penalty": rows}}])

    assert raised.value.cause == "wrong_subject"


def test_a_record_matched_by_its_old_number_carries_how() -> None:
    record = read({**ROW, "uscc": "", "reg": "310115000000012"}).said.records.penalties[0]

    assert record.envelope.provenances[0].match_method == envelope_pb2.MATCH_METHOD_REGISTRATION_NUMBER


def test_P11_codes_are_stated_in_their_one_form_however_a_platform_writes_them() -> None:
    mapping = {
        "subject_code": "code",
        "subjects": {"rows": "s", "fields": {"uscc": "c", "organisation_code": "o", "name": "n"}},
        "penalties": {
            "rows": "p",
            "fields": {"document_number": "no", "authority": {"as": "authority", "code": "body"}},
        },
    }
    categories = (CATEGORY_SUBJECT, CATEGORY_PENALTY)
    platform = Platform("p", "平台", "platform", Tier.PROVINCE, coverage={c: CategoryCoverage(c) for c in categories})
    row = {"c": "９1310115ma0tert167", "o": "ma0tert1-6", "n": "Ａ b"}
    page = {"code": USCC.lower(), "s": [row], "p": [{"no": "1", "body": " 11310000mb2f30041x"}]}

    answer = PayloadReader(platform, compile_mapping(mapping)).answer(
        [page], Uscc.parse(USCC), categories, fetched_at=datetime(2026, 11, 24, tzinfo=UTC), raw_digest=b"d"
    )

    reading = Reader(CATALOGUE, AuthorityIds({}), {"p": platform}).read(answer, USCC)
    assert reading.answer.outcome == view_pb2.OUTCOME_OK
    (subject,) = answer.said.records.subjects
    assert (subject.uscc, subject.organisation_code, subject.name) == (USCC, "MA0TERT16", "Ａ b")
    assert answer.said.records.penalties[0].authority.code == "11310000MB2F30041X"


def test_P7_records_beyond_the_cap_make_the_answer_partial() -> None:
    said = read(*(ROW for _ in range(7)), max_records=5).said

    assert (said.outcome, said.reason, said.categories[0].record_count) == (view_pb2.OUTCOME_PARTIAL, "cap", 5)


@pytest.mark.parametrize("rows", ["text", {"a": 1}, [1]])
def test_P2_rows_of_another_shape_are_a_bad_answer(rows: Any) -> None:
    with pytest.raises(PlatformError) as raised:
        read(pages=[{"code": USCC, "rows": {"penalty": rows}}])

    assert raised.value.cause == "shape"


def test_P19_a_data_date_that_cannot_be_read_is_drift_not_a_guess() -> None:
    said = read(pages=[{"code": USCC, "day": "yesterday", "rows": {"penalty": []}}]).said

    assert not said.HasField("as_of")
    assert [(d.path, d.reason) for d in said.drifts] == [("day", "date.format")]


def test_every_fault_of_a_mapping_is_listed() -> None:
    broken = {
        "nonsense": {},
        "penalties": {
            "fields": {"no_such_field": "x", "fine": {"from": "f", "as": "money", "unit": "斤"}, "severity": {"from": "s", "as": "code", "codes": {"a": "NOPE"}}},
            "envelope": {"conflicts": "x"},
        },
    }  # fmt: skip

    with pytest.raises(MappingFault) as raised:
        compile_mapping(broken)

    text = "\n".join(raised.value.faults)
    for place in (
        "nonsense:",
        "fields.no_such_field",
        "fields.fine",
        "fields.severity",
        "envelope.conflicts",
        "penalties.rows",
    ):
        assert place in text


@pytest.mark.parametrize(
    ("field", "line", "fault"),
    [
        ("decided_on", {"from": "d", "as": "date"}, "format is missing; use one of iso, compact"),
        ("decided_on", {"as": "date", "format": "iso"}, "from is missing"),
        ("decided_on", 5, "must be a key of the payload, or a table with from and as"),
        ("severity", {"from": "s", "as": "code"}, "codes is missing"),
        ("severity", {"from": "s", "as": "code", "codes": {"一般": "GENERAL"}, "default": "x"}, "default: unknown key"),
        ("content", {"from": "c", "as": "code", "codes": {"a": "b"}}, "a field of this type cannot be read as 'code'"),
        ("authority", {"as": "authority", "nmae": "body"}, "say under which keys the body's name and code stand"),
        ("authority", {"as": "authority", "name": "body", "cod": "x"}, "cod: unknown key"),
        ("contents", "c", "Penalty has no such field; it has document_number, authority"),
    ],
)
def test_a_line_that_cannot_be_meant_so_is_a_fault_that_says_what_to_write(field: str, line: Any, fault: str) -> None:
    mapping = {**MAPPING, "penalties": {"rows": "rows", "fields": {field: line}}}

    with pytest.raises(MappingFault) as raised:
        compile_mapping(mapping)

    (found,) = raised.value.faults
    assert found.startswith(f"penalties.fields.{field}: {fault}")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"subject_code": ""}, "subject_code: is missing; say where the payload states the enterprise's code"),
        ({"as_of": "day"}, "as_of: must be a table such as"),
        ({"as_of": {"format": "iso"}}, "as_of: must be a table such as"),
        ({"as_of": {"from": "day", "fromat": "iso"}}, "as_of: converter 'date' does not take fromat"),
        ({"penalties": {**MAPPING["penalties"], "field": {}}}, "penalties.field: unknown key"),
        ({"penalties": "rows"}, "penalties: must be a table"),
        ({"penalty": {}}, "penalty: no such field of Records; it has subjects"),
    ],
)
def test_a_key_that_nobody_reads_is_a_fault_and_so_is_a_code_that_nobody_checks(
    changed: dict[str, Any], fault: str
) -> None:
    with pytest.raises(MappingFault) as raised:
        compile_mapping({**MAPPING, **changed})

    (found,) = raised.value.faults
    assert found.startswith(fault)


def test_a_period_is_stated_in_its_one_form() -> None:
    fields = {"period": "month", "period_type": {"constant": "MONTH"}}
    platform = Platform(
        "p", "平台", "platform", Tier.PROVINCE, coverage={CATEGORY_TAX_PAYMENT: CategoryCoverage(CATEGORY_TAX_PAYMENT)},
        limits=PlatformLimits(),
    )  # fmt: skip
    mapping = {"subject_code": "code", "tax_payments": {"rows": "rows", "record_key": "id", "fields": fields}}
    rows = [
        {"id": str(number), "month": month} for number, month in enumerate(("202501", " 2025年1月", "2025-Q1", "暂无"))
    ]

    answer = PayloadReader(platform, compile_mapping(mapping)).answer(
        [{"code": USCC, "rows": rows}], Uscc.parse(USCC), [CATEGORY_TAX_PAYMENT],
        fetched_at=datetime(2026, 11, 24, tzinfo=UTC), raw_digest=b"d",
    )  # fmt: skip

    assert [one.period for one in answer.said.records.tax_payments] == ["2025-01", "2025-01", "2025-Q1", ""]
