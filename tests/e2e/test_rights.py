"""Rights over real gRPC: who is turned away at the door, which categories drop out, and what is never told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_CONSENTED, PURPOSE_GREEN_REVIEW
from gateway._pb.xinyidai.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalogue_service_pb2,
    platform_service_pb2,
    platform_service_pb2_grpc,
)
from gateway._pb.xinyidai.gateway.v1 import catalogue_service_pb2_grpc as catalogue
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rights.sources import PolicyFolders
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from tests.adapters.policies import CONFIG, write
from tests.e2e.conftest import DEMO, Rig, query
from tests.e2e.test_credit_service import refused
from tests.e2e.test_sharing import BANK, calls, entries
from tests.shipped import shipped_settings

OWN = """
@id("shut-out") forbid (principal in Bank::"shut-out", action, resource is Method);
@id("no-tax") forbid (principal in Bank::"no-tax", action, resource is Credit)
when { resource.category == Category::"TAX_PAYMENT" };
"""
TOLD = "not permitted to this caller; ask the gateway's operator"


@asynccontextmanager
async def house(folder: Path, own: str = OWN) -> AsyncIterator[Rig]:
    """Starts a gateway with policies of a deployment beside the shipped ones."""
    configure_logs("error")
    write(folder, own=own)
    settings = replace(shipped_settings(), policies=PolicyFolders([CONFIG, folder]))
    trail = folder / "audit.jsonl"
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as running,
        gateway(at_sandboxes(settings, running), listen="127.0.0.1:0", audit_path=trail) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        platforms: dict[str, Running] = dict(running)  # type: ignore[arg-type]  # ours are all of the kit
        yield Rig(f"127.0.0.1:{port}", platforms, trail, built, channel)


async def _all(stream: Any) -> list[Any]:
    return [response async for response in stream]


async def test_a_bank_that_is_shut_out_is_turned_away_from_every_method_in_the_same_words(tmp_path: Path) -> None:
    async with house(tmp_path) as rig:
        who: dict[str, Any] = {"metadata": ((BANK, "shut-out"),), "timeout": 20}
        admin = admin_service_pb2_grpc.AdminServiceStub(rig.channel)
        platforms = platform_service_pb2_grpc.PlatformServiceStub(rig.channel)
        item = pb.BatchGetCreditViewsRequest(correlation_id="1", query=query())
        attempts: dict[str, Any] = {
            "CreditService/GetCreditView": rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), **who),
            "CreditService/StreamCreditView": _all(
                rig.credit.StreamCreditView(pb.StreamCreditViewRequest(query=query()), **who)
            ),
            "CreditService/BatchGetCreditViews": _all(rig.credit.BatchGetCreditViews(iter([item] * 20), **who)),
            "CatalogueService/DescribeCatalogue": catalogue.CatalogueServiceStub(rig.channel).DescribeCatalogue(
                catalogue_service_pb2.DescribeCatalogueRequest(), **who
            ),
            "PlatformService/ListPlatforms": platforms.ListPlatforms(
                platform_service_pb2.ListPlatformsRequest(), **who
            ),
            "PlatformService/GetPlatform": platforms.GetPlatform(
                platform_service_pb2.GetPlatformRequest(platform="no such"), **who
            ),
            "AdminService/ShowPlatform": admin.ShowPlatform(
                admin_service_pb2.ShowPlatformRequest(platform="no such"), **who
            ),
            "AdminService/PurgeAnswers": admin.PurgeAnswers(admin_service_pb2.PurgeAnswersRequest(uscc=DEMO), **who),
        }
        ended = {method: await refused(call) for method, call in attempts.items()}
        written, asked = entries(rig.trail), calls(rig)

    assert {(e.code(), e.details(), d["ErrorInfo"].reason) for e, d in ended.values()} == {
        (grpc.StatusCode.PERMISSION_DENIED, TOLD, "POLICY_DENIED")
    }
    assert not any("shut-out" in str(part) for error, details in ended.values() for part in (error, details))
    assert sorted((e["event"], e["bank"], e["method"], e["policy"], e["reason"]) for e in written) == [
        ("denied", "shut-out", method, "shut-out", "POLICY_DENIED") for method in sorted(attempts)
    ]
    assert set(asked.values()) == {0}


async def test_bytes_that_are_no_message_are_not_looked_at_before_the_caller_is_let_in(tmp_path: Path) -> None:
    async with house(tmp_path) as rig:
        raw: Any = rig.channel.unary_unary("/xinyidai.gateway.v1.CreditService/GetCreditView")

        outside, _ = await refused(raw(b"\xff\xff", metadata=((BANK, "shut-out"),)))
        inside, _ = await refused(raw(b"\xff\xff", metadata=((BANK, "another"),)))

    assert (outside.code(), inside.code()) == (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_category_that_a_bank_may_not_ask_drops_out_and_no_platform_is_asked_for_it(tmp_path: Path) -> None:
    asked = query(categories=[CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT], platforms=["shanghai"])
    async with house(tmp_path) as rig:
        part = await rig.credit.GetCreditView(
            pb.GetCreditViewRequest(query=asked), metadata=((BANK, "no-tax"),), timeout=20
        )
        whole = await rig.credit.GetCreditView(
            pb.GetCreditViewRequest(query=asked), metadata=((BANK, "other"),), timeout=20
        )
        written = entries(rig.trail)

    said = {entry.category: entry.outcome for entry in part.view.answers[0].categories}
    assert said[CATEGORY_TAX_PAYMENT] == OUTCOME_NOT_CONSENTED
    assert [(entry.category, entry.reason) for entry in part.view.permit.withheld] == [(CATEGORY_TAX_PAYMENT, "policy")]
    told = {(said.category, said.reason) for answer in part.view.answers for said in answer.categories}
    assert (CATEGORY_TAX_PAYMENT, "policy") in told
    assert b"no-tax" not in part.SerializeToString()  # which policy it was stands in the trail alone
    assert not part.view.records.tax_payments
    assert part.view.records.penalties == whole.view.records.penalties
    assert whole.view.records.tax_payments
    assert [entry["policy"] for entry in written] == ["no-tax,query-ask", "query-ask"]


@pytest.mark.parametrize(
    "more",
    [
        {"categories": [CATEGORY_TAX_PAYMENT]},
        {"categories": [CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT], "is_all_or_nothing": True},
    ],
    ids=["nothing", "all_or_nothing"],
)
async def test_nothing_permitted_or_not_all_where_all_is_wanted_asks_no_platform(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    async with house(tmp_path) as rig:
        error, details = await refused(
            rig.credit.GetCreditView(
                pb.GetCreditViewRequest(query=query(**more)), metadata=((BANK, "no-tax"),), timeout=20
            )
        )
        written, asked = entries(rig.trail), calls(rig)

    assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, TOLD)
    assert details["ErrorInfo"].reason == "POLICY_DENIED"
    assert "no-tax" not in f"{error}{details}"
    assert [(e["event"], e["reason"], e["policy"]) for e in written] == [("refused", "POLICY_DENIED", "no-tax")]
    assert set(asked.values()) == {0}


async def test_the_green_review_asks_what_it_needs_and_no_more(tmp_path: Path) -> None:
    asked = pb.CreditQuery(uscc=DEMO, purpose=PURPOSE_GREEN_REVIEW, categories=[CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT])
    async with house(tmp_path) as rig:
        response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked), timeout=20)
        written = entries(rig.trail)

    assert list(response.view.permit.categories) == [CATEGORY_PENALTY]
    assert [entry["policy"] for entry in written] == ["deny-by-default,green-ask"]


async def test_policies_that_change_decide_the_next_call_and_items_of_a_batch_under_way(tmp_path: Path) -> None:
    shut = '@id("shut-credit") forbid (principal, action in Action::"credit", resource is Credit);'
    item = pb.BatchGetCreditViewsRequest(query=query())
    async with house(tmp_path) as rig:
        batch: Any = rig.credit.BatchGetCreditViews(timeout=20)
        item.correlation_id = "before"
        await batch.write(item)
        before = await batch.read()
        write(tmp_path, own=OWN + shut)
        await rig.gateway.policies.look()
        item.correlation_id = "after"
        await batch.write(item)
        after = await batch.read()
        await batch.done_writing()

    assert before.HasField("view")
    assert after.error.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
