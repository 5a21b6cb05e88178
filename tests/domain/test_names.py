"""Forms in which names and document numbers are compared."""

from __future__ import annotations

import pytest

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


def test_a_rare_character_outside_gbk_survives() -> None:
    assert normalise_name("上海䶮信 机械有限公司") == "上海䶮信机械有限公司"
