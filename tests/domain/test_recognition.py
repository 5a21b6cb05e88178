"""Recognition by the provinces' criteria: what differs is shown."""

from __future__ import annotations

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2
from gateway.domain.recognition import ENVIRONMENT_CRITERIA, Recognised, Recognition, recognise
from tests.domain.green_worlds import (
    SETTINGS,
    TABLES,
    answer,
    assessor,
    day,
    failed,
    graded,
    penalised,
    registration,
    view_of,
)

OTHERS = ("jiangsu", "zhejiang", "anhui")


def of(*records: object, silent: str = "") -> Recognition:
    answers = [answer("shanghai", registration(), *records)]
    answers += [failed(name) if name == silent else answer(name) for name in OTHERS]
    return recognise(assessor().facts(view_of(answers)), ENVIRONMENT_CRITERIA, TABLES.evaluate, SETTINGS.rules.facts)


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
    found = by_province(recognise(facts, ENVIRONMENT_CRITERIA, TABLES.evaluate, SETTINGS.rules.facts))

    assert facts.values["env_crime"] is None
    assert [said.split()[0] for said in found.values()] == ["YES", "YES", "YES", "UNDECIDED"]
