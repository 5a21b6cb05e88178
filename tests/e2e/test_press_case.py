"""The press case (domain facts §4.3): a credit line of 150,000 元 frozen by a record that had been cured a month before.

A restaurant is penalised in another province, or listed; its bank sees it and freezes the line. The recogniser repairs it by
two persons. What the bank sees before, in between and after is all there is to it: nothing of it is left then, nowhere, though
platforms still hold copies and the recogniser's own is silent; and whoever watches the lists is told that it is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date

from connectors.kit.enterprise_facts import authority
from connectors.kit.enterprises import make_world
from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY, CATEGORY_PENALTY
from gateway._pb.xinyidai.gateway.v1 import (
    credit_service_pb2,
    green_credit_service_pb2,
    green_credit_service_pb2_grpc,
    repair_service_pb2,
    repair_service_pb2_grpc,
)
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.adapters.hub_lists import HUB
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.domain.dates import china_date, proto_date
from gateway.gateway_file import ListsSettings
from gateway.resilience_settings import DEFAULT, QuotaTable
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_joint_lists import REMOVED, SHOWN, A, confirmed, entries_of, published, stub, trail, watched
from tests.shipped import shipped_settings


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A gateway whose lists join the merged view, and that may ask as often as the case does: quotas are not its matter."""
    configure_logs("error")
    settings = shipped_settings()
    settings = replace(
        settings,
        gateway=settings.gateway.model_copy(update={"lists": ListsSettings(in_views=True)}),
        resilience={DEFAULT: settings.resilience_of(DEFAULT).model_copy(update={"quota": QuotaTable(enabled=False)})},
    )
    path = tmp_path / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
        gateway(at_sandboxes(settings, platforms), listen="127.0.0.1:0", audit_path=path) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Rig(f"127.0.0.1:{port}", platforms, path, built, channel)  # type: ignore[arg-type]


async def asked(rig: Rig) -> credit_service_pb2.GetCreditViewResponse:
    response: credit_service_pb2.GetCreditViewResponse = await rig.credit.GetCreditView(
        credit_service_pb2.GetCreditViewRequest(query=query(DEMO, categories=[CATEGORY_LIST_ENTRY])), metadata=A
    )
    return response


def listed(response: credit_service_pb2.GetCreditViewResponse, entry_id: str) -> int:
    return sum(
        provenance.platform_record_key == entry_id
        for record in response.view.records.list_entries
        for provenance in record.envelope.provenances
    )


def kept(response: credit_service_pb2.GetCreditViewResponse) -> set[str]:
    """Gives the platforms whose kept answer was given."""
    return {one.platform for one in response.delivery.answers if one.HasField("cache_age")}


async def test_a_line_frozen_by_a_record_cured_a_month_before_is_free_again_once_the_repair_is_confirmed(
    rig: Rig,
) -> None:
    entry = await published(rig)
    before, again = await asked(rig), await asked(rig)
    token = (await watched(rig))[-1].resume_token
    cured = Date(year=2024, month=6, day=1)

    request = pb.RepairEntryRequest(
        entry_id=entry.entry_id, repaired_on=cured, because="信用修复决定〔2024〕7号", operator="first"
    )
    waiting = (await stub(rig).RepairEntry(request)).entry
    between = await asked(rig)
    await confirmed(rig, waiting)
    after = await asked(rig)

    assert [listed(one, entry.entry_id) for one in (before, again, between, after)] == [1, 1, 1, 0]
    for hint in (entry.entry_id.encode(), "浙环〔2018〕1号".encode(), "信用修复".encode()):
        assert hint not in after.SerializeToString()
    (standing,) = [one for one in after.view.answers if one.platform == HUB]
    assert standing.outcome == view_pb2.OUTCOME_NO_RECORDS
    assert list(await entries_of(rig)) == []
    assert [(one.change, one.entry) for one in await watched(rig, token=token)] == [
        (REMOVED, pb.JointEntry(entry_id=entry.entry_id))
    ]
    assert kept(again) == {"shanghai", "jiangsu", "zhejiang", "anhui"}
    assert kept(after) == set()
    told = [one for one in trail(rig) if one["event"].startswith("list_entry")]
    assert [one["event"].removeprefix("list_entry_") for one in told] == [
        "proposed",
        "published",
        "pending",
        "repaired",
    ]
    assert SHOWN not in {one.change for one in await watched(rig)}


TODAY = china_date(datetime.now(UTC))
CURED = TODAY - timedelta(days=30)
RESTAURANT = make_world(40).examples["clean"]
DOCUMENT = "合环罚〔2026〕301号"
BODY = authority("anhui", "生态环境局")
HOLDERS = ("anhui", "jiangsu", "zhejiang")


