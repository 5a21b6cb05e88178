"""The admin port: what probers and scrapers are told, and what an operator is told when it cannot be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.telemetry.metrics import Metrics
from gateway.adapters.web.admin import AdminServer
from gateway.adapters.web.lifecycle import Stage, ails, unready
from gateway.domain.errors import ConfigError


class House:
    """What the port asks: numbers, the stage, and how late the loop is."""

    def __init__(self) -> None:
        self.metrics = Metrics(["a"])
        self.stage = Stage.STARTING
        self.lag_s = 0.0
        self.admin = AdminServer(self.metrics.page, ails=lambda: ails(self.lag_s), unready=lambda: self.stage)


@asynccontextmanager
async def serving(house: House, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    port = await house.admin.start(listen)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await house.admin.aclose()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def test_the_metrics_page_is_what_prometheus_reads() -> None:
    house = House()
    house.metrics.call_repeated("a")

    async with serving(house) as url:
        status, content_type, page = await get(f"{url}/metrics")

    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert families["xinyidai_platform_repeats"].samples[0].value == 1


@pytest.mark.parametrize(
    ("stage", "status", "word"),
    [(Stage.STARTING, 503, "starting"), (Stage.SERVING, 200, "ok"), (Stage.DRAINING, 503, "draining")],
)
async def test_readiness_follows_the_stage_and_says_why(stage: Stage, status: int, word: str) -> None:
    house = House()
    house.stage = stage

    async with serving(house) as url:
        answered, _, body = await get(f"{url}/readyz")
        alive, _, _ = await get(f"{url}/healthz")

    assert (answered, body.split()[0].rstrip(":"), alive) == (status, word, 200)


@pytest.mark.parametrize(("lag_s", "status"), [(0.0, 200), (4.9, 200), (5.0, 503), (60.0, 503)])
async def test_D10_a_loop_that_is_late_for_everything_is_not_well(lag_s: float, status: int) -> None:
    house = House()
    house.lag_s = lag_s

    async with serving(house) as url:
        answered, _, body = await get(f"{url}/healthz")

    assert (answered, f"{lag_s:.1f} s late" in body) == (status, status == 503)


async def test_a_busy_port_is_said_with_its_file_key_and_way_out() -> None:
    house, other = House(), House()

    async with serving(house) as url:
        with pytest.raises(ConfigError) as raised:
            await other.admin.start(url.removeprefix("http://"))

    (fault,) = raised.value.faults
    assert fault.startswith("gateway.toml: admin.listen: cannot listen on 127.0.0.1:")
    assert "address already in use" in fault.lower()
    assert "admin.enabled = false" in fault


async def test_the_port_is_free_again_after_the_end_and_ending_twice_is_harmless() -> None:
    first, second = House(), House()
    async with serving(first) as url:
        listen = url.removeprefix("http://")
    await first.admin.aclose()

    async with serving(second, listen) as again:
        status, _, _ = await get(f"{again}/healthz")

    assert status == 200


async def test_nothing_else_is_served() -> None:
    async with serving(House()) as url:
        status, _, _ = await get(f"{url}/admin")

    assert status == 404


@pytest.mark.parametrize(
    ("stage", "trail", "said"),
    [
        (Stage.SERVING, "", ""),
        (Stage.SERVING, "5 MiB (0.1 %) are left on its disk", "the trail: 5 MiB (0.1 %) are left on its disk"),
        (Stage.DRAINING, "5 MiB (0.1 %) are left on its disk", "draining"),
    ],
)
def test_D1_readiness_tells_of_a_trail_that_ails(stage: Stage, trail: str, said: str) -> None:
    told = unready(stage, trail)

    assert told.startswith(said)
    assert bool(told) is bool(said)
