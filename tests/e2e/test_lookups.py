"""Who looked up an enterprise, when, by what call: each look-up by name stands in the trail, one of many among others too."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from typer.testing import CliRunner

from connectors.kit.enterprise_codes import code_of
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2, audit_service_pb2_grpc
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as credit
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.cli.audit import audit as app
from gateway.domain.list_reading import MOST_USCCS
from tests.domain.joint_entries import OTHER
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_joint_lists import A, published, stub, watched
from tests.verifier.test_verify_trail import both

BOOK: Final = tuple(code_of("91", "310115", f"{number:08d}") for number in range(2_600))
SCREENED, SEARCHED, WATCHED = (
    f"JointListService/{method}" for method in ("ScreenEnterprises", "SearchEntries", "WatchEntries")
)


async def screened(rig: Rig, *messages: Sequence[str], bank: Any = A) -> list[pb.ScreenEnterprisesResponse]:
    async def asked() -> AsyncIterator[pb.ScreenEnterprisesRequest]:
        for usccs in messages:
            yield pb.ScreenEnterprisesRequest(usccs=usccs)

    return [one async for one in stub(rig).ScreenEnterprises(asked(), metadata=bank)]


async def lookups_of(rig: Rig, uscc: str, bank: Any = A) -> list[audit_service_pb2.AuditRecord]:
    """Gives the bank's entries about an enterprise, but those of having asked for them."""
    trails = audit_service_pb2_grpc.AuditServiceStub(rig.channel)
    call = trails.ExportEntries(audit_service_pb2.ExportEntriesRequest(uscc=uscc), metadata=bank)
    found: list[audit_service_pb2.AuditRecord] = [record async for page in call for record in page.entries]
    return [record for record in found if record.event != "exported"]


def lines(rig: Rig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rig.trail.read_bytes().splitlines()]


async def test_whoever_looked_up_an_enterprise_is_found_by_its_code_in_whatever_call(rig: Rig) -> None:
    await published(rig)
    await published(rig, uscc=OTHER)
    await rig.credit.GetCreditView(credit.GetCreditViewRequest(query=query()), metadata=A)
    await screened(rig, [*BOOK[:300], DEMO])
    await stub(rig).SearchEntries(pb.SearchEntriesRequest(), metadata=A)
    await watched(rig)
    await screened(rig, BOOK[:10])

    found = [(record.event, record.method) for record in await lookups_of(rig, DEMO)]
    others = [(record.event, record.method) for record in await lookups_of(rig, OTHER)]
    once = [(record.event, record.method) for record in await lookups_of(rig, BOOK[299])]

    read = [("lists_read", SEARCHED), ("lists_read", WATCHED)]
    assert found == [("answered", ""), ("lists_read", SCREENED), *read]
    assert others == read
    assert once == [("lists_read", SCREENED)]
    assert await lookups_of(rig, DEMO, (("xinyidai-bank", "bank-b"),)) == []


async def test_a_screening_of_a_whole_book_stands_there_in_pieces_each_code_once_and_both_verifiers_agree(
    rig: Rig,
) -> None:
    before = rig.trail.stat().st_size if rig.trail.exists() else 0

    await screened(rig, BOOK[:2_000], BOOK[2_000:])

    read = [line for line in lines(rig) if line["event"] == "lists_read"]
    assert [uscc for line in read for uscc in line["usccs"]] == list(BOOK)
    assert max(len(line["usccs"]) for line in read) == MOST_USCCS
    assert sum(line["lists"]["code_count"] for line in read) == len(BOOK)
    assert (rig.trail.stat().st_size - before) / len(BOOK) < 26
    assert both(rig.trail, None, is_signed=False) == (None, "")


async def test_what_is_sent_in_a_codes_place_is_counted_and_never_written(rig: Rig) -> None:
    sent = ["张三", "310101199001011237", DEMO.lower(), DEMO]

    (told,) = await screened(rig, sent)

    (read,) = [line for line in lines(rig) if line["event"] == "lists_read"]
    assert (list(told.invalid), read["usccs"], read["lists"]["code_count"]) == ([0, 1, 2], [DEMO], 4)
    assert [text for text in sent[:3] if text in rig.trail.read_text("utf-8")] == []


async def test_who_looked_it_up_is_the_employee_that_the_request_states(rig: Rig) -> None:
    await published(rig)
    lists = stub(rig)

    async def asked() -> AsyncIterator[pb.ScreenEnterprisesRequest]:
        yield pb.ScreenEnterprisesRequest(usccs=[DEMO], operator="e-1")
        yield pb.ScreenEnterprisesRequest(usccs=[DEMO])
        yield pb.ScreenEnterprisesRequest(usccs=[DEMO], operator="e-2")

    assert len([one async for one in lists.ScreenEnterprises(asked(), metadata=A)]) == 3
    await lists.GetEntries(pb.GetEntriesRequest(uscc=DEMO, operator="e-3"), metadata=A)
    await lists.SearchEntries(pb.SearchEntriesRequest(operator="e-4"), metadata=A)
    await watched(rig, operator="e-5")

    assert [found.operator for found in await lookups_of(rig, DEMO)] == ["e-1", "e-1", "e-2", "e-3", "e-4", "e-5"]


async def test_the_table_of_an_export_says_by_what_call(rig: Rig) -> None:
    await screened(rig, BOOK[:3])

    asked = (
        "export",
        "--plaintext",
        "--address",
        rig.address,
        "--bank",
        "bank-a",
        "--uscc",
        BOOK[2],
        "--format",
        "csv",
    )
    table = await asyncio.to_thread(CliRunner().invoke, app, asked)

    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [(row["event"], row["method"]) for row in rows] == [
        ("lists_read", SCREENED), ("exported", "AuditService/ExportEntries"),
    ]  # fmt: skip
