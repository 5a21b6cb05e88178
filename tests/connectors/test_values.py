"""Converters: every variant of dates, amounts, ratios and nulls that sources send, read by declared format only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.values import INDEFINITE, Unreadable, converter


def day(raw: Any, form: str) -> tuple[int, int, int]:
    value = converter("date", format=form)(raw)
    return (value.year, value.month, value.day)


@pytest.mark.parametrize(
    ("form", "raw", "expected"),
    [
        ("iso", "2020-09-08", (2020, 9, 8)),
        ("iso", "2020-9-8", (2020, 9, 8)),
        ("iso", "2019", (2019, 0, 0)),
        ("iso", "2019-05", (2019, 5, 0)),
        ("iso", "２０２０-０９-０８", (2020, 9, 8)),
        ("compact", "20200908", (2020, 9, 8)),
        ("compact", 20200908, (2020, 9, 8)),
        ("slash", "2020/9/8", (2020, 9, 8)),
        ("dot", "2020.09.08", (2020, 9, 8)),
        ("chinese", "2020年9月8日", (2020, 9, 8)),
        ("chinese", "2019年", (2019, 0, 0)),
        ("datetime", "2020-09-08 00:00:00.0", (2020, 9, 8)),
        ("epoch_ms", 1599494400000, (2020, 9, 8)),
        ("epoch_s", "1599494400", (2020, 9, 8)),
    ],
)
def test_dates_are_read_by_their_declared_format(form: str, raw: Any, expected: tuple[int, int, int]) -> None:
    assert day(raw, form) == expected


@pytest.mark.parametrize("raw", ["长期", "9999-12-31", "2099-12-31"])
def test_a_date_without_end_is_indefinite(raw: str) -> None:
    assert converter("date", format="iso")(raw) is INDEFINITE


@pytest.mark.parametrize(
    ("form", "raw", "reason"),
    [
        ("iso", "2024-02-30", "date.impossible"),
        ("compact", "00000000", "date.impossible"),
        ("iso", "20200908", "date.format"),
        ("chinese", "二〇二四年一月一日", "date.format"),
        ("iso", 20200908, "date.type"),
        ("epoch_ms", "soon", "date.impossible"),
    ],
)
def test_P18_an_odd_date_is_refused_not_guessed(form: str, raw: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as raised:
        converter("date", format=form)(raw)

    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("unit", "raw", "fen"),
    [
        ("元", "1,000.00", 100_000),
        ("元", 2000, 200_000),
        ("元", Decimal("2000.5"), 200_050),
        ("万元", "0.2", 200_000),
        ("万元", Decimal("0.2"), 200_000),
        ("亿元", "1", 10_000_000_000),
        ("分", 5, 5),
        ("元", "１２３", 12_300),
        ("元", "0", 0),
        ("元", -3, -300),
    ],
)
def test_amounts_are_exact_in_fen(unit: str, raw: Any, fen: int) -> None:
    assert converter("money", unit=unit)(raw).minor_units == fen


@pytest.mark.parametrize("raw", [None, "", "-", "无", "--", "NULL", "暂无"])
def test_the_null_words_mean_absent_and_zero_does_not(raw: Any) -> None:
    assert converter("money", unit="元")(raw) is None
    assert converter("text")(raw) is None
    assert converter("date", format="iso")(raw) is None


@pytest.mark.parametrize(
    ("unit", "raw", "reason"),
    [
        ("元", "0.001", "money.sub_fen"),
        ("万元", "0.0000001", "money.sub_fen"),
        ("元", "about 5", "number.format"),
        ("元", 0.1, "number.type"),
        ("亿元", "9" * 20, "number.range"),
        ("元", "NaN", "number.format"),
    ],
)
def test_P5_an_amount_that_is_no_whole_fen_is_refused(unit: str, raw: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as raised:
        converter("money", unit=unit)(raw)

    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        ("100万元人民币", (100_000_000, "CNY")),
        ("500万美元", (500_000_000, "USD")),
        ("500万日元", (5_000_000, "JPY")),
        ("2,000.00元", (200_000, "CNY")),
        ("1亿元", (10_000_000_000, "CNY")),
        ("３０万元", (30_000_000, "CNY")),
    ],
)
def test_amounts_written_with_their_unit_are_read(raw: str, amount: tuple[int, str]) -> None:
    money = converter("money_text")(raw)

    assert (money.minor_units, money.currency) == amount


def test_the_fine_in_a_content_and_in_its_field_agree() -> None:
    assert converter("fine_in_text")("责令改正，罚款2000元") == converter("money", unit="万元")(Decimal("0.2"))


@pytest.mark.parametrize(
    ("form", "raw", "bp"), [("fraction", "0.15", 1500), ("percent", 15, 1500), ("fraction", "15%", 1500)]
)
def test_ratios_become_basis_points(form: str, raw: Any, bp: int) -> None:
    assert converter("ratio", form=form)(raw) == bp


def test_P11_invisible_controls_are_dropped_and_nul_is_refused() -> None:
    assert converter("text")("上海\u200b信诚\u202e　") == "上海信诚"
    with pytest.raises(Unreadable):
        converter("text")("a\x00b")


@pytest.mark.parametrize(
    ("kind", "settings", "fault"),
    [
        ("nonsense", {}, "no converter 'nonsense'; known are count, date"),
        ("money", {"unit": "斤"}, "unit '斤' is unknown; use one of 分, 元, 万元, 亿元"),
        ("money", {"size": "元", "unit": "元"}, "converter 'money' does not take size"),
        ("money", {}, "unit is missing; use one of 分, 元, 万元, 亿元"),
        ("date", {"format": "yyyyMMdd"}, "format 'yyyyMMdd' is unknown; use one of iso, compact, slash"),
        ("text", {"unit": "元"}, "converter 'text' does not take unit"),
    ],
)
def test_an_unknown_converter_or_setting_is_refused_at_start(kind: str, settings: dict[str, str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        converter(kind, **settings)


@given(st.integers(-(10**15), 10**15))
def test_any_whole_number_of_fen_survives_as_yuan_text(fen: int) -> None:
    text = f"{Decimal(fen) / 100:.2f}"

    assert converter("money", unit="元")(text).minor_units == fen


@given(st.dates())
def test_any_date_survives_every_written_form(value: Any) -> None:
    if (value.year, value.month, value.day) in {(9999, 12, 31), (2099, 12, 31)}:
        return
    expected = (value.year, value.month, value.day)

    assert day(f"{value.year:04d}-{value.month:02d}-{value.day:02d}", "iso") == expected
    assert day(f"{value.year:04d}{value.month:02d}{value.day:02d}", "compact") == expected
    assert day(f"{value.year:04d}年{value.month}月{value.day}日", "chinese") == expected
