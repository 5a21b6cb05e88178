"""A whole gateway seen from outside: numbers after real queries, and a drain that a prober can follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.kit.sandbox import Running
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.domain.errors import ConfigError
from gateway.process import Gateway
from tests.e2e.conftest import query
from tests.shipped import shipped_settings


@dataclass
class Seen:
    """A gateway with its admin port, and whoever looks at it."""

    gateway: Gateway
    session: aiohttp.ClientSession
    credit: credit_service_pb2_grpc.CreditServiceAsyncStub

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.gateway.admin_port}{path}") as response:
            return response.status, await response.text()

    async def samples(self) -> dict[str, float]:
        _, page = await self.get("/metrics")
        return {
            sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    async def in_flight(self, *, some: bool = True) -> dict[str, float]:
        """Gives the numbers once a query is under way, or none any more: a caller may be gone before its query has ended."""
        async with asyncio.timeout(20):
            while bool((shown := await self.samples())["xinyidai_queries_in_flight"]) != some:
                await asyncio.sleep(0)
            return shown


@pytest.fixture
async def seen(tmp_path: Path) -> AsyncIterator[Seen]:
    configure_logs("error")
    settings = shipped_settings()
    async with (
        sandboxes(list(settings.platforms), World(enterprises=40)) as platforms,
        gateway(
            at_sandboxes(settings, platforms),
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            audit_path=tmp_path / "audit.jsonl",
        ) as (built, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        aiohttp.ClientSession() as session,
    ):
        await cast(Running, platforms["shanghai"]).set_fault("latency", median_ms=500)
        yield Seen(built, session, credit_service_pb2_grpc.CreditServiceStub(channel))


async def test_real_queries_stand_on_the_page(seen: Seen) -> None:
    await seen.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))
    anew = pb.GetCreditViewRequest(query=query())
    anew.query.oldest_acceptable_age.SetInParent()  # what was kept would be given in less than a millisecond
    with pytest.raises(grpc.aio.AioRpcError):
        await seen.credit.GetCreditView(anew, timeout=0.001)

    shown = await seen.in_flight(some=False)

    assert shown["xinyidai_queries_total answered "] == 1
    assert shown["xinyidai_query_latency_seconds_count answered"] == 1
    assert shown["xinyidai_view_completeness_ratio_count"] == 1
    for platform in ("anhui", "jiangsu", "shanghai", "zhejiang"):
        heard = [shown[f"xinyidai_platform_answers_total {o} {platform} platform"] for o in ("OK", "PARTIAL")]
        assert sum(heard) == 1
        assert shown[f"xinyidai_platform_latency_seconds_count {platform}"] == 1
        assert shown[f"xinyidai_platform_completeness_ratio_count {platform}"] == 1
    assert shown["xinyidai_loop_lag_seconds_count"] >= 0


async def test_what_the_wrappers_do_stands_on_the_page_too(seen: Seen) -> None:
    for _ in range(2):
        await seen.credit.GetCreditView(pb.GetCreditViewRequest(query=query(platforms=["anhui"])))

    shown = await seen.samples()

    assert shown["xinyidai_platform_cache_requests_total anhui miss"] == 1
    assert shown["xinyidai_platform_cache_requests_total anhui hit"] == 1
    assert shown["xinyidai_platform_cache_age_seconds_count anhui"] == 1
    assert shown["xinyidai_platform_attempts_total anhui"] == 1
    assert shown["xinyidai_view_completeness_ratio_count"] == 2
    assert shown["xinyidai_platform_call_limit anhui"] >= 1


async def test_a_query_under_way_is_in_flight(seen: Seen) -> None:
    call = seen.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))
    shown = await seen.in_flight()

    await call

    assert shown["xinyidai_queries_in_flight"] == 1
    assert (await seen.samples())["xinyidai_queries_in_flight"] == 0


async def test_D11_a_drain_can_be_followed_from_outside_until_the_last_call_is_done(seen: Seen) -> None:
    before = await seen.get("/readyz")
    call = seen.credit.GetCreditView(pb.GetCreditViewRequest(query=query()))
    await seen.in_flight()

    closing = asyncio.create_task(seen.gateway.aclose())
    await asyncio.sleep(0)
    draining = await seen.get("/readyz")
    alive = await seen.get("/healthz")
    response = await call
    await closing

    assert before == (200, "ok\n")
    assert (draining[0], draining[1].split(":")[0]) == (503, "draining")
    assert alive == (200, "ok\n")
    assert response.view.answers
    with pytest.raises(aiohttp.ClientConnectorError):
        await seen.get("/readyz")


async def test_without_its_admin_port_a_gateway_does_not_start_and_leaves_nothing_behind(
    seen: Seen, tmp_path: Path
) -> None:
    trail = tmp_path / "second.jsonl"

    with pytest.raises(ConfigError, match=r"admin\.listen"):
        async with gateway(
            shipped_settings(), listen="127.0.0.1:0", admin=f"127.0.0.1:{seen.gateway.admin_port}", audit_path=trail
        ):
            pass

    assert (await seen.get("/readyz"))[0] == 200
