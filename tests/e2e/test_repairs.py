"""Repairs of records through the door: who may, what is refused, what is heard, and how other processes learn of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import pytest

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY, CATEGORY_PENALTY
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, repair_service_pb2_grpc
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as lists_pb
from gateway._pb.xinyidai.gateway.v1 import repair_service_pb2 as pb
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.domain.dates import proto_date
from gateway.domain.names import normalise_document_number
from gateway.gateway_file import ListsSettings
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_consent_service import refusal
from tests.e2e.test_green_credit import LISTED_2018
from tests.e2e.test_joint_lists import REMOVED, A, confirmed, line, loaded, published, stub, trail, watched
from tests.shipped import shipped_settings

STALE = "合市监罚(2026)77号"  # repaired at Anhui on 2026-08-20; Jiangsu shows it still
SHOWN = "合环罚(2026)12号"


def repairs(rig: Rig) -> repair_service_pb2_grpc.RepairServiceAsyncStub:
    return repair_service_pb2_grpc.RepairServiceStub(rig.channel)


def proposal(**more: Any) -> pb.ProposeRepairRequest:
    record = conduct_pb2.Penalty(document_number=SHOWN, severity=conduct_pb2.SEVERITY_GENERAL)
    record.authority.name = "合肥市生态环境局"
    record.decided_on.CopyFrom(proto_date(date(2026, 5, 8)))
    stated: dict[str, Any] = {
        "uscc": DEMO,
        "record": view_pb2.Records(penalties=[record]),
        "repaired_on": proto_date(date(2026, 8, 8)),
        "because": "修〔2026〕1号",
        "operator": "first",
    }
    return pb.ProposeRepairRequest(**{**stated, **more})


async def proposed(rig: Rig, **more: Any) -> pb.RecordRepair:
    response: pb.ProposeRepairResponse = await repairs(rig).ProposeRepair(proposal(**more))
    return response.repair


async def decided(rig: Rig, repair: pb.RecordRepair, operator: str = "second", **more: Any) -> pb.RecordRepair:
    request = pb.ConfirmRepairRequest(repair_id=repair.repair_id, operator=operator, **more)
    response: pb.ConfirmRepairResponse = await repairs(rig).ConfirmRepair(request)
    return response.repair


async def penalties(rig: Rig, *, is_fresh: bool = False, platforms: tuple[str, ...] = ()) -> set[str]:
    asked = query(DEMO, categories=[CATEGORY_PENALTY], platforms=platforms)
    if is_fresh:
        asked.oldest_acceptable_age.seconds = 0
    response = await rig.credit.GetCreditView(credit_service_pb2.GetCreditViewRequest(query=asked), metadata=A)
    return {normalise_document_number(record.document_number) for record in response.view.records.penalties}


@asynccontextmanager
async def another(platforms: dict[str, Running], folder: Path, name: str, **lists: Any) -> AsyncIterator[Rig]:
    """Runs a gateway whose store all share, with a trail of its own: another process as far as anything here can tell."""
    settings = shipped_settings()
    more = {
        "lists": ListsSettings(poll_s=0.2, **lists),
        "store": settings.gateway.store.model_copy(update={"url": f"sqlite+aiosqlite:///{folder / 'store.db'}"}),
    }
    settings = replace(settings, gateway=settings.gateway.model_copy(update=more))
    path = folder / name / "audit.jsonl"
    async with (
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=path) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Rig(f"127.0.0.1:{port}", platforms, path, built, channel)


@pytest.fixture
async def platforms() -> AsyncIterator[Any]:
    configure_logs("error")
    async with sandboxes(list(shipped_settings().platforms), World(enterprises=40)) as running:
        yield running


async def until(what: Any, *, within_s: float) -> float:
    """Gives the seconds after which it came true; fails when it does not."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s):
        while not await what():
            await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - began


