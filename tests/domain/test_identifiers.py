"""Identifiers: every worked example and trap of GB 32100-2015, GB 11714 and GS 15-2006."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc as second_opinion

from gateway.domain.errors import InvalidIdentifierError
from gateway.domain.identifiers import (
    ALPHABET,
    IdentifierWarning,
    OrganisationCode,
    RegistrationNumber,
    Uscc,
    organisation_code_of_tax_number,
    uscc_check_character,
)

WORKED = [
    "91350100M000100Y43",
    "91110000600037341L",
    "91110108551385082Q",
    "913302033168690875",
    "91330000755918469E",
    "91100000100003962T",
    "91310115MA0TERT167",
    "91310115MAC0DEM080",
    "91320594MA0TERT16D",
    "91330106MA0TERT16E",
    "91340104MA0TERT16M",
    "91100000MA0TERT16Q",
    "92330782MA0TERT16C",
    "93340100MA0TERT16M",
    "N2340104MF0TERT06E",
]

codes = st.builds(
    lambda head, division, body: head + division + body,
    st.sampled_from(["91", "92", "93", "11", "N2", "A1", "Y1", "52"]),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
).map(lambda first17: first17 + uscc_check_character(first17))


@pytest.mark.parametrize("code", WORKED)
def test_every_worked_example_is_accepted(code: str) -> None:
    assert Uscc.parse(code).value == code


@pytest.mark.parametrize("code", [c for c in WORKED if c[0].isdigit()])
def test_a_second_library_agrees_on_codes_it_understands(code: str) -> None:
    assert second_opinion.is_valid(code)


def test_a_weighted_sum_that_is_a_multiple_of_31_wraps_to_0() -> None:
    assert uscc_check_character("91310115MAC0DEM08") == "0"


@pytest.mark.parametrize(
    "written",
    ["91310115ma0tert167", "９１３１０１１５ＭＡ０ＴＥＲＴ１６７", " 91310115-MA0TERT16-7　", "9131 0115 MA0T ERT1 67"],
)
def test_width_case_spaces_and_hyphens_are_folded(written: str) -> None:
    assert Uscc.parse(written) == Uscc("91310115MA0TERT167")


@pytest.mark.parametrize(
    ("written", "position"),
    [
        ("91310115MA0TERT168", 18),
        ("91350100M000100Y4Z", 18),
        ("91310115MAOTERT167", 11),
        ("B1310115MA0TERT167", 1),
        ("9131A115MA0TERT167", 5),
        ("91310115MA0TERT16", 18),
        ("91310115MA0TERT1677", 19),
        ("", 1),
    ],
)
def test_a_fault_names_its_position(written: str, position: int) -> None:
    with pytest.raises(InvalidIdentifierError) as raised:
        Uscc.parse(written)

    assert raised.value.position == position


def test_a_number_is_refused_since_it_loses_digits() -> None:
    with pytest.raises(InvalidIdentifierError, match="must be a text"):
        Uscc.parse(913302033168690875)


def test_a_wrong_inner_check_character_is_a_warning_only() -> None:
    first17 = "91310115MA0TERT17"

    code = Uscc.parse(first17 + uscc_check_character(first17))

    assert code.warnings == (IdentifierWarning.INNER_CHECK,)
    assert Uscc.parse("91310115MA0TERT167").warnings == ()


@given(codes)
def test_a_generated_code_is_its_own_canonical_form(code: str) -> None:
    assert Uscc.parse(code.lower()).value == code


@given(codes, st.integers(8, 17), st.sampled_from(ALPHABET))
def test_any_single_wrong_character_is_found(code: str, place: int, other: str) -> None:
    # The weights are powers of 3, units modulo the prime 31: one changed value always changes the sum.
    if code[place] == other:
        return
    with pytest.raises(InvalidIdentifierError):
        Uscc.parse(code[:place] + other + code[place + 1 :])


def test_parts_of_a_code_are_read_off() -> None:
    code = Uscc.parse("91310115MA0TERT167")

    assert (code.division, code.province_hint, code.organisation_code) == (
        "310115",
        "31",
        "MA0TERT16",
    )
    assert Uscc.parse("91100000MA0TERT16Q").province_hint is None


@pytest.mark.parametrize("written", ["60003734-1", "MA0TERT16", "ma0tert1-6"])
def test_organisation_codes_are_checked(written: str) -> None:
    assert OrganisationCode.parse(written).value == written.replace("-", "").upper()


def test_an_organisation_code_with_a_wrong_check_is_refused() -> None:
    with pytest.raises(InvalidIdentifierError, match="expected '6'"):
        OrganisationCode.parse("MA0TERT17")


@pytest.mark.parametrize("number", ["310115000000012", "330106000012340", "440301103097413", "3304811104905"])
def test_registration_numbers_of_15_and_13_digits_are_accepted(number: str) -> None:
    assert RegistrationNumber.parse(number).value == number


@pytest.mark.parametrize("number", ["310115000000013", "31011500000001", "31011500000001A"])
def test_wrong_registration_numbers_are_refused(number: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        RegistrationNumber.parse(number)


def test_a_legacy_tax_number_holds_the_organisation_code() -> None:
    assert organisation_code_of_tax_number("310115MA0TERT16") == "MA0TERT16"
    assert organisation_code_of_tax_number("91310115MA0TERT167") is None
