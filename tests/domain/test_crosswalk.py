"""The crosswalk: every row of the scheme tables, the traps of direction, and dated switches."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from gateway._pb.xinyidai.catalogue.v1 import evaluation_pb2
from gateway.domain.crosswalk import (
    CanonicalGrade,
    Certainty,
    Crosswalk,
    Domain,
    Grade,
    Nature,
    Period,
    Unmapped,
    proto_grade,
)

FOLDER = Path(__file__).parents[2] / "config" / "crosswalk"
TABLES: Mapping[str, Mapping[str, object]] = {
    path.name: tomllib.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.toml"))
}
CROSSWALK = Crosswalk.from_tables(TABLES)

IN_2018, IN_2024, IN_2026 = date(2018, 6, 1), date(2024, 6, 1), date(2026, 6, 1)
LAST_OLD_DAY, FIRST_NEW_DAY = date(2026, 3, 31), date(2026, 4, 1)

ROWS = [
    ("TAX_CREDIT", IN_2024, {"A": 5, "B": 4, "M": 0, "C": 2, "D": 1}),
    ("TAX_CREDIT", IN_2026, {"A": 5, "B": 4, "M": 0, "C": 2, "D": 1}),
    ("ENV_NATIONAL_2013", IN_2024, {"环保诚信": 5, "环保良好": 4, "环保警示": 3, "环保不良": 1}),
    ("ENV_NATIONAL_2013", IN_2024, {"绿": 5, "蓝": 4, "黄": 3, "红": 1}),
    ("ENV_JIANGSU", date(2019, 6, 1), {"绿": 5, "蓝": 4, "黄": 3, "红": 2, "黑": 1}),
    ("ENV_JIANGSU", IN_2024, {"绿": 5, "蓝": 4, "黄": 3, "红": 2, "黑": 1}),
    ("ENV_ZHEJIANG", IN_2024, {"A": 5, "B": 4, "C": 3, "D": 2, "E": 1}),
    ("ENV_ZHEJIANG", IN_2018, {"绿": 5, "蓝": 4, "黄": 3, "红": 2, "黑": 1}),
    ("ENV_ANHUI", IN_2018, {"诚信": 5, "良好": 4, "警示": 3, "不良": 1}),
    ("ENV_ANHUI", IN_2024, {"诚信": 5, "良好": 4, "警示": 3, "不良": 1}),
    ("ENV_SHANGHAI_OLD", IN_2024, {"很好": 5, "好": 4, "一般": 3, "差": 2, "很差": 1}),
    ("PUB_NATIONAL", IN_2024, {"优": 5, "良": 4, "中": 3, "差": 1}),
    ("PUB_ZHEJIANG_531X", IN_2024, {"优秀": 5, "良好": 4, "中等": 3, "较差": 2, "差": 1}),
    ("SAMR_RISK", IN_2024, {"A": 5, "B": 4, "C": 2, "D": 1}),
    ("SAMR_RISK", IN_2024, {"低": 5, "一般": 4, "较高": 2, "高": 1}),
    ("PROD_QUALITY", IN_2024, {"守信": 5, "警示": 3, "失信": 2, "严重失信": 1}),
    ("PHARMA", IN_2024, {"守信": 5, "警示": 3, "失信": 2, "严重失信": 1}),
    ("FOOD_RISK", IN_2024, {"A": 5, "B": 4, "C": 3, "D": 2, "低": 5, "高": 2}),
    ("CUSTOMS", IN_2024, {"高级认证": 5, "常规": 4, "其他": 4, "失信": 1}),
    ("CUSTOMS", IN_2026, {"高级认证": 5, "认证": 4, "常规": 0, "失信": 2, "严重失信": 1}),
    ("TOURISM", IN_2024, {"严重失信主体": 1, "轻微失信": 2}),
]  # fmt: skip


def grade_of(scheme_id: str, raw: str, on: date | None) -> Grade:
    return CROSSWALK.canonical(scheme_id, raw, on).grade


@pytest.mark.parametrize(("scheme_id", "on", "expected"), ROWS)
def test_every_row_of_the_scheme_tables_maps_as_published(
    scheme_id: str, on: date, expected: Mapping[str, int]
) -> None:
    mapped = {raw: int(grade_of(scheme_id, raw, on)) for raw in expected}

    assert mapped == expected


def test_every_scheme_declares_its_domain_and_nature() -> None:
    declared = {s.id: (s.domain.value, s.nature.value) for s in CROSSWALK.schemes.values()}

    assert declared == {
        "TAX_CREDIT": ("TAX", "credit"),
        "ENV_NATIONAL_2013": ("ENV", "credit"),
        "ENV_JIANGSU": ("ENV", "credit"),
        "ENV_ZHEJIANG": ("ENV", "credit"),
        "ENV_ANHUI": ("ENV", "credit"),
        "ENV_SHANGHAI_OLD": ("ENV", "credit"),
        "ENV_SHANGHAI_2025": ("ENV", "credit"),
        "PUB_NATIONAL": ("PUBLIC", "credit"),
        "PUB_ZHEJIANG_531X": ("PUBLIC", "credit"),
        "PUB_ANHUI": ("PUBLIC", "credit"),
        "SAMR_RISK": ("MARKET_RISK", "risk"),
        "PROD_QUALITY": ("QUALITY", "credit"),
        "PHARMA": ("PHARMA", "credit"),
        "FOOD_RISK": ("FOOD", "risk"),
        "CUSTOMS": ("CUSTOMS", "credit"),
        "TOURISM": ("TOURISM", "list"),
    }


def test_only_the_a_list_of_tax_is_public_so_the_scheme_is_not_published() -> None:
    scheme = CROSSWALK.schemes["TAX_CREDIT"]

    assert (scheme.published, scheme.period, scheme.authority) == (
        False,
        Period.YEARLY,
        "国家税务总局",
    )


def test_red_is_the_worst_of_four_levels_and_the_second_worst_of_five() -> None:
    red = {s: grade_of(s, "红", IN_2024) for s in ("ENV_NATIONAL_2013", "ENV_JIANGSU")}

    assert red == {"ENV_NATIONAL_2013": Grade.SEVERE, "ENV_JIANGSU": Grade.POOR}


def test_one_letter_means_different_grades_in_different_schemes() -> None:
    schemes = ("TAX_CREDIT", "ENV_ZHEJIANG", "SAMR_RISK", "FOOD_RISK")

    letters = {s: "".join(str(int(grade_of(s, raw, IN_2024))) for raw in "CD") for s in schemes}

    assert letters == {
        "TAX_CREDIT": "21",
        "ENV_ZHEJIANG": "32",
        "SAMR_RISK": "21",
        "FOOD_RISK": "32",
    }


def test_low_risk_is_good_and_high_risk_is_bad() -> None:
    assert grade_of("SAMR_RISK", "低风险", IN_2024) > grade_of("SAMR_RISK", "高风险", IN_2024)


def test_environmental_performance_classes_are_no_credit_grades() -> None:
    assert CROSSWALK.canonical("ENV_PERFORMANCE", "A", IN_2024) == CanonicalGrade(
        Grade.UNMAPPED, reason=Unmapped.UNKNOWN_SCHEME
    )


def test_m_is_neutral_and_not_rated() -> None:
    m = CROSSWALK.canonical("TAX_CREDIT", "M", IN_2026)

    assert m == CanonicalGrade(Grade.NOT_RATED, "2025", Domain.TAX)
    assert m.is_neutral


def test_m_is_attention_only_where_the_bank_policy_says_so() -> None:
    tax = dict(TABLES["tax.toml"])
    tax["TAX_CREDIT"] = dict(tax["TAX_CREDIT"]) | {"neutral_as": "ATTENTION"}  # type: ignore[call-overload]

    m = Crosswalk.from_tables({"tax.toml": tax}).canonical("TAX_CREDIT", "M", IN_2026)

    assert m == CanonicalGrade(Grade.ATTENTION, "2025", Domain.TAX)
    assert not m.is_neutral


@pytest.mark.parametrize(
    ("raw", "before", "after"),
    [
        ("高级认证企业", Grade.EXCELLENT, Grade.EXCELLENT),
        ("认证企业", Grade.UNMAPPED, Grade.GOOD),
        ("常规企业", Grade.GOOD, Grade.NOT_RATED),
        ("失信企业", Grade.SEVERE, Grade.POOR),
        ("严重失信企业", Grade.UNMAPPED, Grade.SEVERE),
        ("其他", Grade.GOOD, Grade.UNMAPPED),
    ],
)
def test_customs_grades_switch_between_31_march_and_1_april_2026(raw: str, before: Grade, after: Grade) -> None:
    old = CROSSWALK.canonical("CUSTOMS", raw, LAST_OLD_DAY)
    new = CROSSWALK.canonical("CUSTOMS", raw, FIRST_NEW_DAY)

    assert (old.scheme_version, old.grade) == ("2021", before)
    assert (new.scheme_version, new.grade) == ("2026", after)


@pytest.mark.parametrize(
    ("scheme_id", "last", "first", "names"),
    [
        ("TAX_CREDIT", date(2025, 6, 30), date(2025, 7, 1), ("2014", "2025")),
        ("ENV_JIANGSU", date(2019, 12, 31), date(2020, 1, 1), ("2019", "2020")),
        ("ENV_ANHUI", date(2019, 6, 30), date(2019, 7, 1), ("2017", "2019")),
        ("ENV_ZHEJIANG", date(2025, 12, 22), date(2025, 12, 23), ("to-2025-12-22", "2025")),
        ("ENV_SHANGHAI_OLD", date(2024, 12, 31), date(2025, 1, 1), ("to-2024", "")),
        ("ENV_SHANGHAI_2025", date(2029, 12, 31), date(2030, 1, 1), ("2025", "")),
    ],
)
def test_the_day_of_the_rating_picks_the_version(
    scheme_id: str, last: date, first: date, names: tuple[str, str]
) -> None:
    picked = tuple(CROSSWALK.canonical(scheme_id, "A", day).scheme_version for day in (last, first))

    assert picked == names


def test_a_day_outside_every_version_is_unmapped_with_its_reason() -> None:
    assert CROSSWALK.canonical("CUSTOMS", "高级认证", date(2021, 10, 31)) == CanonicalGrade(
        Grade.UNMAPPED, "", Domain.CUSTOMS, reason=Unmapped.NO_VERSION
    )


def test_an_undated_label_is_mapped_only_where_all_versions_agree() -> None:
    undated = {raw: CROSSWALK.canonical("CUSTOMS", raw, None) for raw in ("高级认证", "失信", "认证")}
    differing = CanonicalGrade(Grade.UNMAPPED, "", Domain.CUSTOMS, reason=Unmapped.UNDATED)

    assert undated == {
        "高级认证": CanonicalGrade(Grade.EXCELLENT, "", Domain.CUSTOMS),
        "失信": differing,
        "认证": differing,
    }


def test_an_undated_label_of_a_scheme_with_one_version_names_that_version() -> None:
    assert CROSSWALK.canonical("PUB_NATIONAL", "差", None) == CanonicalGrade(Grade.SEVERE, "1", Domain.PUBLIC)


def test_an_unknown_label_is_unmapped_and_never_guessed() -> None:
    found = CROSSWALK.canonical("TAX_CREDIT", "AA", IN_2026)

    assert found == CanonicalGrade(Grade.UNMAPPED, "2025", Domain.TAX, reason=Unmapped.UNKNOWN_LABEL)


@pytest.mark.parametrize("raw", ["", "  ", "A ; B", "非A级", "红黑", "A级B"])
def test_a_label_is_compared_whole_and_never_by_a_part(raw: str) -> None:
    assert CROSSWALK.canonical("TAX_CREDIT", raw, IN_2026).reason is Unmapped.UNKNOWN_LABEL


@pytest.mark.parametrize("raw", ["A", "a", " A ", "Ａ", "A级", "ａ级\u3000", "A级纳税人"])
def test_width_case_outer_space_and_declared_aliases_make_no_difference(raw: str) -> None:
    assert grade_of("TAX_CREDIT", raw, IN_2026) is Grade.EXCELLENT


@pytest.mark.parametrize("raw", ["绿", "绿色", "绿色企业"])
def test_colours_are_known_by_their_declared_aliases(raw: str) -> None:
    assert grade_of("ENV_NATIONAL_2013", raw, IN_2024) is Grade.EXCELLENT


@pytest.mark.parametrize(
    ("scheme_id", "raw", "reason"),
    [
        ("ENV_SHANGHAI_2025", "A", Unmapped.UNKNOWN_LABEL),
        ("ENV_SHANGHAI_2025", "很好", Unmapped.UNKNOWN_LABEL),
        ("ENV_ZHEJIANG", "A", Unmapped.UNSURE_LABEL),
        ("ENV_ZHEJIANG", "绿", Unmapped.UNKNOWN_LABEL),
        ("PUB_ANHUI", "A", Unmapped.UNKNOWN_LABEL),
        ("PUB_ANHUI", "优秀", Unmapped.UNKNOWN_LABEL),
        ("PUB_ZHEJIANG_531X", "A", Unmapped.UNSURE_LABEL),
    ],
)
def test_labels_nobody_confirmed_stay_unmapped(scheme_id: str, raw: str, reason: Unmapped) -> None:
    found = CROSSWALK.canonical(scheme_id, raw, IN_2026)

    assert (found.grade, found.reason) == (Grade.UNMAPPED, reason)


def test_the_three_unconfirmed_schemes_say_that_they_are_unsure() -> None:
    unsure = {
        (scheme.id, version.version)
        for scheme in CROSSWALK.schemes.values()
        for version in scheme.versions
        if version.certainty is Certainty.UNSURE
    }

    assert unsure == {
        ("ENV_SHANGHAI_2025", "2025"),
        ("ENV_ZHEJIANG", "2025"),
        ("PUB_ANHUI", "2024"),
    }


def test_risk_classes_are_never_comparable_and_the_supervision_class_is_for_internal_use() -> None:
    flags = {
        s: (found.is_comparable, found.internal_use)
        for s in ("SAMR_RISK", "FOOD_RISK", "PHARMA")
        for found in [CROSSWALK.canonical(s, "失信" if s == "PHARMA" else "A", IN_2024)]
    }

    assert flags == {
        "SAMR_RISK": (False, True),
        "FOOD_RISK": (False, False),
        "PHARMA": (True, False),
    }


def test_an_unknown_label_of_a_risk_scheme_keeps_its_flags() -> None:
    assert CROSSWALK.canonical("SAMR_RISK", "Z", IN_2024) == CanonicalGrade(
        Grade.UNMAPPED,
        "2022",
        Domain.MARKET_RISK,
        Nature.RISK,
        internal_use=True,
        reason=Unmapped.UNKNOWN_LABEL,
    )


def test_each_grade_has_its_own_value_in_the_catalogue() -> None:
    names = {grade: evaluation_pb2.CanonicalGrade.Name(proto_grade(grade)) for grade in Grade}

    assert names == {grade: f"CANONICAL_GRADE_{grade.name}" for grade in Grade}
