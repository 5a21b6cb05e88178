"""Dates of the catalogue: partial, comparable, in China time (fixed UTC+08:00).

A `google.type.Date` may lack month or day. For comparison an unknown part counts as the last possible one, so that a
record never runs out before it surely has.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from google.type.date_pb2 import Date

CHINA: Final = timezone(timedelta(hours=8), "Asia/Shanghai")

Day = tuple[int, int, int]


def china_date(moment: datetime) -> date:
    """Gives the date in China at that moment, which must know its zone."""
    return moment.astimezone(CHINA).date()


_EPOCH: Final = date(1970, 1, 1).toordinal()
_OFFSET_S: Final = 8 * 3600
_DAY_S: Final = 86_400


def china_midnight(day: date) -> int:
    """Gives the start of a day in China, in seconds since 1970."""
    return (day.toordinal() - _EPOCH) * _DAY_S - _OFFSET_S


def days_before(seconds: int, day: date) -> int:
    """Gives how many whole days a moment lies before a day in China; negative for a later one."""
    return day.toordinal() - _EPOCH - (seconds + _OFFSET_S) // _DAY_S


def proto_date(day: date) -> Date:
    """Gives the date as a message."""
    return Date(year=day.year, month=day.month, day=day.day)


def last_day(value: Date) -> Day:
    """Gives the latest day a date can mean, as (year, month, day); (0, 0, 0) for an unset one."""
    year, day = value.year, value.day
    if day:
        return (year, value.month, day)
    if not year:
        return (0, 0, 0)
    month = value.month if 1 <= value.month <= 12 else 12
    return (year, month, calendar.monthrange(year, month)[1])


def first_day(value: Date) -> Day:
    """Gives the earliest day a date can mean; (0, 0, 0) for an unset one."""
    return (value.year, value.month or 1, value.day or 1) if value.year else (0, 0, 0)


def day_of(value: date) -> Day:
    """Gives a date in the comparable form."""
    return (value.year, value.month, value.day)


@lru_cache(maxsize=4096)
def plus_months(day: Day, months: int) -> Day:
    """Gives the day so many months later, at most the last day of its month."""
    total = day[0] * 12 + day[1] - 1 + months
    year, month = divmod(total, 12)
    return (year, month + 1, min(day[2], calendar.monthrange(year, month + 1)[1]))


def iso(value: Date) -> str:
    """Gives "2026-04-01", or "2026-04" and "2026" where parts are unknown; empty for an unset date."""
    year = value.year
    return _iso(year, value.month, value.day) if year else ""


@lru_cache(maxsize=4096)
def _iso(year: int, month: int, day: int) -> str:
    if not month:
        return f"{year:04d}"
    return f"{year:04d}-{month:02d}-{day:02d}" if day else f"{year:04d}-{month:02d}"