async def test_refusals_say_what_is_wrong_and_nothing_has_changed(rig: Rig) -> None:
    waiting = await proposed(rig)
    in_force = await decided(rig, await proposed(rig))
    honour = view_pb2.Records()
    honour.honours.add(honour_name="诚信示范企业")
    bare = view_pb2.Records(penalties=[conduct_pb2.Penalty(document_number=SHOWN)])

    told = [
        await refusal(decided(rig, waiting, " FIRST ")),
        await refusal(decided(rig, waiting, expected_version=7)),
        await refusal(decided(rig, in_force)),
        await refusal(decided(rig, pb.RecordRepair(repair_id="none"))),
        await refusal(proposed(rig, operator="")),
        await refusal(proposed(rig, repaired_on=proto_date(date(2026, 8, 7)))),
        await refusal(proposed(rig, record=view_pb2.Records())),
        await refusal(proposed(rig, record=honour)),
        await refusal(proposed(rig, record=bare)),
        await refusal(proposed(rig, record_key=bytes(16))),
        await refusal(proposed(rig, record_key=b"short")),
        await refusal(repairs(rig).LiftRepair(pb.LiftRepairRequest(repair_id=waiting.repair_id, because="x", operator="a"))),
    ]  # fmt: skip

    assert [reason for _, reason, _ in told] == [
        "SELF_CONFIRMATION", "REPAIR_CHANGED", "REPAIR_STATE_FORBIDS", "REPAIR_NOT_FOUND", "INVALID_REQUEST",
        "REPAIR_STATE_FORBIDS", "INVALID_REQUEST", "INVALID_REQUEST", "INVALID_REQUEST", "INVALID_REQUEST",
        "INVALID_REQUEST", "REPAIR_STATE_FORBIDS",
    ]  # fmt: skip
    assert "2026-08-08" in told[5][2]
    listed = (await repairs(rig).ListRepairs(pb.ListRepairsRequest(uscc=DEMO))).repairs
    assert [(one.repair_id, one.state) for one in listed] == [
        (waiting.repair_id, pb.REPAIR_STATE_PROPOSED),
        (in_force.repair_id, pb.REPAIR_STATE_IN_FORCE),
    ]
    refused = [one for one in trail(rig) if one["event"] == "record_repair_refused"]
    assert [one["reason"] for one in refused][:2] == ["SELF_CONFIRMATION", "REPAIR_CHANGED"]


async def test_a_repair_in_error_is_lifted_by_two_and_the_record_shows_again(rig: Rig) -> None:
    before = await penalties(rig)
    repair = await decided(rig, await proposed(rig))
    hidden = await penalties(rig)
    lifting = pb.LiftRepairRequest(repair_id=repair.repair_id, because="of another enterprise", operator="second")
    asked = (await repairs(rig).LiftRepair(lifting)).repair
    still = await penalties(rig)
    alone = await refusal(decided(rig, asked, "second"))
    lifted = await decided(rig, asked, "third")

    assert (before, hidden, still, await penalties(rig)) == ({SHOWN}, set(), set(), {SHOWN})
    assert alone[1] == "SELF_CONFIRMATION"
    assert (lifted.state, lifted.version, lifted.confirmed_by) == (pb.REPAIR_STATE_LIFTED, 4, "third")
    events = [one["event"] for one in trail(rig) if one["event"].startswith("record_repair_")]
    assert events == [f"record_repair_{one}" for one in ("proposed", "in_force", "lift_proposed", "refused", "lifted")]


async def test_an_entry_that_is_kept_here_is_repaired_as_an_entry(rig: Rig) -> None:
    entry = await published(rig)
    record = conduct_pb2.ListEntry(list_code="YRD_ENV", list_year=2018, listed_on=entry.listed_on)

    refused = await refusal(proposed(rig, record=view_pb2.Records(list_entries=[record])))

    assert refused[1] == "REPAIR_STATE_FORBIDS"
    assert entry.entry_id in refused[2]
    assert "lists repair" in refused[2]


async def test_what_the_recogniser_said_once_is_remembered_while_it_is_silent_and_by_who_never_heard_it(
    platforms: Any, tmp_path: Path
) -> None:
    async with another(platforms, tmp_path, "first") as one:
        unheard = await penalties(one, platforms=("jiangsu",))
        heard = await penalties(one)
        await platforms["anhui"].set_fault("refuse")
        silent = await penalties(one, is_fresh=True)
        alone = await penalties(one, platforms=("jiangsu",))
        await repairs(one).ListRepairs(pb.ListRepairsRequest())  # so that there is a store to keep it in
    async with another(platforms, tmp_path, "second") as two:
        after = await penalties(two)
        (repair,) = (await repairs(two).ListRepairs(pb.ListRepairsRequest())).repairs
        (copy,) = (await repairs(two).ListStaleCopies(pb.ListStaleCopiesRequest(platform="jiangsu"))).copies

    assert (unheard, heard, silent, alone, after) == ({STALE}, {SHOWN}, {SHOWN}, set(), {SHOWN})
    assert (repair.origin, repair.province, normalise_document_number(repair.document_number)) == (
        "platform:anhui", "34", STALE,
    )  # fmt: skip
    assert repair.repaired_on == proto_date(date(2026, 8, 20))
    assert (copy.uscc, copy.category, copy.record_key) == (DEMO, CATEGORY_PENALTY, repair.record_key)


