"""Converters of raw values (domain: heterogeneity of sources), named in mapping.toml and compiled at start-up.

A converter gives the canonical value, None for an absent one, or raises Unreadable with a short stable reason. Formats
are declared, never guessed: an unreadable value stays absent and is flagged where it stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact
from functools import lru_cache
from typing import Any, Final

from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money

Converter = Callable[[Any], Any]

NULLS: Final = frozenset({"", "-", "--", "—", "——", "－", "－－", "无", "暂无", "NULL", "null", "None", "/"})
_CHINA: Final = timezone(timedelta(hours=8))
# Zero-width and bidirectional controls carry no meaning in these records and can make two equal texts look different.
_INVISIBLE: Final = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069]")
# Only width is folded in numbers and dates. NFKC would do more: it reads 100² as 1002 and ① as 1.
_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_LONGEST: Final = 64
"""Characters of a number or date; longer ones are refused before any work is done on them."""


class Unreadable(ValueError):  # noqa: N818  # it is what the platform sent, not an error of ours
    """A value that cannot be read; `reason` is a short stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _folded(value: str) -> str:
    return value if value.isascii() else value.translate(_WIDTH)


class Indefinite:
    """Stands for a date without end (长期)."""


INDEFINITE: Final = Indefinite()


def text(raw: Any) -> str | None:
    """Gives a text, stripped, without invisible controls; numbers as they were written; absent for the null words.

    Lone surrogates cannot reach here: strict decoding and the JSON parser refuse them. A replacement character can, where
    the platform itself lost a character: such a text is refused, since a damaged name or number must not be matched.
    """
    if raw.__class__ is str:
        value: str = raw.strip()
        if not value.isprintable() or "\ufffd" in value:  # most texts are clean, and this is the quickest way to know
            value = _INVISIBLE.sub("", value).strip()
            if "\ufffd" in value:
                raise Unreadable("text.replacement")
            if "\x00" in value:
                raise Unreadable("text.control")
        return None if value in NULLS else value
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal)):
        raise Unreadable("text.type")
    return str(raw)


# --- dates ------------------------------------------------------------------------------------------------------------

_FOREVER: Final = frozenset({"长期", "永久", "长期有效", "9999-12-31", "2099-12-31"})
_FOREVER_DAYS: Final = frozenset({(9999, 12, 31), (2099, 12, 31)})
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    form: re.compile(pattern, re.ASCII)
    for form, pattern in {
        "iso": r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?",
        "compact": r"(\d{4})(?:(\d{2})(?:(\d{2}))?)?",
        "slash": r"(\d{4})(?:/(\d{1,2})(?:/(\d{1,2}))?)?",
        "dot": r"(\d{4})(?:\.(\d{1,2})(?:\.(\d{1,2}))?)?",
        "chinese": r"(\d{4})年(?:(\d{1,2})月(?:(\d{1,2})日)?)?",
        "datetime": r"(\d{4})-(\d{2})-(\d{2})[ T](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?",
    }.items()
}
# A moment this near to 1970-01-01 is a zero that stands for nothing, or seconds sent where milliseconds were declared.
_NO_MOMENT_S: Final = 10_000_000


