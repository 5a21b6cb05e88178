"""Faults of meaning (fault catalogue, P15 to P24): gaps, drift, odd dates, another firm, repetition, contradiction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import PENALTY_KIND_UNMAPPED, Penalty
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Drift
from tests.faults.declared import PLATFORMS, fault
from tests.faults.dialects import Document
from tests.faults.house import OTHER, Case
from tests.faults.proxy import Exchange

OWN_DATE: dict[str, Callable[[int, int, int], str]] = {
    "shanghai": lambda y, m, d: f"{y}-{m:02}-{d:02}",
    "jiangsu": lambda y, m, d: f"{y}{m:02}{d:02}",
    "zhejiang": lambda y, m, d: f"{y}-{m:02}-{d:02}",
    "anhui": lambda y, m, d: f"{y}年{m}月{d}日",
}
"""How each dialect writes a date."""


def first_penalty(case: Case, key: Callable[[Document], str], *value: Any) -> None:
    """Has the first penalty's key say something else, or go missing where no value is given."""

    def change(document: Document) -> None:
        row = document.penalties[0]
        if value:
            row[key(document)] = value[0]
        else:
            del row[key(document)]

    case.rewrites(change)


def flagged(penalty: Penalty, key: str) -> Sequence[Drift]:
    """Gives what was flagged on one payload key of a record."""
    return [drift for drift in penalty.envelope.drifts if drift.path.endswith(f".{key}")]


@fault("P15", "a mandatory value is missing", "必填字段缺失", "OK")
async def test_P15_a_record_without_a_mandatory_value_is_kept_and_the_gap_flagged(case: Case) -> None:
    first_penalty(case, lambda document: document.names.document)

    seen = await case.ask()

    case.check(seen)
    drifts = flagged(seen.answer.said.records.penalties[0], case.dialect.names.document)
    assert [drift.reason for drift in drifts] == ["value.missing"]


@fault("P15", "a mandatory value is null or empty", "必填字段为 null 或空", "OK")
async def test_P15_a_record_with_an_empty_mandatory_value_is_kept_and_the_gap_flagged(case: Case) -> None:
    first_penalty(case, lambda document: document.names.document, None)

    seen = await case.ask()

    case.check(seen)
    drifts = flagged(seen.answer.said.records.penalties[0], case.dialect.names.document)
    assert [drift.reason for drift in drifts] == ["value.missing"]


@fault("P15", "a value is an object", "字段值为对象", "OK", spared={"anhui": "a cell of its rows is a text"})
async def test_P15_a_value_of_another_shape_is_left_out_and_flagged(case: Case) -> None:
    first_penalty(case, lambda document: document.names.document, {})

    seen = await case.ask()

    case.check(seen)
    penalty = seen.answer.said.records.penalties[0]
    drifts = flagged(penalty, case.dialect.names.document)
    assert (penalty.document_number, [drift.reason for drift in drifts]) == ("", ["text.type"])


@fault("P16", "a field nobody knows", "未知字段", "OK")
async def test_P16_an_unknown_field_is_drift_and_logged_once(case: Case) -> None:
    first_penalty(case, lambda document: "newKey", "新")

    seen, again = await case.ask(), await case.ask(uscc=OTHER)

    case.check(seen)
    drifts = [drift for drift in seen.answer.said.drifts if drift.path.endswith("[].newKey")]
    logged = [event for event in (*seen.events, *again.events) if event["event"] == "platform.drift"]
    assert [drift.reason for drift in drifts] == ["field.unknown"]
    assert [(event["platform"], event["path"]) for event in logged] == [(case.platform, drifts[0].path)]


@fault("P16", "a field was renamed", "字段改名", "OK")
async def test_P16_a_renamed_field_leaves_its_value_out_and_is_flagged_by_its_new_name(case: Case) -> None:
    def change(document: Document) -> None:
        row = document.penalties[0]
        row["renamed"] = row.pop(document.names.fine)

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert not seen.answer.said.records.penalties[0].HasField("fine")
    assert [drift.path.rpartition(".")[2] for drift in seen.answer.said.drifts] == ["renamed"]


