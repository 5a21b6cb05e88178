"""Joint lists as data: what ships is read whole, and every fault is told by file and key."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JOINT_FIELD_ENVIRONMENT, JointField
from gateway.domain.errors import ConfigError
from gateway.domain.joint_list_tables import joint_lists_of, stay_rules
from gateway.domain.joint_lists import Basis, JointList

SHIPPED = Path(__file__).parents[2] / "config" / "lists"
LEAST: dict[str, Any] = {"title_zh": "名单", "lister": "法院", "basis": "LAW"}


def shipped() -> dict[str, JointList]:
    return dict(joint_lists_of({path.name: tomllib.loads(path.read_text("utf-8")) for path in SHIPPED.glob("*.toml")}))


def test_the_shipped_lists_cover_the_four_joint_fields_and_the_lists_by_law() -> None:
    lists = shipped()

    severe = {one.field for one in lists.values() if one.field and not one.is_reward}
    assert severe == set(JointField.values()) - {0, 5}
    assert {"SDL_COURT", "SDL_SAMR", "ABN_SAMR", "SDL_TAX", "SDL_WAGE", "SDL_CUSTOMS", "HON_AEO"} <= lists.keys()
    assert all(one.source and one.certainty and one.title_en for one in lists.values())


def test_a_joint_list_says_on_what_it_rests_and_by_whose_criteria() -> None:
    environment = shipped()["YRD_ENV"]

    assert environment.basis is Basis.REGIONAL_MEMO
    assert environment.field == JOINT_FIELD_ENVIRONMENT
    assert environment.is_mutually_recognised
    assert "限制金融服务" in environment.measures
    assert [place for place, _ in environment.criteria] == ["31", "32", "33", "34"]
    assert (environment.version, environment.valid_from) == ("2020", date(2020, 10, 1))


def test_the_merge_knows_each_lists_stay_and_field() -> None:
    rules = stay_rules(shipped())

    assert (rules["SDL_COURT"].stay_months, rules["SDL_COURT"].joint_field) == (60, None)
    assert (rules["YRD_ENV"].stay_months, rules["YRD_ENV"].joint_field) == (None, "ENVIRONMENT")


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"basis": "HABIT"}, "one.toml: list.X_1.basis: 'HABIT' is none of LAW, STATE_POLICY, REGIONAL_MEMO"),
        ({"title_zh": ""}, "one.toml: list.X_1.title_zh: is needed"),
        ({"title_en": 3}, "one.toml: list.X_1.title_en: must be a text"),
        ({"stay": 3}, "one.toml: list.X_1.stay: is not known here"),
        ({"stay_months": 0}, "one.toml: list.X_1.stay_months: must be a whole number of months, 1 to 600"),
        ({"joint_field": "AIR"}, "one.toml: list.X_1.joint_field: 'AIR' is none of"),
        ({"valid_from": "2020"}, "one.toml: list.X_1.valid_from: must be a date"),
        ({"stay_months": 6, "early_exit_months": 6}, "one.toml: list.X_1.early_exit_months: must be less than"),
        ({"valid_from": date(2021, 1, 1), "valid_to": date(2020, 1, 1)}, "one.toml: list.X_1.valid_to: is before"),
        ({"criteria": {"shanghai": "table"}}, "one.toml: list.X_1.criteria.shanghai: a place is two digits"),
        ({"criteria": {"31": ""}}, "one.toml: list.X_1.criteria.31: must name a decision table"),
        ({"measures": ["限制", "限制"]}, "one.toml: list.X_1.measures: states a measure twice"),
    ],
)
def test_each_fault_is_told_by_file_and_key(more: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        joint_lists_of({"one.toml": {"list": {"X_1": {**LEAST, **more}}}})

    assert [told[: len(fault)] for told in raised.value.faults] == [fault]


def test_all_faults_of_all_files_are_told_at_once() -> None:
    files: dict[str, Any] = {
        "a.toml": {"list": {"X_1": LEAST, "x": LEAST}, "lists": {}},
        "b.toml": {"list": {"X_1": LEAST, "X_2": {**LEAST, "certainty": "maybe"}}},
    }

    with pytest.raises(ConfigError) as raised:
        joint_lists_of(files)

    assert [fault.split(": ")[:2] for fault in raised.value.faults] == [
        ["a.toml", "lists"],
        ["a.toml", "list.x"],
        ["b.toml", "list.X_1"],
        ["b.toml", "list.X_2.certainty"],
    ]
