"""Platforms, catalogue, health and reflection, as any gRPC client meets them."""

from __future__ import annotations

from typing import Any, cast

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE
from gateway._pb.xinyidai.gateway.v1 import catalogue_service_pb2 as catalogue_pb
from gateway._pb.xinyidai.gateway.v1 import catalogue_service_pb2_grpc, platform_service_pb2_grpc
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import platform_service_pb2 as platform_pb
from gateway.adapters.rpc.server import CREDIT
from gateway.domain.answer import failed_answer
from gateway.domain.catalogue import CATALOGUE
from tests.e2e.conftest import Rig, query


async def test_platforms_tell_coverage_limits_and_that_they_are_simulated(rig: Rig) -> None:
    stub = platform_service_pb2_grpc.PlatformServiceStub(rig.channel)

    listed = await stub.ListPlatforms(platform_pb.ListPlatformsRequest())

    assert [p.platform for p in listed.platforms] == ["anhui", "jiangsu", "shanghai", "zhejiang"]
    assert all(p.is_simulated and p.coverage and p.limits.max_body_bytes for p in listed.platforms)
    jiangsu = await stub.GetPlatform(platform_pb.GetPlatformRequest(platform="jiangsu"))
    lists = next(c for c in jiangsu.platform.coverage if c.missing_years)
    assert list(lists.missing_years) == [2017, 2018, 2019]


async def test_health_of_a_platform_follows_what_it_did(rig: Rig) -> None:
    await rig.platforms["anhui"].set_fault("refuse")
    asked = query(platforms=["anhui", "shanghai"], oldest_acceptable_age=Duration())
    for _ in range(3):
        await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=asked))

    listed = await platform_service_pb2_grpc.PlatformServiceStub(rig.channel).ListPlatforms(
        platform_pb.ListPlatformsRequest()
    )

    health = {p.platform: p.health for p in listed.platforms}
    assert health["anhui"].health == platform_pb.PLATFORM_HEALTH_BAD
    assert health["anhui"].last_outcome == OUTCOME_UNREACHABLE
    assert health["shanghai"].health == platform_pb.PLATFORM_HEALTH_GOOD
    assert health["shanghai"].clock_skew_ms < 5_000
    assert health["zhejiang"].health == platform_pb.PLATFORM_HEALTH_UNSURE


async def test_the_catalogue_is_served_from_the_descriptors(rig: Rig) -> None:
    stub = catalogue_service_pb2_grpc.CatalogueServiceStub(rig.channel)

    described = await stub.DescribeCatalogue(catalogue_pb.DescribeCatalogueRequest())

    assert len(described.record_types) == len(CATALOGUE.plans) == 19
    penalty = next(t for t in described.record_types if t.records_field == "penalties")
    assert penalty.options.title_zh == "行政处罚"
    assert {f.name: f.options.title_zh for f in penalty.fields}["fine"] == "罚款金额"


async def test_standard_health_follows_the_platforms(rig: Rig) -> None:
    stub: Any = health_pb2_grpc.HealthStub(rig.channel)  # its stub file knows no aio
    before = await stub.Check(health_pb2.HealthCheckRequest(service=CREDIT))
    for platform in rig.platforms.values():
        await platform.set_fault("refuse")
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()), timeout=2)

    after = await stub.Check(health_pb2.HealthCheckRequest(service=CREDIT))

    assert before.status == health_pb2.HealthCheckResponse.SERVING
    assert after.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_reflection_lists_the_services(rig: Rig) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast(Any, rig.channel))
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    answers = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]

    names = {service.name for service in answers[0].list_services_response.service}
    assert {CREDIT, "grpc.health.v1.Health", "xinyidai.gateway.v1.PlatformService"} <= names


async def test_each_view_s_delivery_says_how_its_platforms_have_been(rig: Rig) -> None:
    for _ in range(3):
        rig.gateway.health.note(failed_answer("anhui", OUTCOME_UNREACHABLE, "connect", (), attempts=1))
        rig.gateway.health.note(failed_answer("shanghai", OUTCOME_OK, "", (), attempts=1))

    response = await rig.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))
    steps = [step async for step in rig.credit.StreamCreditView(pb.StreamCreditViewRequest(query=query()))]

    health = {answer.platform: answer.health for answer in response.delivery.answers}
    assert health == {
        "anhui": platform_pb.PLATFORM_HEALTH_BAD,
        "jiangsu": platform_pb.PLATFORM_HEALTH_UNSURE,
        "shanghai": platform_pb.PLATFORM_HEALTH_GOOD,
        "zhejiang": platform_pb.PLATFORM_HEALTH_UNSURE,
    }
    landed = [step.answer_landed.delivery for step in steps if step.HasField("answer_landed")]
    assert {delivery.platform: delivery.health for delivery in landed} == health
    assert {answer.platform: answer.health for answer in steps[-1].final.delivery.answers} == health
