"""Faults of process and operations (fault catalogue, D9, D11, D12, D14), with the gateway as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.bootstrap import build_gateway
from gateway.connector_bootstrap import find_plugins
from tests.faults.declared import PLATFORMS, row
from tests.faults.h2_client import caller
from tests.faults.house import Footprint, House
from tests.faults.proxy import Exchange, FaultProxy
from tests.faults.served import Served, configure, refusing, request, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the sandboxes' own


def configured_through(proxy: FaultProxy, house: House, folder: Path, gateway_toml: str = "") -> Path:
    """Writes a configuration in which Shanghai is asked by way of a proxy."""
    config = configure(folder / "config", house.sandboxes, gateway_toml)
    stated = config / "platforms.toml"
    stated.write_text(stated.read_text().replace(house.sandboxes["shanghai"].url, proxy.url))
    return config


async def ended(call: Any) -> StatusCode:
    """Gives the status a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK


@row(
    "D9",
    "the configuration is broken at start, in several files",
    "启动时多个配置文件有误",
    "refuses to start (2), every fault with file and key 拒绝启动（2），逐一列出文件与键",
)
async def test_D9_a_broken_configuration_is_refused_at_start_with_every_fault(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes, "[server]\nlisten_port = 3\n[deadline]\ndefault_s = -1\n")
    (config / "resilience.toml").write_text("[default.retry]\nattempts = 0\n")
    (config / "lists").mkdir()
    (config / "lists" / "joint.toml").write_text("not = [toml\n")

    code, said = await refusing(tmp_path, config)

    named = ("server.listen_port", "deadline.default_s", "default: retry.attempts", "lists/joint.toml: not TOML")
    assert (code, [part for part in named if part not in said]) == (2, [])


