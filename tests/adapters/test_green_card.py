"""The card of an assessment as a reviewer sees it, in a terminal of 100 columns."""

from __future__ import annotations

import inspect
import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.console import Console

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway.adapters.rpc.green_messages import assessment_message
from gateway.application.assess import Assessed
from gateway.cli import green_card
from gateway.cli.green_card import show_assessment, show_recognition
from gateway.domain import field_facts, green_facts, green_reading
from gateway.domain.green import Assessment, canonical
from gateway.domain.green_policy import Admission, Measure
from tests.domain.green_worlds import (
    SETTINGS,
    answer,
    assessor,
    failed,
    graded,
    listed,
    penalised,
    registration,
    view_of,
)

TITLES = {(t.digest, row.row_id): row.outputs["en"] for t in SETTINGS.rules.tables for row in t.rows}
ASSESSOR = assessor()
OTHERS = ("jiangsu", "zhejiang", "anhui")


def assessed(*records: object) -> Assessment:
    return ASSESSOR.assess(view_of([answer("shanghai", registration(), *records), *map(answer, OTHERS)]))


def message(found: Assessment) -> pb.GreenAssessment:
    beside = Assessed(found, "某某化工有限公司", "answer-1", datetime(2026, 11, 24, tzinfo=UTC))
    return assessment_message(beside, SETTINGS.rules.facts, TITLES)


def card(found: Assessment) -> str:
    said = io.StringIO()
    show_assessment(Console(file=said, width=100), message(found))
    return said.getvalue()


def test_a_rule_that_nearly_fired_says_what_it_wants_in_both_languages() -> None:
    nearly = {near.row: near for near in message(assessed(penalised())).nearly}

    worst, positive = nearly["V2.worst"], nearly["V6.warning"]
    assert (worst.wanted, worst.wanted_en, worst.wanted_zh) == ('"SEVERE"', "worst (black)", "最差（黑／不良）")
    assert worst.title_en == "has the worst environmental grade"
    assert positive.actual.said_zh == "未参评"


def test_the_card_of_a_listed_enterprise_says_measure_reason_change_and_what_nearly_fired() -> None:
    said = card(assessed(listed(), graded("jiangsu", "黄")))

    assert (
        said.index("次年退出不再续贷 leave next year") < said.index("→ 次年退出不再续贷") < said.index("依据 Evidence")
    )
    assert "使结论转好的最小变化 The smallest change that would better it" in said
    assert "生态环境领域失信名单：已列入 → 未列入" in said
    assert "environmental list of severe dishonesty: listed → not listed" in said
    nearly = said[said.index("差一项事实即触发的规则 Rules one fact short of firing") :]
    assert "责令停产停业、关闭或吊销排污许可证：无；若 公示期内 则 V4" in nearly
    assert "V4 if in publication" in nearly
    assert "V1" not in nearly.replace("V1C", "")  # it fired
    assert "V7" not in nearly  # its gaps are the coverage panel's


def test_an_incomplete_card_never_promises_that_a_small_change_betters_it() -> None:
    found = ASSESSOR.assess(
        view_of([answer("shanghai", registration(), penalised()), failed("jiangsu"), *map(answer, OTHERS[1:])])
    )

    said = card(found)

    assert "数据不完整，须人工判定 data incomplete: a person decides" in said
    assert "已知事实至少要求 what is known demands at least: 督促整改 urge rectification" in said
    assert "缺失信息补齐后重新评估 supply what is missing, then assess again" in said
    assert "✗ jiangsu 登记 registration, 许可 licence, 处罚 penalty" in said


def test_facts_under_reasons_and_what_cannot_be_told_read_in_both_languages() -> None:
    strange = penalised("〔2026〕9号", kinds=[], domain=0, authority={"code": "11310000MA00000001"})

    said = card(assessed(graded("jiangsu", "黑"), strange))

    assert "环境信用等级（统一等级，取现行最差）：最差（黑／不良）" in said
    assert "environmental credit grade (one scale, worst current): worst (black)" in said
    assert "cannot be told (处罚所属领域不明 a penalty of unknown field)" in said


def test_the_facts_of_a_recognition_read_in_both_languages() -> None:
    kind = SETTINGS.rules.facts["env_list"]
    fact = pb.GreenFact(
        name=kind.name, title_zh=kind.title_zh, title_en=kind.title_en, said_zh="已列入", said_en="listed"
    )
    unknown = pb.GreenFact(title_zh="环境犯罪", title_en="environmental crime", said_zh="未知", said_en="unknown")
    by = pb.ProvinceRecognition(
        recognised=pb.RECOGNISED_UNDECIDED, because=[fact], undecided=[unknown], certainty="unsure"
    )
    said = io.StringIO()

    show_recognition(Console(file=said, width=300), pb.RecogniseEnterpriseResponse(provinces=[by]))

    for text in (f"{kind.title_zh}：已列入", f"{kind.title_en}: listed", "? 环境犯罪：未知", "environmental crime: unknown",
                 "不确定 unsure"):  # fmt: skip
        assert text in said.getvalue()


def test_every_text_of_what_cannot_be_told_is_known_to_the_card() -> None:
    sources = "".join(inspect.getsource(module) for module in (green_reading, green_facts, field_facts))

    told = re.findall(r'_unclear\(\w+, f?"(?:\{\w+\}: )?([^"]+)"', sources)

    assert len(told) > 4
    assert [text for text in told if text not in green_card._DETAILS] == []


def test_that_all_can_be_told_is_said_in_full() -> None:
    assert SETTINGS.rules.facts["clarity"].said("CLEAR") == ("all can be told", "均可识别")


def test_a_rule_that_the_banks_policy_changed_is_told_from_the_tables_own() -> None:
    own = replace(SETTINGS.green.default, measures={"V1": Measure.REDUCE}, admissions={"V6": Admission.HOLD})
    records = [registration(), listed(), graded("jiangsu", "黄")]
    found = assessor(own).assess(view_of([answer("shanghai", *records), *map(answer, OTHERS)]))

    said, reasons = card(found), {reason.rule: reason for reason in message(found).reasons}

    assert "按本行政策；决策表为次年退出不再续贷 by this bank's policy; the table says EXIT" in said
    assert "按本行政策；决策表为无环境障碍 by this bank's policy; the table says OPEN" in said
    listing, warning = reasons["V1"], reasons["V6"]
    assert (listing.measure, listing.table_measure) == (pb.GREEN_MEASURE_REDUCE, pb.GREEN_MEASURE_EXIT)
    assert listing.table_admission == pb.GREEN_ADMISSION_UNSPECIFIED
    assert (warning.admission, warning.table_admission) == (pb.GREEN_ADMISSION_HOLD, pb.GREEN_ADMISSION_OPEN)
    assert "table_measure" not in canonical(assessed(listed())).decode()
    assert "by this bank's policy" not in card(assessed(listed()))


@pytest.mark.parametrize("records", [[], [graded("jiangsu", "黑")], [listed(), penalised()]])
def test_no_line_is_wider_than_the_terminal(records: list[object]) -> None:
    assert max(cell_len(line) for line in card(assessed(*records)).splitlines()) <= 100