def _date(format: str) -> Converter:
    if format in ("epoch_ms", "epoch_s"):
        return _epoch(1000 if format == "epoch_ms" else 1)
    pattern = _PATTERNS[format]

    @lru_cache(maxsize=8192)
    def parse(raw: str) -> Date | Indefinite | None:
        value = text(raw)
        if value is None:
            return None
        folded = _folded(value)
        if folded in NULLS:
            return None
        if folded in _FOREVER:
            return INDEFINITE
        match = pattern.fullmatch(folded)
        if match is None:
            raise Unreadable("date.format")
        parts = [None if part is None else int(part) for part in match.groups()]
        if 0 in parts:  # a part may be left out, but one that is written is a part of a date
            raise Unreadable("date.impossible")
        year, month, day = (part or 0 for part in parts)
        return _checked(year, month, day)

    def convert(raw: Any) -> Date | Indefinite | None:
        if raw is None:
            return None
        if isinstance(raw, int) and not isinstance(raw, bool) and format == "compact":
            raw = str(raw)
        if not isinstance(raw, str):
            raise Unreadable("date.type")
        if len(raw) > _LONGEST:
            raise Unreadable("date.format")
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
    nearest = _NO_MOMENT_S * per_second

    def convert(raw: Any) -> Date | Indefinite | None:
        try:
            number = _number(raw)
            if number is None:
                return None
            ticks = _whole(number, 1, "date.impossible")
            moment = datetime.fromtimestamp(ticks // per_second, _CHINA)
        except (ValueError, OverflowError, OSError) as error:
            raise Unreadable("date.impossible") from error
        if -nearest < ticks < nearest:
            raise Unreadable("date.epoch")
        return _checked(moment.year, moment.month, moment.day)

    return convert


# --- numbers ----------------------------------------------------------------------------------------------------------

FEN: Final[Mapping[str, int]] = {"分": 1, "元": 100, "万元": 1_000_000, "亿元": 10_000_000_000}
"""How many fen one of each unit is."""
_CURRENCIES: Final = {
    "人民币": "CNY", "元人民币": "CNY", "元": "CNY", "": "CNY", "美元": "USD", "港元": "HKD", "港币": "HKD",
    "欧元": "EUR", "日元": "JPY",
}  # fmt: skip
# A comma parts thousands and nothing else: in "0,2" or "1,5" it could be a decimal point, so they are refused.
_DIGITS: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?"
# Oracle writes .2 and Java 1.0E7.
_NUMBER: Final = re.compile(rf"[+-]?(?:{_DIGITS}|\.\d+)(?:[eE][+-]?\d{{1,3}})?", re.ASCII)
_AMOUNT: Final = re.compile(rf"(-?{_DIGITS})\s*(万|亿)?\s*([^\d.,]*)", re.ASCII)
_EXACT: Final = Context(prec=128, traps=[Inexact])


def _number(raw: Any) -> int | Decimal | None:
    if raw.__class__ is int or raw.__class__ is Decimal:
        number: int | Decimal = raw
        return number
    if isinstance(raw, (bool, float)):
        raise Unreadable("number.type")
    value = text(raw)
    if value is None:
        return None
    value = _folded(value)
    if len(value) > _LONGEST:
        raise Unreadable("number.format")
    is_plain = value.isascii() and value.replace(".", "", 1).isdecimal()  # most are, and need no pattern
    if not is_plain and _NUMBER.fullmatch(value) is None:
        if value in NULLS:  # one written in full width
            return None
        raise Unreadable("number.format")
    return Decimal(value.replace(",", ""))


def _whole(number: int | Decimal, factor: int, reason: str) -> int:
    """Gives number × factor where that is whole and fits 64 bits; `reason` is what a rest is refused with."""
    if isinstance(number, int):
        whole = number * factor
    elif not number.is_finite():
        raise Unreadable("number.format")
    elif not number:
        whole = 0
    elif number.adjusted() > 18:
        # Before any arithmetic: as an int, 1E+300000 takes seconds, and as a product 1E+999999 does not exist.
        raise Unreadable("number.range")
    else:
        try:
            scaled = _EXACT.multiply(number, factor)
        except Inexact as error:
            raise Unreadable(reason) from error
        whole = int(scaled)
        if whole != scaled:
            raise Unreadable(reason)
    if not -(2**63) <= whole < 2**63:
        raise Unreadable("number.range")
    return whole


LARGEST_WHOLE: Final = 2**63 // 10**10
"""Whole numbers up to this stay within 64 bits in fen whatever their unit."""


def _money(unit: str) -> Converter:
    factor = FEN[unit]

    def convert(raw: Any) -> Money | None:
        if raw.__class__ is int and -LARGEST_WHOLE < raw < LARGEST_WHOLE:
            return Money(minor_units=raw * factor, currency="CNY")
        number = _number(raw)
        if number is None:
            return None
        return Money(minor_units=_whole(number, factor, "money.sub_fen"), currency="CNY")

    return convert


def money_text(raw: Any) -> Money | None:
    """Gives an amount written with its unit, such as "100万元人民币", "500万美元" or "2,000.00元"; no unit, no amount."""
    value = text(raw)
    if value is None:
        return None
    match = _AMOUNT.fullmatch(_folded(value)) if len(value) <= _LONGEST else None
    if match is None:
        raise Unreadable("money.format")
    number, scale, unit = match.groups()
    if not scale and not unit:
        raise Unreadable("money.unit")
    currency = _CURRENCIES.get(unit.removeprefix("元") if unit != "元" else unit)
    if currency is None:
        raise Unreadable("money.currency")
    # ISO 4217: the yen is its own minor unit, the others have a hundredth.
    factor = FEN[{"万": "万元", "亿": "亿元"}.get(scale or "", "元")] // (100 if currency == "JPY" else 1)
    amount = Decimal(number.replace(",", ""))
    return Money(minor_units=_whole(amount, factor, "money.sub_fen"), currency=currency)


_FINE: Final = re.compile(rf"罚款(?:人民币)?\s*({_DIGITS}\s*[万亿]?元)", re.ASCII)


def fine_from_content(raw: Any) -> Money | None:
    """Gives the fine written in the content of a penalty, such as "罚款2000元"; None where none or several are written."""
    value = text(raw)
    amounts = set(_FINE.findall(_folded(value))) if value else set()
    return money_text(amounts.pop()) if len(amounts) == 1 else None


def count(raw: Any) -> int | None:
    """Gives a whole number that is not negative: the -1 that some platforms send for "unknown" is no count."""
    number = _number(raw)
    if number is None:
        return None
    whole = _whole(number, 1, "number.fraction")
    if whole < 0:
        raise Unreadable("number.range")
    return whole


_RATIOS: Final = {"fraction": 10_000, "percent": 100}


def _ratio(form: str) -> Converter:
    factor = _RATIOS[form]

    def convert(raw: Any) -> int | None:
        if isinstance(raw, str) and (written := raw.strip()).endswith(("%", "％")):
            number = _number(written[:-1])
            if number is None:  # a sign without a number is no null word
                raise Unreadable("number.format")
            return _whole(number, 100, "ratio.sub_bp")
        number = _number(raw)
        return None if number is None else _whole(number, factor, "ratio.sub_bp")

    return convert


_FLAGS: Final = dict.fromkeys(("是", "Y", "YES", "1", "TRUE", "有"), True) | dict.fromkeys(
    ("否", "N", "NO", "0", "FALSE"), False
)


def flag(raw: Any) -> bool | None:
    """Gives a claim written as 是/否, Y/N, 1/0 or true/false."""
    if isinstance(raw, bool):
        return raw
    value = text(raw)
    if value is None:
        return None
    if value not in _FLAGS:
        value = _folded(value).upper()
    if value not in _FLAGS:
        raise Unreadable("flag.unknown")
    return _FLAGS[value]


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


_CHOICES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "date": ("format", (*_PATTERNS, "epoch_ms", "epoch_s")),
    "money": ("unit", tuple(FEN)),
    "ratio": ("form", tuple(_RATIOS)),
}
"""The one setting of those converters that have one, and what may stand in it."""


def converter(kind: str, **settings: Any) -> Converter:
    """Gives the converter of that name; raises ValueError for an unknown name or setting, saying what is known."""
    factory = _FACTORIES.get(kind)
    if factory is None:
        raise ValueError(f"no converter {kind!r}; known are {', '.join(sorted(_FACTORIES))}")
    name, choices = _CHOICES.get(kind, ("", ()))
    unknown = sorted(settings.keys() - {name})
    if unknown:
        raise ValueError(f"converter {kind!r} does not take {', '.join(unknown)}")
    if choices and settings.get(name) not in choices:
        found = f"{name} {settings[name]!r} is unknown" if name in settings else f"{name} is missing"
        raise ValueError(f"{found}; use one of {', '.join(choices)}")
    return factory(**settings)
