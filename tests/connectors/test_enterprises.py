"""The simulated world: the same for the same seed, valid codes only, and examples that show what their labels say."""

from __future__ import annotations

from collections import Counter

from connectors.kit.enterprise import PLATFORMS
from connectors.kit.enterprise_codes import registration_number
from connectors.kit.enterprises import make_world
from gateway.domain.identifiers import RegistrationNumber, Uscc

WORLD = make_world()


def test_one_seed_gives_one_world_and_another_gives_another() -> None:
    assert repr(make_world(60, 7)) == repr(make_world(60, 7))
    assert repr(make_world(60, 7)) != repr(make_world(60, 8))


def test_every_code_of_the_world_is_valid_inside_and_out() -> None:
    assert len(WORLD.enterprises) == 1_000
    for enterprise in WORLD.enterprises.values():
        assert Uscc.parse(enterprise.uscc).warnings == ()
        assert RegistrationNumber.parse(enterprise.reg_no).value == enterprise.reg_no
    authorities = {
        f.values["authority_code"] for e in WORLD.enterprises.values() for f in e.facts if "authority_code" in f.values
    }
    assert all(Uscc.parse(code).value == code for code in authorities)
    assert registration_number("31011500000001") == "310115000000012"


def test_one_name_of_a_public_body_has_one_code() -> None:
    codes: dict[str, set[str]] = {}
    for enterprise in WORLD.enterprises.values():
        for fact in enterprise.facts:
            if "authority_code" in fact.values:
                codes.setdefault(fact.values["authority_name"], set()).add(fact.values["authority_code"])

    assert all(len(found) == 1 for found in codes.values())
    assert len({code for found in codes.values() for code in found}) == len(codes)


def test_examples_show_what_their_labels_say() -> None:
    find = {label: WORLD.enterprises[uscc] for label, uscc in WORLD.examples.items()}

    assert set(find["demo"].known_by) == set(PLATFORMS)
    assert [r["status"] for r in find["moved_province"].at("anhui", "registration")] == ["迁出"]
    assert find["branch"].at("jiangsu", "subject")[0]["parent"] == find["demo"].uscc
    assert find["old_number_only"].known_by["anhui"] == "reg_no"
    assert "䶮" in find["rare_characters"].name
    assert not any(f.kind in ("penalty", "list_entry", "abnormal", "judicial") for f in find["clean"].facts)
    assert find["wrap_zero"].uscc.endswith("0")


def test_the_regional_list_has_its_157_rows_and_none_from_jiangsu() -> None:
    listed = Counter(
        (row["year"], platform)
        for platform in PLATFORMS
        for label, e in WORLD.enterprises.items()
        if label not in WORLD.examples.values()
        for row in e.at(platform, "list_entry")
        if row["code"] == "YRD_ENV"
    )

    by_year = Counter({year: sum(n for (y, _), n in listed.items() if y == year) for year in (2017, 2018, 2019)})
    assert by_year == {2017: 99, 2018: 55, 2019: 3}
    assert not any(platform == "jiangsu" for _, platform in listed)


def test_grades_follow_the_published_shares_roughly() -> None:
    grades = Counter(
        row["grade"]
        for e in WORLD.enterprises.values()
        for row in e.at("jiangsu", "evaluation")
        if row["scheme"] == "江苏环保信用"
    )
    total = sum(grades.values())

    assert total > 80
    assert abs(grades["绿"] / total - 414 / 1064) < 0.15
    assert abs(grades["蓝"] / total - 498 / 1064) < 0.15
