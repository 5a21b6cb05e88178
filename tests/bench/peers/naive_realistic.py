"""The honest simple thing with 76 records: as the naive peer, and of each kind one record per natural key, the newest's.

No provenance, no conflicts, no digests, no codes checked: what is left out is what the gateway is for.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import aiohttp
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import Licence, ListEntry, Penalty
from gateway._pb.xinyidai.catalogue.v1.evaluation_pb2 import Evaluation
from gateway._pb.xinyidai.catalogue.v1.fiscal_pb2 import SocialInsurance, TaxPayment
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import QueryScope, Records
from tests.bench.child import run, serve
from tests.bench.peers.naive import asking, merge

Row = dict[str, Any]


def money(yuan: int) -> Money:
    """Gives an amount in fen."""
    return Money(minor_units=yuan * 100, currency="CNY")


def day(text: str) -> Date:
    """Gives a date."""
    parsed = date.fromisoformat(text)
    return Date(year=parsed.year, month=parsed.month, day=parsed.day)


def authority(row: Row) -> Authority:
    """Gives the public body a row names."""
    return Authority(name=row["authorityName"], code=row["authorityCode"])


KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Row], Any]]] = {
    "penalties": (
        ("docNo", "authorityCode"),
        lambda row: Penalty(
            document_number=row["docNo"],
            authority=authority(row),
            kinds_raw=row["kinds"],
            fine=money(row["fine"]),
            decided_on=day(row["decided"]),
        ),
    ),
    "licences": (
        ("docNo", "authorityCode"),
        lambda row: Licence(
            document_number=row["docNo"], authority=authority(row), kind_raw=row["kind"], valid_to=day(row["validTo"])
        ),
    ),
    "evaluations": (
        ("scheme", "period"),
        lambda row: Evaluation(
            scheme_raw=row["scheme"], period=row["period"], raw_grade=row["grade"], rated_on=day(row["rated"])
        ),
    ),
    "listEntries": (
        ("list", "year", "listed"),
        lambda row: ListEntry(
            list_name_raw=row["list"],
            list_year=row["year"],
            authority=authority(row),
            reason=row["reason"],
            listed_on=day(row["listed"]),
        ),
    ),
    "taxPayments": (
        ("period", "region"),
        lambda row: TaxPayment(
            period=row["period"],
            region=row["region"],
            vat_payable=money(row["vatDue"]),
            vat_paid=money(row["vatPaid"]),
            arrears=money(row["arrears"]),
        ),
    ),
    "socialInsurances": (
        ("period", "region"),
        lambda row: SocialInsurance(
            period=row["period"], region=row["region"], insured_count=row["insured"], paid=money(row["paid"])
        ),
    ),
}
"""By kind: its natural key, and what makes a record of a row."""


def merge_all(answers: Sequence[Row]) -> Records:
    """Gives the registration, and of each other kind the newest record of each key."""
    oldest_first = sorted(answers, key=lambda data: str(data["asOf"]))
    merged: dict[str, list[Any]] = {}
    for kind, (key, make) in KINDS.items():
        newest: dict[tuple[Any, ...], Row] = {}
        for data in oldest_first:
            for row in data[kind]:
                newest[tuple(row[part] for part in key)] = row
        merged[kind] = [make(row) for row in newest.values()]
    return Records(
        registrations=[merge(answers)],
        penalties=merged["penalties"],
        licences=merged["licences"],
        evaluations=merged["evaluations"],
        list_entries=merged["listEntries"],
        tax_payments=merged["taxPayments"],
        social_insurances=merged["socialInsurances"],
    )


async def main(told: asyncio.Event) -> None:
    """Serves until told to end."""
    addresses = sys.argv[1:]
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        ask = asking(session)

        async def answer(query: QueryScope) -> Records:
            return merge_all(await asyncio.gather(*(ask(address, query.uscc) for address in addresses)))

        await serve(answer, told, request=QueryScope.FromString, response=Records.SerializeToString)


if __name__ == "__main__":
    run(main)
