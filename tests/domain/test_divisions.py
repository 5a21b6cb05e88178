"""Divisions: what a code names on a day, what became of it, and that no code is ever refused."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.divisions import DivisionTable, Level
from gateway.domain.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "divisions.toml"
TODAY = date(2026, 11, 1)
BEFORE_CHAOHU, AFTER_CHAOHU = date(2011, 8, 21), date(2011, 8, 22)
BEFORE_HANGZHOU, AFTER_HANGZHOU = date(2021, 4, 8), date(2021, 4, 9)


@pytest.fixture(scope="module")
def table() -> DivisionTable:
    return DivisionTable.from_toml(tomllib.loads(SHIPPED.read_text(encoding="utf-8")))


def small(**changes: Any) -> Mapping[str, Any]:
    return {"source": "made up", "as_of": date(2026, 1, 1), "province": {"340000": "安徽省"}} | changes


def test_the_shipped_table_says_its_source_and_date(table: DivisionTable) -> None:
    assert "GB/T 2260" in table.source
    assert table.as_of == date(2024, 12, 31)


def test_every_prefecture_of_the_delta_is_named(table: DivisionTable) -> None:
    codes = [code for code in table.rows if table.level_of(code) is Level.PREFECTURE]

    named = [code for code in codes if table.name_of(code, TODAY)]

    per_province = {province: sum(code.startswith(province) for code in named) for province in ("31", "32", "33", "34")}
    assert per_province == {"31": 1, "32": 13, "33": 11, "34": 16}
    assert set(codes) - set(named) == {"341400"}


@pytest.mark.parametrize(
    ("code", "on", "name"),
    [
        ("310000", TODAY, "上海市"),
        ("320500", TODAY, "苏州市"),
        ("330700", TODAY, "金华市"),
        ("341600", TODAY, "亳州市"),
        ("341402", BEFORE_CHAOHU, "居巢区"),
        ("341402", AFTER_CHAOHU, None),
        ("340181", BEFORE_CHAOHU, None),
        ("340181", AFTER_CHAOHU, "巢湖市"),
        ("330104", BEFORE_HANGZHOU, "江干区"),
        ("330104", AFTER_HANGZHOU, None),
        ("330113", BEFORE_HANGZHOU, None),
        ("330113", AFTER_HANGZHOU, "临平区"),
        ("330114", AFTER_HANGZHOU, "钱塘区"),
        ("320803", date(2011, 12, 30), "楚州区"),
        ("320803", date(2011, 12, 31), "淮安区"),
        ("320594", TODAY, "苏州工业园区"),
        ("340104", TODAY, None),
    ],
)
def test_a_code_names_what_it_named_on_that_day(table: DivisionTable, code: str, on: date, name: str | None) -> None:
    assert table.name_of(code, on) == name


@pytest.mark.parametrize(
    ("code", "on", "now"),
    [
        ("341402", AFTER_CHAOHU, "340181"),
        ("341402", BEFORE_CHAOHU, "341402"),
        ("341421", TODAY, "340124"),
        ("341423", TODAY, "340522"),
        ("341424", TODAY, "340523"),
        ("341400", TODAY, "340100"),
        ("330102", TODAY, "330102"),
        ("330103", TODAY, "330105"),
        ("330104", TODAY, "330102"),
        ("330104", BEFORE_HANGZHOU, "330104"),
        ("330113", BEFORE_HANGZHOU, "330113"),
        ("320103", TODAY, "320104"),
        ("320803", TODAY, "320803"),
        ("310108", TODAY, "310106"),
        ("340203", TODAY, "340209"),
    ],
)
def test_a_code_that_was_cut_anew_leads_to_the_one_that_holds_its_area(
    table: DivisionTable, code: str, on: date, now: str
) -> None:
    assert table.canonical(code, on) == now


def test_changes_are_followed_one_after_another(table: DivisionTable) -> None:
    days = (BEFORE_CHAOHU, date(2015, 1, 1), TODAY)

    codes = [table.canonical("341422", on) for on in days]

    assert codes == ["341422", "340225", "340281"]


def test_an_area_that_was_split_tells_all_its_parts_the_largest_first(table: DivisionTable) -> None:
    assert table.successors("330104", TODAY) == ("330102", "330114")
    assert table.successors("341424", TODAY) == ("340523", "340207")


@pytest.mark.parametrize("code", ["100000", "340199", "440300", "999999", "", "3401", "四川"])
def test_a_code_the_table_does_not_know_comes_back_as_it_is(table: DivisionTable, code: str) -> None:
    assert (table.canonical(code, TODAY), table.name_of(code, TODAY)) == (code, None)


@pytest.mark.parametrize(
    ("code", "province"),
    [
        ("310115", "31"),
        ("320594", "32"),
        ("330000", "33"),
        ("341402", "34"),
        ("349999", "34"),
        ("100000", None),
        ("440300", None),
        ("", None),
    ],
)
def test_the_province_is_told_by_the_first_two_digits(table: DivisionTable, code: str, province: str | None) -> None:
    assert table.province_of(code) == province


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("340000", Level.PROVINCE),
        ("440300", Level.PREFECTURE),
        ("341402", Level.COUNTY),
        ("320594", Level.COUNTY),
        ("100000", None),
        ("3401", None),
        ("３４０１００", None),
    ],
)
def test_the_level_is_told_by_the_trailing_zeros(table: DivisionTable, code: str, level: Level | None) -> None:
    assert table.level_of(code) == level


def test_codes_that_registries_made_up_are_marked_as_internal(table: DivisionTable) -> None:
    marked = {code for code in table.rows if table.is_internal(code)}

    assert marked == {"320594", "310141"}


def test_every_abolished_code_of_the_shipped_table_leads_to_one_in_force(table: DivisionTable) -> None:
    parts = {part for code in table.rows for part in table.successors(code, TODAY)}

    assert {part for part in parts if table.name_of(part, TODAY) is None} == set()


def test_a_code_given_again_means_what_it_means_on_that_day() -> None:
    table = DivisionTable.from_toml(
        small(
            county={"340101": "新区", "340103": "旧区"},
            dated=[
                {"code": "340102", "name": "甲区", "to": date(2010, 1, 1), "into": ["340101"]},
                {
                    "code": "340102",
                    "name": "乙区",
                    "from": date(2012, 1, 1),
                    "to": date(2018, 1, 1),
                    "into": ["340103"],
                },
                {"code": "340102", "name": "丙区", "from": date(2020, 1, 1)},
            ],
        )
    )

    days = [date(2009, 1, 1), date(2011, 1, 1), date(2015, 1, 1), date(2019, 1, 1), TODAY]
    by_day = [(table.name_of("340102", on), table.canonical("340102", on)) for on in days]

    assert by_day == [("甲区", "340102"), (None, "340101"), ("乙区", "340102"), (None, "340103"), ("丙区", "340102")]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sourc": "x"}, "sourc: unknown key"),
        ({"source": ""}, "source: say where the rows come from"),
        ({"as_of": "2026-01-01"}, "as_of: must be a date"),
        ({"county": {"34010": "甲区"}}, "county.34010: a code has six digits"),
        ({"county": {"340101": ""}}, "county.340101: the name is missing"),
        ({"province": ["安徽省"]}, "province: must be made of tables"),
        ({"dated": ["340101"]}, "dated: must be made of tables"),
        ({"dated": [{"code": "340101", "name": "甲区", "to": date.max}]}, "dated[0]: to: leave it out"),
        ({"dated": [{"code": "340101", "name": "甲区"}]}, "dated[0]: from, to: one is needed"),
        ({"dated": [{"code": 340101, "name": "甲区", "from": TODAY}]}, "dated[0]: a code has six digits"),
        ({"dated": [{"code": "340101", "name": "甲区", "from": datetime(2020, 1, 1)}]}, "dated[0]: from, to:"),
        (
            {"dated": [{"code": "340101", "name": "甲区", "since": TODAY, "from": TODAY}]},
            "dated[0]: since: unknown key",
        ),
        (
            {"dated": [{"code": "340101", "name": "甲区", "from": TODAY, "to": date(2020, 1, 1)}]},
            "dated[0]: to: lies before from",
        ),
        ({"dated": [{"code": "340101", "name": "甲区", "from": TODAY, "into": ["340000"]}]}, "dated[0]: into:"),
        (
            {"dated": [{"code": "340101", "name": "甲区", "to": TODAY, "into": ["340102"]}]},
            "340101: into: 340102 is not in force",
        ),
        (
            {
                "county": {"340101": "甲区"},
                "dated": [{"code": "340101", "name": "乙区", "from": TODAY}],
            },
            "340101: 甲区 and 乙区 hold on the same day",
        ),
    ],
)
def test_a_broken_table_is_refused_with_the_place_of_the_fault(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        DivisionTable.from_toml(small(**changes))


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        DivisionTable.from_toml({"county": {"1": ""}})

    assert raised.value.faults == (
        "divisions.toml: source: say where the rows come from",
        "divisions.toml: as_of: must be a date",
        "divisions.toml: county.1: a code has six digits, written as a text",
        "divisions.toml: county.1: the name is missing",
    )
