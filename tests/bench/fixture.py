"""What the plain platforms hold: twelve fields of a registration, or 76 records of seven kinds, for each enterprise.

The first platform is the home province's and has the newest data, so "the newest value wins" and "the authoritative value
wins" give the same twelve values. Older copies differ in some fields, and the newest lacks one that the next one has. The
platforms beyond the first four are more copies, of registrations only, each older than the one before.
Days are counted back from today: nothing runs out of publication however old this file gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

import msgspec
from google.type.date_pb2 import Date

from connectors.kit.enterprise_codes import code_of
from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import REGISTRATION_STATUS_ACTIVE, Registration
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money

PLATFORMS: Final = tuple(f"bench{number}" for number in range(1, 17))
FOUR: Final = PLATFORMS[:4]
PROVINCES: Final = ("31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44", "45", "46", "50", "51", "52")
"""The platforms' provinces, in their order."""
PLAIN: Final = "plain"
REALISTIC: Final = "realistic"
RECORDS: Final = 76
"""Records of one enterprise in the realistic payload, counted over the four platforms that send them."""

TWELVE: Final = (
    "enterprise_type", "legal_representative", "registered_capital", "paid_capital", "established_on",
    "registration_status", "address", "scope", "industry_code", "registration_authority", "approved_on", "employee_count",
)  # fmt: skip

_TODAY: Final = date.today()
_AGE_DAYS: Final = dict(zip(PLATFORMS, (0, 1, 10, *range(40, 170, 10)), strict=True))
_DIGITS: Final = slice(10, 14)
_REGISTRY: Final = {"authorityCode": code_of("11", "310115", "00120031"), "authorityName": "示例市市场监督管理局"}
_OFFICE: Final = {
    platform: {
        "authorityCode": code_of("11", f"{province}0100", f"0034{province}07"),
        "authorityName": f"示例{province}市生态环境局",
    }
    for platform, province in zip(FOUR, PROVINCES[:4], strict=True)
}

Row = Mapping[str, Any]


def enterprise(number: int) -> str:
    """Gives the code of one of ten thousand enterprises."""
    return code_of("91", "310115", f"MA{number:04d}BE")


ENTERPRISES: Final = tuple(enterprise(number) for number in range(50))


def number_of(uscc: str) -> int:
    """Gives the number of an enterprise; raises ValueError for a code that is none of ours."""
    number = int(uscc[_DIGITS])
    if enterprise(number) != uscc:
        raise ValueError("not one of the benchmark's enterprises")
    return number


def registration(uscc: str) -> dict[str, Any]:
    """Gives the true registration row of an enterprise, as the platforms write it."""
    number = number_of(uscc)
    return {
        "enterpriseType": "有限责任公司(自然人投资或控股)",
        "legalRep": f"测试{'甲乙丙丁戊'[number % 5]}",
        "regCapital": 10_000_000 + number * 10_000,
        "paidCapital": 6_000_000 + number * 5_000,
        "establishDate": (date(2010, 1, 4) + timedelta(days=37 * (number % 50))).isoformat(),
        "status": "存续",
        "address": f"示例市浦江区示例路{100 + number}号",
        "scope": "机械零部件加工；环保技术推广；货物运输代理",
        "industryCode": "C3484",
        **_REGISTRY,
        "approveDate": (date(2024, 3, 1) + timedelta(days=number % 50)).isoformat(),
        "employees": 20 + number,
    }


@cache
def truth(uscc: str) -> Registration:
    """Gives the twelve values every peer and the gateway must answer with; not to be changed."""
    row = registration(uscc)
    established, approved = (date.fromisoformat(row[key]) for key in ("establishDate", "approveDate"))
    return Registration(
        enterprise_type=row["enterpriseType"],
        legal_representative=row["legalRep"],
        registered_capital=Money(minor_units=row["regCapital"] * 100, currency="CNY"),
        paid_capital=Money(minor_units=row["paidCapital"] * 100, currency="CNY"),
        established_on=Date(year=established.year, month=established.month, day=established.day),
        registration_status=REGISTRATION_STATUS_ACTIVE,
        address=row["address"],
        scope=row["scope"],
        industry_code=row["industryCode"],
        registration_authority=Authority(code=row["authorityCode"], name=row["authorityName"]),
        approved_on=Date(year=approved.year, month=approved.month, day=approved.day),
        employee_count=row["employees"],
    )


def twelve(record: Registration) -> Registration:
    """Gives the twelve values alone, without envelope and raw siblings."""
    bare = Registration()
    for descriptor, value in record.ListFields():
        if descriptor.name in TWELVE:
            if descriptor.message_type is not None:
                getattr(bare, descriptor.name).CopyFrom(value)
            else:
                setattr(bare, descriptor.name, value)
    return bare


