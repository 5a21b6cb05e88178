"""Converters of raw values (domain: heterogeneity of sources), named in mapping.toml and compiled at start-up.

A converter gives the canonical value, None for an absent one, or raises Unreadable with a short stable reason. Formats
are declared, never guessed: an unreadable value stays absent and is flagged where it stood.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money

Converter = Callable[[Any], Any]

NULLS: Final = frozenset({"", "-", "--", "—", "无", "暂无", "NULL", "null", "None", "/"})
_CHINA: Final = timezone(timedelta(hours=8))
# Zero-width and bidirectional controls carry no meaning in these records and can make two equal texts look different.
_INVISIBLE: Final = re.compile("[\u200b-\u200d\u2060\ufeff\u202a-\u202e\u2066-\u2069]")


class Unreadable(ValueError):  # noqa: N818  # it is what the platform sent, not an error of ours
    """A value that cannot be read; `reason` is a short stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Indefinite:
    """Stands for a date without end (长期)."""


INDEFINITE: Final = Indefinite()


def text(raw: Any) -> str | None:
    """Gives a text, stripped, without invisible controls; numbers as they were written; absent for the null words.

    Lone surrogates cannot reach here: strict decoding and the JSON parser refuse them.
    """
    if raw.__class__ is str:
        value: str = raw.strip()
        if not value.isascii() and _INVISIBLE.search(value) is not None:
            value = _INVISIBLE.sub("", value).strip()
        if value in NULLS:
            return None
        if "\x00" in value:
            raise Unreadable("text.control")
        return value
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal)):
        raise Unreadable("text.type")
    return str(raw)


# --- dates ------------------------------------------------------------------------------------------------------------

_FOREVER: Final = frozenset({"长期", "永久", "长期有效", "9999-12-31", "2099-12-31"})
_FOREVER_DAYS: Final = frozenset({(9999, 12, 31), (2099, 12, 31)})
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "iso": re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?"),
    "compact": re.compile(r"(\d{4})(?:(\d{2})(?:(\d{2}))?)?"),
    "slash": re.compile(r"(\d{4})(?:/(\d{1,2})(?:/(\d{1,2}))?)?"),
    "dot": re.compile(r"(\d{4})(?:\.(\d{1,2})(?:\.(\d{1,2}))?)?"),
    "chinese": re.compile(r"(\d{4})年(?:(\d{1,2})月(?:(\d{1,2})日)?)?"),
    "datetime": re.compile(r"(\d{4})-(\d{2})-(\d{2})[ T]\d{2}:\d{2}:\d{2}(?:\.\d+)?"),
}


def _date(format: str) -> Converter:
    if format in ("epoch_ms", "epoch_s"):
        return _epoch(1000 if format == "epoch_ms" else 1)
    pattern = _PATTERNS[format]

    @lru_cache(maxsize=8192)
    def parse(value: str) -> Date | Indefinite | None:
        folded = unicodedata.normalize("NFKC", value).strip() if not value.isascii() else value.strip()
        if folded in NULLS:
            return None
        if folded in _FOREVER:
            return INDEFINITE
        match = pattern.fullmatch(folded)
        if match is None:
            raise Unreadable("date.format")
        year, month, day = (int(part) if part else 0 for part in match.groups())
        return _checked(year, month, day)

    def convert(raw: Any) -> Date | Indefinite | None:
        if raw is None:
            return None
        if isinstance(raw, int) and not isinstance(raw, bool) and format == "compact":
            raw = str(raw)
        if not isinstance(raw, str):
            raise Unreadable("date.type")
        return parse(raw)

    return convert


def _checked(year: int, month: int, day: int) -> Date | Indefinite:
    if (year, month, day) in _FOREVER_DAYS:
        return INDEFINITE
    try:
        date(year, month or 1, day or 1)
    except ValueError as error:
        raise Unreadable("date.impossible") from error
    return Date(year=year, month=month, day=day)


def _epoch(per_second: int) -> Converter:
    def convert(raw: Any) -> Date | Indefinite | None:
        if raw is None or raw == "":
            return None
        try:
            moment = datetime.fromtimestamp(int(raw) / per_second, _CHINA)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise Unreadable("date.impossible") from error
        return _checked(moment.year, moment.month, moment.day)

    return convert


# --- numbers ----------------------------------------------------------------------------------------------------------

_FEN: Final = {"分": 1, "元": 100, "万元": 1_000_000, "亿元": 10_000_000_000}
_CURRENCIES: Final = {
    "人民币": "CNY", "元人民币": "CNY", "元": "CNY", "": "CNY", "美元": "USD", "港元": "HKD", "港币": "HKD",
    "欧元": "EUR", "日元": "JPY",
}  # fmt: skip
_AMOUNT: Final = re.compile(r"(-?[\d,]+(?:\.\d+)?)\s*(万|亿)?\s*(\D*)")


