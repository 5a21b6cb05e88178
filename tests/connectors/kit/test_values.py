"""Converters at their edges: a hostile or careless value costs one field, never the answer, the clock or the truth."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.values import Converter, Unreadable, converter

EVERY = [
    converter("text"),
    *(converter("date", format=form) for form in ("iso", "compact", "slash", "dot", "chinese", "datetime")),
    *(converter("date", format=form) for form in ("epoch_ms", "epoch_s")),
    *(converter("money", unit=unit) for unit in ("分", "元", "万元", "亿元")),
    converter("money_text"),
    converter("fine_in_text"),
    converter("count"),
    *(converter("ratio", form=form) for form in ("fraction", "percent")),
    converter("flag"),
]
yuan, money_text, count = converter("money", unit="元"), converter("money_text"), converter("count")


def refusal(convert: Converter, raw: Any) -> str:
    with pytest.raises(Unreadable) as raised:
        convert(raw)
    return raised.value.reason


written = st.text("0123456789.,+-eE%_万亿元美年月日/: ０９，．％²①٣罚款\u200b\ufffd", max_size=24)
numbers = st.integers() | st.decimals(allow_nan=True, allow_infinity=True) | st.floats()
huge = st.builds(
    lambda digits, exponent: Decimal(f"{digits}E{exponent}"), st.integers(0, 99), st.integers(-999_990, 999_990)
)


@settings(max_examples=300)
@given(st.none() | st.booleans() | numbers | huge | written | st.text(max_size=12) | st.lists(st.text(), max_size=2))
def test_P5_any_raw_value_is_a_value_absent_or_refused(raw: Any) -> None:
    for convert in EVERY:
        try:
            convert(raw)
        except Unreadable as error:
            assert error.reason.partition(".")[1] == "."


@pytest.mark.parametrize("raw", [Decimal("1E+300000"), Decimal("1E+999999"), "1E999", "9" * 65, 10**4_000])
@pytest.mark.parametrize("kind", [yuan, count], ids=["money", "count"])
def test_P5_a_number_beyond_all_measure_is_refused_before_any_arithmetic(kind: Converter, raw: Any) -> None:
    assert refusal(kind, raw) in ("number.range", "number.format")


@pytest.mark.parametrize("raw", ["0,2", "1,5", "1,2,3", "12,34", "1_000", "100²", "①", "٣", "1 000", "½"])
def test_an_amount_that_could_be_read_two_ways_is_refused(raw: str) -> None:
    assert refusal(yuan, raw) == "number.format"


@pytest.mark.parametrize(
    ("raw", "fen"), [(".2", 20), ("1.0E7", 1_000_000_000), ("1,234,567.80", 123_456_780), ("１，０００．５", 100_050)]
)
def test_amounts_are_read_as_oracle_java_and_people_write_them(raw: str, fen: int) -> None:
    assert yuan(raw).minor_units == fen


@pytest.mark.parametrize("raw", ["0.01000000000000000000000000000000001", Decimal("0.01") + Decimal("1E-27")])
def test_P5_a_rest_behind_many_digits_is_still_no_whole_fen(raw: Any) -> None:
    assert refusal(yuan, raw) == "money.sub_fen"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("100", "money.unit"),
        (",元", "money.format"),
        ("1,5万元", "money.format"),
        ("100²元", "money.currency"),
        ("100万斤", "money.currency"),
    ],
)
def test_an_amount_without_a_clear_unit_is_refused(raw: str, reason: str) -> None:
    assert refusal(money_text, raw) == reason


@pytest.mark.parametrize(
    ("content", "fen"),
    [
        ("罚款人民币2,000元整", 200_000),
        ("没收违法所得，罚款 0.2 万元", 200_000),
        ("罚款2000元；逾期另行罚款3000元", None),
        ("罚款,元", None),
        ("罚款贰仟元", None),
        ("警告", None),
    ],
)
def test_a_fine_is_taken_from_a_content_only_if_one_is_written(content: str, fen: int | None) -> None:
    fine = converter("fine_in_text")(content)

    assert (fine and fine.minor_units) == fen


@pytest.mark.parametrize(
    ("form", "raw", "reason"),
    [
        ("iso", "2020-00-10", "date.impossible"),
        ("iso", "2020-05-00", "date.impossible"),
        ("iso", "٢٠٢٠-٠٩-٠٨", "date.format"),
        ("iso", "2020-09-08" + " " * 60, "date.format"),
        ("datetime", "2020-09-08 99:99:99", "date.format"),
        ("datetime", "2020-09-08T00:00:00Z", "date.format"),
        ("epoch_ms", 1_599_494_400, "date.epoch"),
        ("epoch_s", 1_599_494_400_000, "date.impossible"),
        ("epoch_ms", 0, "date.epoch"),
        ("epoch_ms", True, "date.impossible"),
        ("epoch_s", "1_599_494_400", "date.impossible"),
    ],
)
def test_P18_a_date_that_its_declared_format_does_not_write_is_refused(form: str, raw: Any, reason: str) -> None:
    assert refusal(converter("date", format=form), raw) == reason


@pytest.mark.parametrize("raw", ["-", "暂无", "", "－", None])
def test_the_null_words_are_no_moment(raw: Any) -> None:
    assert converter("date", format="epoch_ms")(raw) is None


def test_a_moment_before_1970_is_its_day_in_china() -> None:
    day = converter("date", format="epoch_s")(-378_691_200 - 8 * 3600)

    assert (day.year, day.month, day.day) == (1958, 1, 1)


@pytest.mark.parametrize(("raw", "reason"), [(-1, "number.range"), ("-1", "number.range"), (2**63, "number.range")])
def test_a_count_is_not_negative_and_fits_64_bits(raw: Any, reason: str) -> None:
    assert refusal(count, raw) == reason


@pytest.mark.parametrize("raw", ["%", "15%%", "－％"])
def test_a_percent_sign_without_one_number_is_refused(raw: str) -> None:
    assert refusal(converter("ratio", form="percent"), raw) == "number.format"


@pytest.mark.parametrize("mark", list("\u00ad\u061c\u180e\u200b\u200e\u200f\u202e\u2060\u2066\ufeff"))
def test_P11_no_invisible_control_tells_two_texts_apart(mark: str) -> None:
    assert converter("text")(f"上海{mark}信诚{mark}") == "上海信诚"


def test_P8_a_text_in_which_the_platform_lost_a_character_is_refused() -> None:
    assert refusal(converter("text"), "上海\ufffd诚") == "text.replacement"


def test_a_flag_in_full_width_is_read() -> None:
    assert [converter("flag")(raw) for raw in ("Ｙ", "ｎ", "是", "否")] == [True, False, True, False]
