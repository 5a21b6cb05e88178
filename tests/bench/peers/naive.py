"""The honest simple thing: grpc.aio, aiohttp, gather, and the newest value of each of twelve fields wins."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any

import aiohttp
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import Registration
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import QueryScope
from tests.bench.child import run, serve

Ask = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Asks the platform at an address about an enterprise."""

STATUSES = {"存续": 1, "停业": 2, "吊销": 3, "注销": 4, "迁出": 5}
KEYS = (
    "enterpriseType", "legalRep", "regCapital", "paidCapital", "establishDate", "status", "address", "scope",
    "industryCode", "authorityName", "authorityCode", "approveDate", "employees",
)  # fmt: skip


def asking(session: aiohttp.ClientSession) -> Ask:
    """Gives the call to one platform."""

    async def ask(address: str, uscc: str) -> dict[str, Any]:
        async with session.post(f"{address}/query/{uscc}", data={"categories": "registration"}) as response:
            response.raise_for_status()
            document = await response.json()
        if document["code"] != "0":
            raise ValueError(f"{address}: {document['code']} {document['message']}")
        data: dict[str, Any] = document["data"]
        return data

    return ask


def merge(answers: Sequence[dict[str, Any]]) -> Registration:
    """Gives one registration: of each field the newest value there is."""
    newest_first = sorted(answers, key=lambda data: str(data["asOf"]), reverse=True)
    merged: dict[str, Any] = {}
    for data in newest_first:
        for row in data["registrations"]:
            for key in KEYS:
                if merged.get(key) is None:
                    merged[key] = row.get(key)
    return Registration(
        enterprise_type=merged["enterpriseType"],
        legal_representative=merged["legalRep"],
        registered_capital=_money(merged["regCapital"]),
        paid_capital=_money(merged["paidCapital"]),
        established_on=_date(merged["establishDate"]),
        registration_status=STATUSES.get(merged["status"], 8),  # type: ignore[arg-type]
        address=merged["address"],
        scope=merged["scope"],
        industry_code=merged["industryCode"],
        registration_authority=Authority(name=merged["authorityName"], code=merged["authorityCode"]),
        approved_on=_date(merged["approveDate"]),
        employee_count=merged["employees"],
    )


def _money(yuan: int) -> Money:
    return Money(minor_units=yuan * 100, currency="CNY")


def _date(text: str) -> Date:
    day = date.fromisoformat(text)
    return Date(year=day.year, month=day.month, day=day.day)


async def main(told: asyncio.Event) -> None:
    """Serves until told to end."""
    addresses = sys.argv[1:]
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        ask = asking(session)

        async def answer(query: QueryScope) -> Registration:
            return merge(await asyncio.gather(*(ask(address, query.uscc) for address in addresses)))

        await serve(answer, told, request=QueryScope.FromString, response=Registration.SerializeToString)


if __name__ == "__main__":
    run(main)
