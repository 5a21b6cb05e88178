"""Identifiers: every worked example and trap of GB 32100-2015, GB 11714 and GS 15-2006."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.cn import uscc as second_opinion

from gateway._pb.xinyidai.catalogue.v1 import registration_pb2
from gateway.domain.errors import InvalidIdentifierError
from gateway.domain.identifiers import (
    ALPHABET,
    IdentifierWarning,
    OrganisationCode,
    RegistrationNumber,
    Uscc,
    organisation_code_of_tax_number,
    registration_check_digit,
    uscc_check_character,
)

# Code, and its weighted sum modulo 31 where it was worked out by hand.
WORKED = {
    "91350100M000100Y43": 28,  # the standard's own example
    "91110000600037341L": 11,
    "91110108551385082Q": 7,
    "913302033168690875": 26,  # digits only: must never become a number
    "91330000755918469E": 17,
    "91100000100003962T": None,  # nationally registered
    "91310115MA0TERT167": 24,
    "91310115MAC0DEM080": 0,  # wraps to "0"
    "91320594MA0TERT16D": 18,  # a functional zone no standard lists
    "91330106MA0TERT16E": 17,
    "91340104MA0TERT16M": 10,
    "91100000MA0TERT16Q": 7,
    "92330782MA0TERT16C": 19,
    "93340100MA0TERT16M": 10,
    "N2340104MF0TERT06E": None,  # a letter in front
}
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)

codes = st.builds(
    lambda head, division, body: head + division + body,
    st.sampled_from(["91", "92", "93", "11", "N2", "A1", "Y1", "52"]),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
).map(lambda first17: first17 + uscc_check_character(first17))


@pytest.mark.parametrize("code", WORKED)
def test_every_worked_example_is_accepted_without_a_warning(code: str) -> None:
    parsed = Uscc.parse(code)

    assert (parsed.value, parsed.warnings) == (code, ())


@pytest.mark.parametrize(("code", "remainder"), [(code, each) for code, each in WORKED.items() if each is not None])
def test_the_check_character_is_31_less_the_weighted_sum_modulo_31(code: str, remainder: int) -> None:
    total = sum(ALPHABET.index(character) * weight for character, weight in zip(code, WEIGHTS, strict=False))

    assert total % 31 == remainder
    assert uscc_check_character(code[:17]) == code[17] == ALPHABET[(31 - remainder) % 31]


@given(st.text(ALPHABET, min_size=17, max_size=17))
def test_the_check_character_agrees_with_the_formula_of_the_standard(first17: str) -> None:
    total = sum(ALPHABET.index(character) * weight for character, weight in zip(first17, WEIGHTS, strict=True))

    assert uscc_check_character(first17) == ALPHABET[(31 - total % 31) % 31]


@pytest.mark.parametrize(
    "first17", ["", "91310115MA0TERT1", "91310115MA0TERT167", "91310115mA0TERT16", "9131011 MA0TERT16"]
)
def test_a_check_character_is_not_made_up_for_what_is_no_code(first17: str) -> None:
    with pytest.raises(ValueError, match=r"needed|invalid literal"):
        uscc_check_character(first17)


@pytest.mark.parametrize("code", [c for c in WORKED if c[0].isdigit()])
def test_a_second_library_agrees_on_codes_it_understands(code: str) -> None:
    assert second_opinion.is_valid(code)


def test_a_letter_in_front_is_where_we_know_better_than_the_second_library() -> None:
    assert not second_opinion.is_valid("N2340104MF0TERT06E")
    assert Uscc.parse("N2340104MF0TERT06E").value == "N2340104MF0TERT06E"


def test_a_weighted_sum_that_is_a_multiple_of_31_wraps_to_0() -> None:
    assert uscc_check_character("91310115MAC0DEM08") == "0"


@pytest.mark.parametrize(
    "written",
    [
        "91310115ma0tert167",
        "９１３１０１１５ＭＡ０ＴＥＲＴ１６７",
        " 91310115-MA0TERT16-7　",
        "9131\u30000115\tMA0T ERT1–67\n",
    ],
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
        ("Z1310115MA0TERT167", 1),
        ("9Z310115MA0TERT167", 2),
        ("91310115MA0TERT16O", 18),
        ("913101I5MA0TERT167", 7),
        ("A131A115MA0TERT167", 5),
        ("9131\u200b0115MA0TERT167", 5),
        ("91310115MA0TERT16⑦", 18),
        ("91310115MA0TERT16²", 18),
        ("91310115MA0TERT1\ud800", 17),
        ("9131٠115MA0TERT167", 5),
        ("91310115MA0TERT167(1-1)", 19),
    ],
)
def test_a_fault_names_its_position(written: str, position: int) -> None:
    with pytest.raises(InvalidIdentifierError) as raised:
        Uscc.parse(written)

    assert raised.value.position == position


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("91310115MA0TERT1", "has 18 characters, this one has 16; check for missing or doubled characters"),
        ("91310115MAOTERT167", "position 11: 'O' is not used in these codes .* check for a typing error"),
        ("B1310115MA0TERT167", "position 1: 'B' is no registering department .* check for a typing error"),
        ("9131A115MA0TERT167", "position 5: 'A' must be a digit of the division code; check for a typing error"),
        ("91310115MA0TERT168", "position 18: check character is '8', expected '7'; check the code for a typing error"),
    ],
)
def test_a_fault_says_what_is_wrong_and_what_to_do(written: str, message: str) -> None:
    with pytest.raises(InvalidIdentifierError, match=message):
        Uscc.parse(written)


@pytest.mark.parametrize("value", [913302033168690875, 9.133020331686909e17, None, b"913302033168690875", ["9"]])
def test_anything_but_a_text_is_refused_since_a_number_loses_digits(value: object) -> None:
    with pytest.raises(InvalidIdentifierError, match="must be a text"):
        Uscc.parse(value)


def test_a_wrong_inner_check_character_is_a_warning_only() -> None:
    first17 = "91310115MA0TERT17"

    code = Uscc.parse(first17 + uscc_check_character(first17))

    assert code.warnings == (IdentifierWarning.INNER_CHECK,)
    assert Uscc.parse("91310115MA0TERT167").warnings == ()


@given(codes)
def test_a_generated_code_is_its_own_canonical_form(code: str) -> None:
    assert Uscc.parse(code.lower()).value == code


@given(codes)
def test_every_single_wrong_character_is_found(code: str) -> None:
    # The weights are units modulo the prime 31: one changed value always changes the sum, whatever the code.
    wrong = [
        code[:place] + other + code[place + 1 :] for place in range(18) for other in ALPHABET if other != code[place]
    ]

    assert [each for each in wrong if _is_accepted(each)] == []


@given(codes)
def test_every_swap_of_two_characters_but_first_and_last_is_found(code: str) -> None:
    # 3 generates all units modulo 31, so the 17 weights differ; only the check character shares its weight 1 with the first.
    pairs = [(i, j) for i in range(18) for j in range(i + 1, 18) if code[i] != code[j] and (i, j) != (0, 17)]

    assert [pair for pair in pairs if _is_accepted(_swapped(code, *pair))] == []


def test_a_swap_of_first_and_last_character_goes_unseen() -> None:
    assert Uscc.parse(_swapped("91310115MA0TERT167", 0, 17)).value == "71310115MA0TERT169"


def _swapped(code: str, i: int, j: int) -> str:
    characters = list(code)
    characters[i], characters[j] = characters[j], characters[i]
    return "".join(characters)


def _is_accepted(code: str) -> bool:
    try:
        Uscc.parse(code)
    except InvalidIdentifierError:
        return False
    return True


def test_parts_of_a_code_are_read_off() -> None:
    code = Uscc.parse("91310115MA0TERT167")

    assert (code.registry_code, code.kind_code, code.division, code.province_hint, code.organisation_code) == (
        "9",
        "1",
        "310115",
        "31",
        "MA0TERT16",
    )


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("91310115MA0TERT167", "31"),
        ("91320594MA0TERT16D", "32"),
        ("91330106MA0TERT16E", "33"),
        ("91340104MA0TERT16M", "34"),
        ("91100000MA0TERT16Q", None),
        ("91110108551385082Q", "11"),
    ],
)
def test_the_province_is_a_hint_and_a_national_code_gives_none(code: str, hint: str | None) -> None:
    assert Uscc.parse(code).province_hint == hint


@pytest.mark.parametrize(
    ("first2", "kind"),
    [
        ("91", registration_pb2.SUBJECT_KIND_ENTERPRISE),
        ("92", registration_pb2.SUBJECT_KIND_INDIVIDUAL_BUSINESS),
        ("93", registration_pb2.SUBJECT_KIND_COOPERATIVE),
        ("N1", registration_pb2.SUBJECT_KIND_COLLECTIVE),
        ("N2", registration_pb2.SUBJECT_KIND_COLLECTIVE),
        ("N3", registration_pb2.SUBJECT_KIND_COLLECTIVE),
        ("N9", registration_pb2.SUBJECT_KIND_OTHER),
        ("99", registration_pb2.SUBJECT_KIND_OTHER),
        ("11", registration_pb2.SUBJECT_KIND_OTHER),
        ("A1", registration_pb2.SUBJECT_KIND_OTHER),
    ],
)
def test_the_first_two_characters_hint_at_the_kind_of_subject(
    first2: str, kind: registration_pb2.SubjectKind.ValueType
) -> None:
    first17 = first2 + "340104MA0TERT16"

    assert Uscc.parse(first17 + uscc_check_character(first17)).subject_kind_hint == kind


@pytest.mark.parametrize("written", ["60003734-1", "MA0TERT16", "ma0tert1-6", "MA0TE000-X", "MA0TE005-0"])
def test_organisation_codes_are_checked(written: str) -> None:
    assert OrganisationCode.parse(written).value == written.replace("-", "").upper()


def test_an_organisation_code_with_a_wrong_check_is_refused() -> None:
    with pytest.raises(InvalidIdentifierError, match="expected '6'"):
        OrganisationCode.parse("MA0TERT17")


@pytest.mark.parametrize("number", ["310115000000012", "330106000012340", "440301103097413", "3304811104905"])
def test_registration_numbers_of_15_and_13_digits_are_accepted(number: str) -> None:
    assert RegistrationNumber.parse(number).value == number


@pytest.mark.parametrize("written", ["", "MA0TERT1", "MA0TERT166", "MA0TERT1_", "ＭＡ0ＴＥＲＴ1⑥", "M·0TERT16"])
def test_what_has_not_the_shape_of_an_organisation_code_is_refused(written: str) -> None:
    with pytest.raises(InvalidIdentifierError, match="9 letters and digits"):
        OrganisationCode.parse(written)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8))
def test_an_organisation_code_has_one_right_check_character(first8: str) -> None:
    right = [check for check in "0123456789X" if _is_organisation_code(first8 + check)]

    assert len(right) == 1


def _is_organisation_code(code: str) -> bool:
    try:
        OrganisationCode.parse(code)
    except InvalidIdentifierError:
        return False
    return True


@pytest.mark.parametrize("value", [310115000000012, 3304811104905])
def test_a_registration_number_that_is_a_number_is_refused(value: int) -> None:
    with pytest.raises(InvalidIdentifierError, match="must be a text"):
        RegistrationNumber.parse(value)


@pytest.mark.parametrize(
    "number", ["", "310115000000013", "31011500000001", "31011500000001A", "31011500000001²", "3101150000000120"]
)
def test_wrong_registration_numbers_are_refused(number: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        RegistrationNumber.parse(number)


@given(st.text("0123456789", min_size=14, max_size=14), st.integers(0, 14), st.sampled_from("0123456789"))
def test_any_single_wrong_digit_of_a_registration_number_is_found(first14: str, place: int, other: str) -> None:
    number = first14 + registration_check_digit(first14)
    assume(number[place] != other)

    with pytest.raises(InvalidIdentifierError, match="position 15"):
        RegistrationNumber.parse(number[:place] + other + number[place + 1 :])


@pytest.mark.parametrize(
    ("written", "inner"),
    [
        ("310115MA0TERT16", "MA0TERT16"),
        ("３１０１１５ma0tert1-6", "MA0TERT16"),
        ("110000600037341", "600037341"),
        ("310115MA0TERT17", None),  # its check character is wrong
        ("310115800101123", None),  # of the shape of an old identity number
        ("31O115MA0TERT16", None),
        ("91310115MA0TERT167", None),
        ("", None),
    ],
)
def test_a_legacy_tax_number_holds_the_organisation_code_when_its_check_is_right(
    written: str, inner: str | None
) -> None:
    assert organisation_code_of_tax_number(written) == inner