@row(
    "D9",
    "connectors, secrets or addresses are wrong at start",
    "启动时连接器、密钥或地址有误",
    "refuses to start (2), every platform's fault by name 拒绝启动（2），逐平台列出",
)
async def test_D9_broken_platforms_are_refused_at_start_with_every_fault(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    platforms = (config / "platforms.toml").read_text()
    platforms = platforms.replace('"sandbox:app_key"', '"env:XINYIDAI_NOT_SET"').replace(
        '"sandbox:sm4_key"', '"file:none"'
    )
    (config / "platforms.toml").write_text(platforms + '[beijing]\nbase_url = "http://127.0.0.1:1"\n')

    code, said = await refusing(tmp_path, config)

    named = ("beijing: no connector", "shanghai.secrets.app_key", "zhejiang.secrets.app_key", "jiangsu.secrets.sm4_key")
    assert (code, [part for part in named if part not in said]) == (2, [])


@row(
    "D9",
    "the configuration breaks under a running gateway",
    "运行期间配置被改坏",
    "nothing is reloaded: it goes on serving as it was started; only a new start refuses 不热加载，按启动时配置继续服务",
)
async def test_D9_a_running_gateway_goes_on_when_its_files_break(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    async with serving(tmp_path, config) as served, served.client() as credit:
        (config / "gateway.toml").write_text("broken = [\n")
        (config / "platforms.toml").write_text("")

        code, _ = await refusing(tmp_path, config)
        view = (await credit.GetCreditView(request(), timeout=10)).view

    assert (code, view.completeness_bp) == (2, 10_000)


@row(
    "D9",
    "the policies break under a running gateway, and SIGHUP is sent",
    "运行期间策略文件被改坏并收到 SIGHUP",
    "the old ones keep deciding, the faults are logged; mended, the new ones are in force "
    "旧策略继续生效并记录错误，修正后新策略生效",
)
async def test_D9_broken_policies_never_come_into_force_and_mended_ones_do(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    policies = config / "policies"
    policies.mkdir()
    shut = '@id("shut") forbid (principal, action in Action::"credit", resource);'
    async with serving(tmp_path, config) as served, served.client() as credit:
        (policies / "own.cedar").write_text(shut + "permit (")
        served.process.send_signal(signal.SIGHUP)
        refused = await told(served, "policies.refused")
        while_broken = await ended(credit.GetCreditView(request(), timeout=10))

        (policies / "own.cedar").write_text(shut)
        served.process.send_signal(signal.SIGHUP)
        await told(served, "policies.reloaded")
        when_mended = await ended(credit.GetCreditView(request(), timeout=10))
        entries = served.trail()

    assert "policies/own.cedar" in refused["faults"][0]
    assert (while_broken, when_mended) == (StatusCode.OK, StatusCode.PERMISSION_DENIED)
    assert [(entry["event"], entry["policy"]) for entry in entries] == [
        ("answered", "query-ask"),
        ("denied", "shut"),
    ]


async def told(served: Served, event: str) -> Mapping[str, Any]:
    """Gives the first line of the log that tells of an event, once it has come."""
    async with asyncio.timeout(20):
        while True:
            for line in served.lines:
                if line.get("event") == event:
                    return line
            await asyncio.sleep(0.02)


@row(
    "D11",
    "SIGTERM with a call and a stream under way and idle peers",
    "SIGTERM 时有进行中的调用、流与空闲连接",
    "both are answered in full, new calls refused, exit 0 at once after, every entry in the trail "
    "两者完整应答，拒绝新调用，随即退出（0），留痕齐全",
)
async def test_D11_sigterm_drains_what_is_under_way_and_waits_for_no_idle_peer(house: House, tmp_path: Path) -> None:
    held, asked = asyncio.Event(), asyncio.Event()

    async def holds(exchange: Exchange) -> None:
        asked.set()
        await held.wait()
        await exchange.forward()

    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(house.sandboxes["shanghai"].url, holds))
        config = configured_through(proxy, house, tmp_path)
        served = await stack.enter_async_context(serving(tmp_path, config))
        await stack.enter_async_context(caller(served.port))  # an idle peer that never says a word
        idle = await stack.enter_async_context(served.client())
        credit = await stack.enter_async_context(served.client())
        await idle.GetCreditView(request(platforms=["anhui"]), timeout=10)
        call = asyncio.ensure_future(credit.GetCreditView(request(), timeout=10))
        stream = credit.StreamCreditView(request(), timeout=10)
        steps = asyncio.ensure_future(_all(stream))
        await asked.wait()
        while len(proxy.requests) < 2:
            await asyncio.sleep(0.01)

        served.process.terminate()
        while not any(line.get("event") == "gateway.draining" for line in served.lines):
            await asyncio.sleep(0.01)
        refused = await ended(idle.GetCreditView(request(), timeout=1))
        held.set()
        response, final = await call, (await steps)[-1].final
        code = await asyncio.wait_for(served.process.wait(), 5)

    entries = {(entry["event"], entry["answer_id"]) for entry in served.trail()}
    assert (code, refused) in {(0, StatusCode.UNAVAILABLE), (0, StatusCode.DEADLINE_EXCEEDED)}
    assert (response.view.completeness_bp, final.view) == (10_000, response.view)
    assert {("answered", response.delivery.answer_id), ("answered", final.delivery.answer_id)} <= entries


async def _all(stream: Any) -> list[pb.StreamCreditViewResponse]:
    return [step async for step in stream]


@row(
    "D11",
    "SIGTERM with a call that outlives the time to drain",
    "SIGTERM 时有超出排空时限的调用",
    "the call is ended, exit 0 in time, its entry says cancelled 终止该调用，按时退出（0），留痕“已取消”",
)
async def test_D11_a_call_that_outlives_the_drain_is_ended_and_written(house: House, tmp_path: Path) -> None:
    async def hangs(exchange: Exchange) -> None:
        await exchange.hang()

    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(house.sandboxes["shanghai"].url, hangs))
        config = configured_through(proxy, house, tmp_path, "[server]\ndrain_s = 0.3\n")
        served = await stack.enter_async_context(serving(tmp_path, config))
        credit = await stack.enter_async_context(served.client())
        call = asyncio.ensure_future(ended(credit.GetCreditView(request(), timeout=60)))
        while not proxy.requests:
            await asyncio.sleep(0.01)

        served.process.terminate()
        code = await asyncio.wait_for(served.process.wait(), 5)
        status = await call

    assert (code, [entry["event"] for entry in served.trail()]) == (0, ["cancelled"])
    assert status in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


@row(
    "D11",
    "SIGHUP and a second SIGTERM while it drains",
    "排空期间收到 SIGHUP 与再次 SIGTERM",
    "the call under way is answered in full, exit 0, its entry in the trail 在途调用完整应答，退出（0），留痕齐全",
)
async def test_D11_a_hangup_and_a_second_sigterm_do_not_cut_a_drain_short(house: House, tmp_path: Path) -> None:
    held = asyncio.Event()

    async def holds(exchange: Exchange) -> None:
        await held.wait()
        await exchange.forward()

    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(house.sandboxes["shanghai"].url, holds))
        config = configured_through(proxy, house, tmp_path)
        served = await stack.enter_async_context(serving(tmp_path, config))
        credit = await stack.enter_async_context(served.client())
        call = asyncio.ensure_future(credit.GetCreditView(request(), timeout=10))
        while not proxy.requests:
            await asyncio.sleep(0.01)

        served.process.terminate()
        await told(served, "gateway.draining")
        served.process.send_signal(signal.SIGHUP)
        served.process.terminate()
        held.set()
        response = await call
        code = await asyncio.wait_for(served.process.wait(), 5)

    assert (response.view.completeness_bp, code) == (10_000, 0)
    assert [entry["event"] for entry in served.trail()] == ["answered"]


