"""Masks of names, parties, numbers and free texts, each by itself."""

from __future__ import annotations

import pytest

from gateway.domain.masks import mask_address, mask_name, mask_number, mask_party, mask_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [("张三", "张*"), ("欧阳娜娜", "欧***"), ("买买提·吐尔逊", "买***"), ("张", "*"), (" 张三 ", "张*"), ("", "")],
)
def test_of_a_name_the_first_character_stays(name: str, shown: str) -> None:
    assert mask_name(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("上海启辰科技有限公司", "上海启辰科技有限公司"),
        ("Qichen Technology Co., Ltd.", "Qichen Technology Co., Ltd."),
        ("苏州工业园区管委会", "苏***"),
        ("王公司", "王**"),
        ("张三", "张*"),
        ("Johnson Incorporated", "J***"),
    ],
)
def test_a_partys_name_is_masked_unless_it_is_evidently_an_organisations(name: str, shown: str) -> None:
    assert mask_party(name) == shown


def test_numbers_keep_three_and_four_and_addresses_six() -> None:
    assert mask_number("310101199001011234") == "310***********1234"
    assert mask_number("13812345678") == "138****5678"
    assert mask_number("12345") == "*****"
    assert mask_address("上海市浦东新区张江路1号") == "上海市浦东新****"
    assert mask_address("张江") == "**"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("身份证310101199001011234。", "身份证310***********1234。"),
        ("证号31010119900101123X号", "证号310***********123X号"),
        ("旧证310101900101123", "旧证310********1123"),
        ("账号6222020200112233445，卡ID310101199001011234", "账号622************3445，卡ID310***********1234"),
        ("全角３１０１０１１９９００１０１１２３Ｘ", "全角３１０***********１２３Ｘ"),
        ("手机13812345678，座机021-12345678", "手机138****5678，座机021*****5678"),
        ("电话+8613812345678、86 13812345678、008613812345678", "电话+86138****5678、86 138****5678、008********5678"),
        ("手机138-1234-5678或138 1234 5678", "手机138******5678或138******5678"),
        ("座机(021)61234567，0571-8765 4321，021 6123 4567", "座机(021*****4567，057*******4321，021******4567"),
        ("身份证310101 19900101 123X", "身份证310*************123X"),
        ("账号6222 0202 0011 2233 445", "账号622**************** 445"),
        (
            "文号〔2026〕0123号，2026-01-02 2026-05-08，金额 1,234,567.00",
            "文号〔2026〕0123号，2026-01-02 2026-05-08，金额 1,234,567.00",
        ),
        ("代码91310115MA0TERT167，罚款20000元，2026-01-02", "代码91310115MA0TERT167，罚款20000元，2026-01-02"),
    ],
)
def test_in_a_free_text_identity_and_telephone_numbers_are_masked_where_they_stand(text: str, shown: str) -> None:
    assert mask_text(text) == shown