async def test_within_about_a_second_every_process_hides_it_and_has_forgotten_its_copies(
    platforms: Any, tmp_path: Path
) -> None:
    async with another(platforms, tmp_path, "one") as one, another(platforms, tmp_path, "two") as two:
        repair = await proposed(one)
        assert await penalties(two) == {SHOWN}
        await decided(one, repair)

        async def is_hidden() -> bool:
            return await penalties(two) == set()

        assert await until(is_hidden, within_s=5) < 2
        assert await penalties(one) == set()


async def test_an_entry_that_another_process_repaired_purges_this_ones_answers(platforms: Any, tmp_path: Path) -> None:
    async with another(platforms, tmp_path, "one") as one, another(platforms, tmp_path, "two") as two:
        entry = await published(one)
        asked = credit_service_pb2.GetCreditViewRequest(query=query(DEMO))
        await two.credit.GetCreditView(asked, metadata=A)

        async def are_forgotten() -> bool:
            response = await two.credit.GetCreditView(asked, metadata=A)
            return not any(answer.HasField("cache_age") for answer in response.delivery.answers)

        assert not await are_forgotten()
        withdrawal = lists_pb.WithdrawEntryRequest(entry_id=entry.entry_id, because="wrong", operator="first")
        await confirmed(one, (await stub(one).WithdrawEntry(withdrawal)).entry)
        assert await until(are_forgotten, within_s=5) < 2


async def entries(rig: Rig, *, is_fresh: bool = False) -> list[conduct_pb2.ListEntry]:
    asked = query(LISTED_2018, categories=[CATEGORY_LIST_ENTRY])
    if is_fresh:
        asked.oldest_acceptable_age.seconds = 0
    response = await rig.credit.GetCreditView(credit_service_pb2.GetCreditViewRequest(query=asked), metadata=A)
    return list(response.view.records.list_entries)


async def listed_here_too(rig: Rig) -> lists_pb.JointEntry:
    """Publishes the entry that Zhejiang shows, as Zhejiang's operators would."""
    (record,) = await entries(rig)
    return await published(rig, uscc=LISTED_2018, list_year=record.list_year, listed_on=record.listed_on)


async def test_an_entry_repaired_here_hides_its_copies_though_the_lists_join_no_view(rig: Rig) -> None:
    entry = await listed_here_too(rig)
    repair = lists_pb.RepairEntryRequest(
        entry_id=entry.entry_id, repaired_on=proto_date(date(2024, 6, 1)), because="x", operator="first"
    )
    waiting = (await stub(rig).RepairEntry(repair)).entry
    between = await entries(rig)
    await confirmed(rig, waiting)

    assert (len(between), await entries(rig)) == (1, [])
    (kept,) = (await repairs(rig).ListRepairs(pb.ListRepairsRequest(uscc=LISTED_2018))).repairs
    assert (kept.repair_id, kept.origin) == (f"entry-{entry.entry_id}", "platform:hub")


async def test_an_entry_that_a_file_removed_and_another_brings_back_shows_again(rig: Rig) -> None:
    (record,) = await entries(rig)
    day = f"{record.listed_on.year}-{record.listed_on.month:02}-{record.listed_on.day:02}"
    row = {**line(LISTED_2018), "listed_on": day}
    seen: list[int] = []
    other = {**line(), "listed_on": day}  # a file without any line of the province would be refused
    for rows in ((row,), (other,), (row,), (other,), (row,)):
        await loaded(rig, *rows, version=str(len(seen)), year=record.list_year)
        seen.append(len(await entries(rig)))

    assert seen == [1, 0, 1, 0, 1]


async def test_an_entry_that_its_recognisers_platform_says_to_be_repaired_is_announced_to_whoever_watches(
    rig: Rig,
) -> None:
    entry = await listed_here_too(rig)
    token = (await watched(rig))[-1].resume_token
    repaired = rig.platforms["zhejiang"].simulated.world.enterprises[LISTED_2018]
    repaired.repair("zhejiang", "list_entry", date(2026, 11, 2))
    assert await entries(rig, is_fresh=True) == []

    async def is_announced() -> bool:
        return [(one.change, one.entry.entry_id) for one in await watched(rig, token=token)] == [
            (REMOVED, entry.entry_id)
        ]

    await until(is_announced, within_s=20)
    await rig.platforms["zhejiang"].set_fault("refuse")
    assert await entries(rig, is_fresh=True) == []
    (told,) = [one for one in trail(rig) if one["event"] == "list_entry_repaired"]
    assert (told["operator"], told["lists"]["entry_id"]) == ("platform:zhejiang", entry.entry_id)