@row(
    "D12",
    "all platforms are down",
    "所有平台均不可用",
    "`UNAVAILABLE` with each platform's reason and when to ask again, trail: unanswered `UNAVAILABLE`，附各平台原因与重试时间，留痕“未应答”",
)
async def test_D12_all_platforms_down_is_unavailable_with_every_reason(house: House, tmp_path: Path) -> None:
    before = Footprint.taken()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        platforms = {
            name: table.model_copy(update={"base_url": dead}) for name, table in house.settings.platforms.items()
        }
        settings = replace(house.settings, platforms=platforms)
        gateway = await build_gateway(settings, find_plugins(settings), audit_path=tmp_path / "audit.jsonl")
        port = await gateway.server.start("127.0.0.1:0")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            credit: Any = credit_service_pb2_grpc.CreditServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await credit.GetCreditView(request(), timeout=5)
        await gateway.aclose()

    outcomes, retry = pb.PlatformOutcomes(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
    assert status is not None
    unpacked = [detail.Unpack(message) for detail in status.details for message in (outcomes, retry)]
    assert (raised.value.code(), sum(unpacked)) == (StatusCode.UNAVAILABLE, 2)
    assert {answer.platform: answer.reason for answer in outcomes.answers} == dict.fromkeys(PLATFORMS, "connect")
    assert retry.retry_delay.seconds > 0
    assert '"event":"unanswered"' in (tmp_path / "audit.jsonl").read_text()
    assert await before.is_settled(spare=8), "a task or a socket was left open"


@row(
    "D14",
    "file handles are exhausted by idle connections",
    "文件句柄被空闲连接耗尽",
    "a connection that is open is answered in full, new ones wait; all is well once they leave "
    "已有连接照常完整应答，新连接等待；释放后恢复",
)
async def test_D14_with_no_file_handle_left_the_old_are_served_and_the_new_wait(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    limited = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    async with serving(tmp_path, config, before=limited) as served, served.client() as old:
        first = await old.GetCreditView(request(), timeout=10)
        idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
        try:
            full = f"/proc/{served.process.pid}/fd"
            while len(list(Path(full).iterdir())) < 64:
                await asyncio.sleep(0.01)
            kept = await old.GetCreditView(request(), timeout=10)
            async with served.client() as new:
                waits = await ended(new.GetCreditView(request(), timeout=0.5))
        finally:
            for one in idle:
                one.close()
        async with served.client() as new:
            after = await new.GetCreditView(request(), wait_for_ready=True, timeout=20)
        served.process.terminate()
        code = await asyncio.wait_for(served.process.wait(), 10)

    assert waits in (StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE)
    assert [one.view.completeness_bp for one in (first, kept, after)] == [10_000] * 3
    assert (code, [entry["event"] for entry in served.trail()]) == (0, ["answered"] * 3)


@row(
    "D1",
    "whoever reads the log is gone, and so is its disk when it is full",
    "日志读取方退出，如同日志盘已满",
    "queries are answered as before, the lines lost are counted in a metric, exit 0 查询照常应答，丢失的日志行计入指标，退出（0）",
)
async def test_D1_a_log_that_cannot_be_written_costs_no_answer(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    few = ("sh", "-c", 'mkfifo log; head -n 1 log >&2 & exec "$@" 2>log', "sh")  # the line that names the ports
    async with serving(tmp_path, config, before=few) as served, served.client() as credit:
        answered = [await credit.GetCreditView(request(), timeout=10) for _ in range(3)]
        admin = served.lines[0]["admin_port"]
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/metrics") as page:
            lost = re.search(r"^xinyidai_log_lines_lost_total (\d+)", await page.text(), re.MULTILINE)
        served.process.terminate()
        code = await asyncio.wait_for(served.process.wait(), 10)

    assert [one.view.completeness_bp for one in answered] == [10_000] * 3
    assert lost is not None
    assert int(lost[1]) > 0
    assert (code, [entry["event"] for entry in served.trail()]) == (0, ["answered"] * 3)


@row(
    "D11",
    "SIGTERM to a gateway that was started with standard input and output closed",
    "以关闭的标准输入输出启动，随后 SIGTERM",
    "no other file takes their place; it ends with 0 其位置不被其他文件占用，正常退出（0）",
)
async def test_D11_closed_standard_streams_are_held_and_it_ends_well(house: House, tmp_path: Path) -> None:
    config = configure(tmp_path / "config", house.sandboxes)
    async with serving(tmp_path, config, before=("sh", "-c", 'exec "$@" <&- >&-', "sh")) as served:
        standing = [Path(f"/proc/{served.process.pid}/fd/{number}").readlink() for number in (0, 1)]
        served.process.terminate()
        code = await asyncio.wait_for(served.process.wait(), 10)

    assert (standing, code) == ([Path(os.devnull)] * 2, 0)