def penalise(rig: Rig) -> None:
    """Has Anhui stop the restaurant's business; two other platforms hold copies."""
    decided = TODAY - timedelta(days=150)
    held: dict[str, Any] = {
        "doc_no": DOCUMENT, "authority_code": BODY[0], "authority_name": BODY[1], "violation": "超标排放油烟", "facts": "经查属实。",
        "basis": "《大气污染防治法》第九十九条", "kinds": ["罚款", "责令停产停业"], "content": "罚款20000元", "fine_fen": 2_000_000,
        "confiscated_fen": 0, "licence_action": "", "decided": decided, "valid_to": None, "domain": "生态环境",
        "severity": "一般", "publish_start": decided, "publish_end": decided + timedelta(days=365), "status": "正常",
        "status_on": None,
    }  # fmt: skip
    for running in rig.platforms.values():
        running.simulated.world.enterprises[RESTAURANT].add("penalty", held, **{name: {} for name in HOLDERS})


async def viewed(rig: Rig, **more: Any) -> view_pb2.CreditView:
    asked = query(RESTAURANT, categories=[CATEGORY_PENALTY], **more)
    response = await rig.credit.GetCreditView(credit_service_pb2.GetCreditViewRequest(query=asked), metadata=A)
    return response.view


async def assessed(rig: Rig) -> green_credit_service_pb2.GreenAssessment:
    request = green_credit_service_pb2.AssessEnterpriseRequest(uscc=RESTAURANT, operator="reviewer")
    green = green_credit_service_pb2_grpc.GreenCreditServiceStub(rig.channel)
    return (await green.AssessEnterprise(request)).assessment


def closing(found: green_credit_service_pb2.GreenAssessment) -> set[str]:
    """Gives the rules by which no new credit is given."""
    closed = green_credit_service_pb2.GREEN_ADMISSION_CLOSED
    return {reason.rule for reason in found.reasons if reason.admission == closed}


async def test_a_line_frozen_by_a_penalty_cured_a_month_before_is_free_again_though_the_recogniser_is_silent(
    rig: Rig,
) -> None:
    never, clean = await viewed(rig), await assessed(rig)
    await rig.gateway.queries.forget(RESTAURANT)
    penalise(rig)
    repairs = repair_service_pb2_grpc.RepairServiceStub(rig.channel)
    record = conduct_pb2.Penalty(document_number="合环罚[2026]301号", severity=conduct_pb2.SEVERITY_GENERAL)
    record.authority.name = BODY[1]
    record.decided_on.CopyFrom(proto_date(TODAY - timedelta(days=150)))

    before, frozen, named = await viewed(rig), await assessed(rig), await viewed(rig, request_id="of-that-day")
    proposal = repair_service_pb2.ProposeRepairRequest(
        uscc=RESTAURANT, record=view_pb2.Records(penalties=[record]), repaired_on=proto_date(CURED),
        because="信用修复决定〔2026〕7号", operator="bureau-1",
    )  # fmt: skip
    waiting = (await repairs.ProposeRepair(proposal)).repair
    between, still_frozen = await viewed(rig), await assessed(rig)
    await rig.platforms["anhui"].set_fault("refuse")
    confirmation = repair_service_pb2.ConfirmRepairRequest(repair_id=waiting.repair_id, operator="bureau-2")
    await repairs.ConfirmRepair(confirmation)
    silent, waits_for_anhui = await viewed(rig), await assessed(rig)
    await rig.platforms["anhui"].clear_faults()
    await rig.gateway.queries.forget(RESTAURANT)
    after, free, again = await viewed(rig), await assessed(rig), await viewed(rig, request_id="of-that-day")

    seen = [len(view.records.penalties) for view in (never, before, named, between, silent, after, again)]
    assert seen == [0, 1, 1, 1, 0, 0, 0]
    (shown,) = before.records.penalties
    assert {one.platform for one in shown.envelope.provenances} == set(HOLDERS)
    assert waiting.record_key == shown.envelope.record_key
    for view in (silent, after, again):
        for hint in ("301号", "信用修复", "油烟"):
            assert hint.encode() not in view.SerializeToString()
    assert after.view_id == never.view_id == again.view_id
    assert [closing(one) for one in (clean, frozen, still_frozen, waits_for_anhui, free)] == [
        set(), {"V4"}, {"V4"}, set(), set(),
    ]  # fmt: skip
    assert (frozen.admission, frozen.at_least) == (
        green_credit_service_pb2.GREEN_ADMISSION_CLOSED,
        green_credit_service_pb2.GREEN_MEASURE_REDUCE,
    )
    assert "anhui" in {one.platform for one in waits_for_anhui.missing if one.category == "PENALTY"}
    for what in ("measure", "at_least", "admission", "reasons", "facts", "missing", "view_id"):
        assert getattr(free, what) == getattr(clean, what)
    told = [one for one in trail(rig) if one["event"].startswith("record_repair")]
    assert [(one["event"], one["operator"], one["uscc"]) for one in told] == [
        ("record_repair_proposed", "bureau-1", RESTAURANT),
        ("record_repair_in_force", "bureau-2", RESTAURANT),
    ]
    assert told[1]["repair"]["record_key"] == waiting.record_key.hex()
