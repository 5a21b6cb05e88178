"""Forms in which names and document numbers are compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.names import normalise_document_number, normalise_name


@pytest.mark.parametrize(
    "written",
    [
        "合市监罚〔2025〕12号",
        "合市监罚[2025]12号",
        "合市监罚（2025）12号",
        "合市监罚【２０２５】１２号",
        "合市监罚 〔2025〕 12 号",
    ],
)
def test_every_style_of_bracket_gives_one_document_number(written: str) -> None:
    assert normalise_document_number(written) == "合市监罚(2025)12号"


def test_a_name_keeps_its_square_brackets_and_middle_dot() -> None:
    assert normalise_name("阿卜·买买提〔上海〕（集团） Co.") == "阿卜·买买提〔上海〕(集团)CO."


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("上海䶮信 机械有限公司", "上海䶮信机械有限公司"),  # U+4DAE, outside GBK
        ("𠮷田商贸", "𠮷田商贸"),  # beyond the basic plane
        ("\ue863信机械", "\ue863信机械"),  # private use, as older fonts wrote U+4DAE
        ("\U0002ebf0信机械", "\U0002ebf0信机械"),  # newer than the Unicode tables of Python 3.11
    ],
)
def test_rare_characters_survive(written: str, compared: str) -> None:
    assert normalise_name(written) == compared


@pytest.mark.parametrize(
    "written",
    [
        "上海ＡＢＣ（集团）有限公司",
        " 上海abc　(集团)\t有限公司\n",
        "上海ABC（集团)有限\u200b公司\ufeff",
        "\u202a上海ABC(集团)有限公司\u202c\x00",
    ],
)
def test_width_case_blanks_and_invisible_characters_do_not_tell_names_apart(written: str) -> None:
    assert normalise_name(written) == "上海ABC(集团)有限公司"


def test_the_brackets_of_document_numbers_are_ours_to_unify_since_nfkc_keeps_them() -> None:
    assert unicodedata.normalize("NFKC", "〔〕【】〖〗（）［］") == "〔〕【】〖〗()[]"
    assert normalise_document_number("〔〕【】〖〗（）［］") == "()()()()()"


@given(st.text("上海䶮〔〕［］【】（）()·ａＡa１1 　\u200b-－"))
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalise_name(normalise_name(text)) == normalise_name(text)
    assert normalise_document_number(normalise_document_number(text)) == normalise_document_number(text)
