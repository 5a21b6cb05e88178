"""The press case (domain facts §4.3): a credit line of 150,000 元 frozen by a record that had been cured a month before.

A restaurant is listed; its bank sees it and freezes the line. The lister repairs the entry by two persons. What the bank sees
before, in between and after is all there is to it: nothing of it is left then, nowhere, and the bank is told that it is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.adapters.hub_lists import HUB
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.settings import ListsSettings, load_settings
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_joint_lists import REMOVED, SHOWN, A, confirmed, entries_of, published, stub, trail, watched


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A gateway whose lists join the merged view."""
    configure_logs("error")
    settings = load_settings()
    settings = replace(settings, gateway=settings.gateway.model_copy(update={"lists": ListsSettings(in_views=True)}))
    path = tmp_path / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40), free_ports=True) as platforms,
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