@cache
def body(platform: str, payload: str, uscc: str) -> bytes:
    """Gives the body a platform answers with."""
    as_of = (_TODAY - timedelta(days=1 + _AGE_DAYS[platform])).isoformat()
    data: dict[str, Any] = {"asOf": as_of, "creditCode": uscc, "registrations": [_registration_at(platform, uscc)]}
    if payload == REALISTIC:
        data |= {kind: rows[platform] for kind, rows in _records(uscc).items()}
    return msgspec.json.encode({"code": "0", "message": "success", "data": data})


def sent_records(payload: str, uscc: str) -> int:
    """Gives how many records the four platforms send of an enterprise."""
    bodies = [msgspec.json.decode(body(platform, payload, uscc))["data"] for platform in FOUR]
    return sum(len(rows) for data in bodies for rows in data.values() if isinstance(rows, list))


def _copies(platform: str) -> str:
    """Gives which of the first four holds the same: those beyond them are copies of the second, third and fourth in turn."""
    index = PLATFORMS.index(platform)
    return FOUR[index] if index < len(FOUR) else FOUR[1 + (index - len(FOUR)) % 3]


def _registration_at(platform: str, uscc: str) -> dict[str, Any]:
    row = registration(uscc)
    if platform == "bench1":
        row["employees"] = None
    elif _copies(platform) == "bench3":
        row |= {"address": "示例市旧址路1号", "employees": row["employees"] - 7}
    elif _copies(platform) == "bench4":
        row |= {"regCapital": row["regCapital"] // 2, "scope": None, "approveDate": "2021-05-06"}
    return row


# Which platforms hold each record of a kind, in order; the sum with four registrations is RECORDS.
_HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "penalties": ("123", "12", "1", "2", "34", "4"),
    "licences": ("12", "1", "13", "2", "3", "123", "4", "14"),
    "evaluations": ("1", "12", "2", "3", "4", "34"),
    "listEntries": ("123", "34"),
    "taxPayments": (*("1",) * 10, *("2",) * 2, *("12",) * 2),
    "socialInsurances": (*("1",) * 12, *("3",) * 4, *("13",) * 2),
}

DISTINCT: Final = 1 + sum(len(held) for held in _HELD.values())
"""Records of one enterprise once copies are merged: one registration, and those of the other kinds."""


def _records(uscc: str) -> dict[str, dict[str, list[Row]]]:
    number = number_of(uscc)
    made: dict[str, dict[str, list[Row]]] = {}
    for kind, held in _HELD.items():
        made[kind] = {platform: [] for platform in PLATFORMS}
        for index, holders in enumerate(held):
            row = _MAKERS[kind](number, index, f"bench{holders[0]}")
            for holder in holders:
                made[kind][f"bench{holder}"].append(row)
    return made


def _ago(days: int) -> str:
    return (_TODAY - timedelta(days=days)).isoformat()


def _month_ago(months: int) -> tuple[int, int]:
    count = _TODAY.year * 12 + _TODAY.month - 1 - months
    return count // 12, count % 12 + 1


def _penalty(number: int, index: int, first: str) -> Row:
    return {
        "id": f"P{number}-{index}", "docNo": f"示环罚〔{_TODAY.year}〕{number}{index}号", **_OFFICE[first],
        "kinds": "罚款;警告", "fine": 20_000 + index, "decided": _ago(30 + 20 * index), "status": "0",
    }  # fmt: skip


def _licence(number: int, index: int, first: str) -> Row:
    return {
        "id": f"L{number}-{index}", "docNo": f"示许〔2024〕{number}{index}号", **_OFFICE[first], "kind": "普通",
        "validTo": _ago(-900),
    }  # fmt: skip


def _evaluation(number: int, index: int, first: str) -> Row:
    return {
        "scheme": ("纳税信用", "江苏环保信用")[index % 2], "period": str(_TODAY.year - 1 - index),
        "grade": ("A", "蓝")[index % 2], "rated": _ago(200 + 365 * index),
    }  # fmt: skip


def _list_entry(number: int, index: int, first: str) -> Row:
    return {
        "list": "长三角区域生态环境领域严重失信名单", "year": _TODAY.year - index, **_OFFICE[first],
        "reason": "环境信用评价最差等级", "listed": _ago(100 + index),
    }  # fmt: skip


def _tax(number: int, index: int, first: str) -> Row:
    year, month = _month_ago(1 + index)
    return {
        "period": f"{year}-{month:02d}", "region": "310000" if first == "bench1" else "320000",
        "vatDue": 310_000 + number, "vatPaid": 310_000 + number, "arrears": 0,
    }  # fmt: skip


def _social(number: int, index: int, first: str) -> Row:
    year, month = _month_ago(1 + index)
    return {
        "period": f"{year}-{month:02d}", "region": "310000" if first == "bench1" else "330000", "insured": 20 + number,
        "paid": 28_000 + number,
    }  # fmt: skip


_MAKERS: Final = {
    "penalties": _penalty,
    "licences": _licence,
    "evaluations": _evaluation,
    "listEntries": _list_entry,
    "taxPayments": _tax,
    "socialInsurances": _social,
}
