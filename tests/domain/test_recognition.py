"""Recognition by the criteria of each list: what differs between provinces is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2
from gateway.domain.recognition import Recognised, Recognition, criteria_faults, recognise
from tests.domain.green_worlds import (
    SETTINGS,
    TABLES,
    answer,
    assessor,
    body,
    day,
    failed,
    graded,
    penalised,
    registration,
    view_of,
)

OTHERS = ("jiangsu", "zhejiang", "anhui")
LISTS = SETTINGS.joint_lists


def of(*records: object, silent: str = "") -> Recognition:
    answers = [answer("shanghai", registration(), *records)]
    answers += [failed(name) if name == silent else answer(name) for name in OTHERS]
    return recognise(
        assessor().facts(view_of(answers)), LISTS["YRD_ENV"].criteria, TABLES.evaluate, SETTINGS.rules.facts
    )


def by_province(found: Recognition) -> dict[str, str]:
    return {each.province: f"{each.recognised} {each.row}".strip() for each in found.by_criterion}


def test_a_crime_is_recognised_by_all_and_nothing_differs() -> None:
    found = of(penalised(violation_type="污染环境罪"))

    assert by_province(found) == {code: f"YES R{code}.crime" for code in ("31", "32", "33", "34")}
    assert not found.differs


def test_the_same_conduct_is_recognised_here_and_not_there() -> None:
    found = of(penalised(), penalised("沪环罚〔2026〕2号", decided_on=day(2026, 9)))

    assert by_province(found) == {
        "31": "NO R31.none",
        "32": "NO R32.none",
        "33": "YES R33.repeat",
        "34": "YES R34.repeat",
    }
    assert found.differs
    assert found.by_criterion[3].because == (("env_crime", False), ("repeat_violation", True))
    assert found.evidence


def test_a_bad_grade_and_a_closure_order_differ_too() -> None:
    black = by_province(of(graded("jiangsu", "黑")))
    closed = by_province(of(penalised(kinds=[conduct_pb2.PENALTY_KIND_CLOSURE])))

    assert [said.split()[0] for said in black.values()] == ["YES", "YES", "YES", "NO"]
    assert [said.split()[0] for said in closed.values()] == ["YES", "NO", "NO", "YES"]


def test_no_is_not_said_while_a_platform_is_silent() -> None:
    found = of(silent="zhejiang")

    assert {each.recognised for each in found.by_criterion} == {Recognised.UNDECIDED}
    assert all(each.undecided for each in found.by_criterion)


def test_yes_is_said_whatever_the_unknown_facts_are() -> None:
    answers = [answer("shanghai", registration(), graded("jiangsu", "黑")), *map(failed, OTHERS)]
    facts = assessor().facts(view_of(answers))
    found = by_province(recognise(facts, LISTS["YRD_ENV"].criteria, TABLES.evaluate, SETTINGS.rules.facts))

    assert facts.values["env_crime"] is None
    assert [said.split()[0] for said in found.values()] == ["YES", "YES", "YES", "UNDECIDED"]


def of_list(code: str, *records: object) -> Recognition:
    one = LISTS[code]
    facts = assessor().field_facts(
        view_of([answer("shanghai", registration(), *records), *map(answer, OTHERS)]), one.field
    )
    return recognise(facts, one.criteria, TABLES.evaluate, SETTINGS.rules.facts)


def test_every_joint_list_of_dishonesty_has_a_criterion_of_each_of_the_three_provinces_and_the_city() -> None:
    assert {code: [place for place, _ in one.criteria] for code, one in LISTS.items() if one.criteria} == {
        code: ["31", "32", "33", "34"] for code in ("YRD_ENV", "YRD_TOUR", "YRD_FOOD", "YRD_PROD")
    }
    assert criteria_faults(LISTS, dict.fromkeys(LISTS, "lists/joint.toml"), SETTINGS.rules.tables) == []


@pytest.mark.parametrize(
    ("code", "domain", "row"),
    [
        ("YRD_TOUR", conduct_pb2.PENALTY_DOMAIN_TOURISM, "RT.heavy"),
        ("YRD_FOOD", conduct_pb2.PENALTY_DOMAIN_FOOD_AND_DRUG, "RF.heavy"),
        ("YRD_PROD", conduct_pb2.PENALTY_DOMAIN_QUALITY, "RP.heavy"),
    ],
)
def test_a_heavy_penalty_of_the_lists_own_field_is_recognised_and_one_of_another_field_is_not(
    code: str, domain: int, row: str
) -> None:
    kinds = [conduct_pb2.PENALTY_KIND_LICENCE_REVOKED]
    own, fined = (
        [
            penalised(f"沪市监罚〔2026〕{number}号", kind, domain=domain, authority=body("31", "某局"))
            for number in range(2)  # a record goes into one answer only
        ]
        for kind in (kinds, [conduct_pb2.PENALTY_KIND_FINE])
    )

    assert set(by_province(of_list(code, own[0])).values()) == {f"YES {row}"}
    assert {said.split()[0] for said in by_province(of_list(code, fined[0])).values()} == {"NO"}
    assert {said.split()[0] for said in by_province(of_list(code, penalised(kinds=kinds))).values()} == {"NO"}
    assert {said.split()[0] for said in by_province(of_list("YRD_ENV", own[1])).values()} == {"NO"}


def test_the_grade_of_the_field_counts_and_one_that_cannot_be_read_decides_nothing() -> None:
    worst = [graded("anhui", "严重失信", day(2026, 3), scheme="PROD_QUALITY") for _ in range(2)]
    strange = graded("anhui", "神秘等级", day(2026, 3), scheme="PROD_QUALITY")

    assert set(by_province(of_list("YRD_PROD", worst[0])).values()) == {"YES RP.grade"}
    assert {one.recognised for one in of_list("YRD_PROD", strange).by_criterion} == {Recognised.UNDECIDED}
    assert {said.split()[0] for said in by_province(of_list("YRD_TOUR", worst[1])).values()} == {"NO"}


def test_a_penalty_without_its_field_is_told_by_the_policys_words_or_decides_nothing() -> None:
    def penalty(authority: str) -> object:
        kinds = [conduct_pb2.PENALTY_KIND_CLOSURE]
        return penalised("〔2026〕7号", kinds, domain=0, violation_type="", authority=body("34", authority))

    told, other, untold = (
        {one.recognised for one in of_list("YRD_FOOD", penalty(name)).by_criterion}
        for name in ("安徽省药品监督管理局", "安徽省文化和旅游厅", "某局")
    )

    assert (told, other, untold) == ({Recognised.YES}, {Recognised.NO}, {Recognised.UNDECIDED})


def test_a_criterion_that_is_not_in_force_on_the_day_is_undecided() -> None:
    facts = assessor().field_facts(view_of([answer("shanghai", registration()), *map(answer, OTHERS)]), 3)
    before = SETTINGS.rules.at(date(2021, 1, 1))

    found = recognise(facts, LISTS["YRD_FOOD"].criteria, before.evaluate, SETTINGS.rules.facts)

    assert {(one.recognised, one.title_en) for one in found.by_criterion} == {
        (Recognised.UNDECIDED, "no version of it is in force on that day")
    }


def test_criteria_that_cannot_be_run_are_named_by_file_and_key() -> None:
    def faults(**stated: Any) -> list[str]:
        one = replace(LISTS["YRD_FOOD"], **stated)
        return criteria_faults({one.code: one}, {one.code: "lists/own.toml"}, SETTINGS.rules.tables)

    at = "lists/own.toml: list.YRD_FOOD.criteria.340100"
    assert faults(criteria=(("340100", "no_such"),)) == [f"{at}: no_such is no decision table of rules/"]
    assert faults(criteria=(("340100", "recognise_env_31"),))[0] == (
        f"{at}: recognise_env_31: reads env_crime, which is no fact of FOOD_AND_DRUG"
    )
    assert f"{at}: green_veto: row V1.listed: needs recognised, YES or NO, and en" in faults(
        criteria=(("340100", "green_veto"),)
    )
    assert faults(criteria=(("340100", "recognise_food"),), field=0)[0].startswith(f"{at}: the list has no joint_field")
    assert faults(criteria=(("340100", "recognise_food"),)) == []