@fault("P17", "a code nobody knows", "未知代码", "OK")
async def test_P17_an_unknown_code_is_unmapped_with_its_original(case: Case) -> None:
    first_penalty(case, lambda document: document.names.kinds, "新处罚种类")

    seen = await case.ask()

    case.check(seen)
    penalty = seen.answer.said.records.penalties[0]
    assert (list(penalty.kinds), penalty.kinds_raw) == ([PENALTY_KIND_UNMAPPED], "新处罚种类")
    assert [drift.reason for drift in flagged(penalty, case.dialect.names.kinds)] == ["code.unmapped"]


@fault("P18", "dates that do not exist or are not as declared", "不存在或格式不符的日期", "OK")
async def test_P18_an_odd_date_is_left_out_and_flagged_never_guessed(case: Case) -> None:
    odd = [OWN_DATE[case.platform](2024, 2, 30), "00000000", "二〇二四年", "1709164800", "1709164800000", "2024/2/3"]

    def change(document: Document) -> None:
        first = document.penalties[0]
        document.tables[document.penalties_key] = [
            {**first, document.names.document: f"第{n}号", document.names.decided: date} for n, date in enumerate(odd)
        ]

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    penalties = seen.answer.said.records.penalties
    assert len(penalties) == len(odd)
    assert [penalty.HasField("decided_on") for penalty in penalties] == [False] * len(odd)
    assert all(flagged(penalty, case.dialect.names.decided) for penalty in penalties)


@fault(
    "P19",
    "data said to be of the future",
    "数据日期在未来",
    "OK",
)
async def test_P19_a_data_date_in_the_future_is_flagged_and_makes_nothing_fresh(case: Case) -> None:
    def change(document: Document) -> None:
        document.head[document.names.as_of] = OWN_DATE[case.platform](2999, 1, 1)

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert not seen.answer.said.HasField("as_of")
    assert [drift.path.rpartition(".")[2] for drift in seen.answer.said.drifts] == [case.dialect.names.as_of]


@fault("P21", "an answer about another firm", "应答属于其他企业", "BAD_ANSWER(wrong_subject)")
async def test_P21_an_answer_about_another_firm_is_dropped_whole_and_reported(case: Case) -> None:
    def change(document: Document) -> None:
        document.head[document.names.subject] = OTHER

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    said = {"platform": case.platform, "reason": "wrong_subject"}
    assert {"event": "security.refused_answer", "log_level": "error", **said} in seen.events
    assert seen.answer.attempts == 1
    assert case.platform not in {
        provenance.platform
        for _, records in seen.view.records.ListFields()
        for record in records
        for provenance in record.envelope.provenances
    }


@fault("P23", "the same record twice in one answer", "同一应答内记录重复", "OK")
async def test_P23_a_record_that_comes_twice_is_one_record(case: Case) -> None:
    def change(document: Document) -> None:
        document.penalties.append(dict(document.penalties[0]))

    case.rewrites(change)

    seen = await case.ask()

    case.check(seen)
    assert len(seen.answer.said.records.penalties) == len(case.control.records.penalties) + 1
    assert seen.view.records.penalties == case.house.control_view.records.penalties


@fault("P23", "the same record from four platforms", "四个平台给出同一记录", "OK")
async def test_P23_a_record_of_four_platforms_is_one_with_four_provenances(case: Case) -> None:
    seen = await case.ask()

    case.check(seen)
    (subject,) = seen.view.records.subjects
    assert sorted(provenance.platform for provenance in subject.envelope.provenances) == sorted(PLATFORMS)


@fault("P24", "platforms contradict each other", "平台之间相互矛盾", "OK")
async def test_P24_a_contradiction_is_listed_with_all_values_and_settled_alike_in_any_order(case: Case) -> None:
    waits = [0.0, 0.15]

    def change(document: Document) -> None:
        document.subject[document.names.name] = "另一名称有限公司"

    dialect = case.dialect

    async def contradicts(exchange: Exchange) -> None:
        original = await exchange.original()
        await asyncio.sleep(waits[0])
        exchange.write(original.with_body(dialect.changed(original.body, change)).wire())

    case.on_data(contradicts)

    first = await case.ask()
    waits.pop(0)
    last = await case.ask()

    case.check(first)
    (subject,) = first.view.records.subjects
    (conflict,) = [conflict for conflict in subject.envelope.conflicts if conflict.field == "name"]
    assert "另一名称有限公司" in str(conflict)
    assert first.view == last.view