def _number(raw: Any) -> Decimal | None:
    if isinstance(raw, (bool, float)):
        raise Unreadable("number.type")
    if isinstance(raw, (int, Decimal)):
        return Decimal(raw)
    value = text(raw)
    if value is None:
        return None
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    try:
        number = Decimal(value.replace(",", ""))
    except InvalidOperation as error:
        raise Unreadable("number.format") from error
    if not number.is_finite():
        raise Unreadable("number.format")
    return number


def _whole(number: Decimal, reason: str) -> int:
    whole = int(number)
    if whole != number:
        raise Unreadable(reason)
    if not -(2**63) <= whole < 2**63:
        raise Unreadable("number.range")
    return whole


_LARGEST: Final = 2**63 // 10**10
"""Whole numbers up to this stay within 64 bits in fen whatever their unit."""


def _money(unit: str) -> Converter:
    factor = _FEN[unit]

    def convert(raw: Any) -> Money | None:
        if raw.__class__ is int and -_LARGEST < raw < _LARGEST:
            return Money(minor_units=raw * factor, currency="CNY")
        number = _number(raw)
        if number is None:
            return None
        return Money(minor_units=_whole(number * factor, "money.sub_fen"), currency="CNY")

    return convert


def money_text(raw: Any) -> Money | None:
    """Gives an amount written with its unit, such as "100万元人民币", "500万美元" or "2,000.00元"."""
    value = text(raw)
    if value is None:
        return None
    match = _AMOUNT.fullmatch(unicodedata.normalize("NFKC", value))
    if match is None:
        raise Unreadable("money.format")
    number, scale, unit = match.groups()
    currency = _CURRENCIES.get(unit.removeprefix("元") if unit != "元" else unit)
    if currency is None:
        raise Unreadable("money.currency")
    factor = _FEN[{"万": "万元", "亿": "亿元"}.get(scale or "", "元")]
    amount = Decimal(number.replace(",", "")) * factor
    return Money(minor_units=_whole(amount, "money.sub_fen"), currency=currency)


_FINE: Final = re.compile(r"罚款(?:人民币)?([\d,.]+)(万)?元")


def fine_from_content(raw: Any) -> Money | None:
    """Gives the fine written in the content of a penalty, such as "罚款2000元"; None where none is written."""
    value = text(raw)
    match = _FINE.search(unicodedata.normalize("NFKC", value)) if value else None
    if match is None:
        return None
    return money_text(f"{match.group(1)}{match.group(2) or ''}元")


def count(raw: Any) -> int | None:
    """Gives a whole number."""
    if type(raw) is int:
        return raw
    number = _number(raw)
    return None if number is None else _whole(number, "number.fraction")


_RATIOS: Final = {"fraction": 10_000, "percent": 100}


def _ratio(form: str) -> Converter:
    factor = _RATIOS[form]

    def convert(raw: Any) -> int | None:
        if isinstance(raw, str) and raw.strip().endswith(("%", "％")):
            number = _number(raw.strip().rstrip("%％"))
            return None if number is None else _whole(number * 100, "ratio.sub_bp")
        number = _number(raw)
        return None if number is None else _whole(number * factor, "ratio.sub_bp")

    return convert


_TRUE: Final = frozenset({"是", "Y", "YES", "1", "TRUE", "有"})
_FALSE: Final = frozenset({"否", "N", "NO", "0", "FALSE"})


def flag(raw: Any) -> bool | None:
    """Gives a claim written as 是/否, Y/N, 1/0 or true/false."""
    if isinstance(raw, bool):
        return raw
    value = text(raw)
    if value is None:
        return None
    folded = value.upper()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise Unreadable("flag.unknown")


_FACTORIES: Final[Mapping[str, Callable[..., Converter]]] = {
    "text": lambda: text,
    "date": _date,
    "money": _money,
    "money_text": lambda: money_text,
    "fine_in_text": lambda: fine_from_content,
    "count": lambda: count,
    "ratio": _ratio,
    "flag": lambda: flag,
}


def converter(kind: str, **settings: str) -> Converter:
    """Gives the converter of that name; raises ValueError for an unknown name or setting."""
    factory = _FACTORIES.get(kind)
    if factory is None:
        raise ValueError(f"no converter {kind!r}; known are {', '.join(sorted(_FACTORIES))}")
    try:
        return factory(**settings)
    except TypeError as error:
        raise ValueError(f"converter {kind!r} does not take {sorted(settings)}") from error
    except KeyError as error:
        raise ValueError(f"converter {kind!r} does not know {error}") from error
