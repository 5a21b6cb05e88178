"""What a caller can do wrongly around its message (fault catalogue, C1, C3, C4, C10, C11, C17), said by a raw HTTP/2 client.

Where gRPC's library answers before the gateway sees the call, the test asserts what it says; where that is another status
than one would choose, the row's text says so. No platform is asked in any of them, and a good call goes through afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from tests.faults.callers_fixtures import BATCH, GET, STREAM, Rig, body, callers_rig, request
from tests.faults.callers_refused import code, refused
from tests.faults.conftest import quiet_settings
from tests.faults.declared import row
from tests.faults.h2_client import caller


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with callers_rig(tmp_path, quiet_settings()) as this:
        yield this


@row("C1", "the deadline is past on arrival", "到达时截止时间已过", "`DEADLINE_EXCEEDED`, no platform asked 未询问平台")
async def test_C1_a_deadline_past_on_arrival_asks_no_platform(rig: Rig) -> None:
    await refused(rig, GET, body(), StatusCode.DEADLINE_EXCEEDED, more=[("grpc-timeout", "1n")])


@row("C3", "no deadline", "未设截止时间", "the default of 10 s is applied and echoed 采用默认 10 秒并回显")
async def test_C3_a_call_without_a_deadline_is_given_the_default_which_is_echoed(rig: Rig) -> None:
    response = await rig.credit.GetCreditView(request())

    assert response.delivery.deadline.seconds == 10


@row("C3", "a deadline of 31 years", "截止时间长达 31 年", "cut to 120 s, which is echoed 截为 120 秒并回显")
async def test_C3_a_deadline_beyond_the_longest_is_cut_and_echoed(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        heard = await connection.call(GET, body(), more=[("grpc-timeout", "99999999M")])

    response = pb.GetCreditViewResponse.FromString(bytes(heard.body[5:]))
    assert (code(heard), response.delivery.deadline.seconds) == (StatusCode.OK, 120)


@row(
    "C4",
    "the caller resets its call mid-way",
    "调用方中途取消",
    "the platform calls are cancelled within 50 ms, trail: cancelled 50 毫秒内取消平台调用，留痕“已取消”",
)
async def test_C4_a_reset_call_ends_its_platform_calls_within_50_ms_and_is_written(rig: Rig) -> None:
    rig.upstream.delay_s = 30.0
    took_s = []
    async with caller(rig.port) as connection:
        for number in (1, 2, 3):
            stream = await connection.ask(GET, body())
            await until(lambda: rig.upstream.under_way == 2)

            left = asyncio.get_running_loop().time()
            await connection.send(connection.reset(stream))
            await until(lambda: not fetching())
            took_s.append(asyncio.get_running_loop().time() - left)

            await until(lambda: rig.upstream.under_way == 0)
            await until(lambda: len(rig.events()) == number)  # noqa: B023  # awaited before the next turn

    assert rig.events() == ["cancelled"] * 3
    assert min(took_s) < 0.05  # the least: this machine may be busy, a call that lingers always lingers


def fetching() -> list[str]:
    """Gives the tasks in which a platform is being asked."""
    return [repr(task) for task in asyncio.all_tasks() if ".fetch" in repr(task.get_coro())]


async def until(holds: Any, within_s: float = 5.0) -> None:
    """Waits until something holds; raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


@row("C10", "metadata of 20 KB, 2 MB, or 2,000 keys", "元数据 20 KB、2 MB 或两千个键", "`RESOURCE_EXHAUSTED`")
async def test_C10_metadata_beyond_the_limit_is_refused(rig: Rig) -> None:
    many = [(f"x-{number}", "a") for number in range(2_000)]
    for more in ([("x-big", "a" * 20_000)], [("x-big", "a" * 2_000_000)], many):
        await refused(rig, GET, body(), StatusCode.RESOURCE_EXHAUSTED, more=more)
        rig.upstream.calls = 0


@row("C10", "the bank stated twice, or not in printable ASCII", "银行标识重复或含不可打印字符", "`INVALID_ARGUMENT`")
async def test_C10_an_ambiguous_or_unprintable_bank_is_refused(rig: Rig) -> None:
    key = "xinyidai-bank"
    for path in (GET, STREAM, BATCH):
        for more in ([(key, "a"), (key, "b")], [(key, "\xff\xfe")], [(key, "a" * 129)]):
            heard = await refused(rig, path, body(), StatusCode.INVALID_ARGUMENT, more=more)
            assert key in heard.fields["grpc-message"]
            rig.upstream.calls = 0


@row(
    "C10",
    "a binary key that is no base64",
    "二进制元数据不是 base64",
    "`INTERNAL`, said by gRPC's library 由 gRPC 库应答",
)
async def test_C10_a_binary_key_that_is_no_base64_is_refused(rig: Rig) -> None:
    await refused(rig, GET, body(), StatusCode.INTERNAL, more=[("x-bin", "!!! no base64 !!!")])


@pytest.mark.parametrize("stated", ["soon", "-5S", "5", ""])
@row("C11", "a timeout that cannot be read", "超时头无法解析", "`INTERNAL`, said by gRPC's library 由 gRPC 库应答")
async def test_C11_a_timeout_that_cannot_be_read_is_refused(rig: Rig, stated: str) -> None:
    await refused(rig, GET, body(), StatusCode.INTERNAL, more=[("grpc-timeout", stated)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"without": [":path"]},
        {"without": [":scheme"]},
        {"without": [":authority"]},
        {"without": ["te"]},
        {"more": [(":method", "GET")]},
        {"more": [(":method", "PUT")]},
    ],
    ids=["no path", "no scheme", "no authority", "no te", "GET", "PUT"],
)
@row(
    "C11",
    "a request head that lacks what gRPC needs",
    "请求头缺少 gRPC 必需项",
    "the stream is reset (`INTERNAL_ERROR`), the connection lives 重置该流，连接保留",
)
async def test_C11_an_incomplete_request_head_resets_its_stream_only(rig: Rig, wrong: dict[str, Any]) -> None:
    async with caller(rig.port) as connection:
        heard = await connection.call(GET, body(), **wrong)
        assert (heard.reset, rig.upstream.calls) == (2, 0)
        assert code(await connection.call(GET, body())) == StatusCode.OK
    await rig.is_answering()


@row(
    "C11",
    "a content type other than application/grpc, or none",
    "内容类型错误或缺失",
    "answered all the same: gRPC's library does not look at it 照常应答：gRPC 库不检查",
)
async def test_C11_the_content_type_is_not_looked_at(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        other = await connection.call(GET, body(), more=[("content-type", "text/plain")])
        none = await connection.call(GET, body(), without=["content-type"])

    assert (code(other), code(none)) == (StatusCode.OK, StatusCode.OK)
    assert rig.events() == ["answered", "answered"]


@row("C17", "a method or version of the service that does not exist", "方法或服务版本不存在", "`UNIMPLEMENTED`")
async def test_C17_an_unknown_method_or_version_is_unimplemented(rig: Rig) -> None:
    for path in (GET + "s", GET.replace(".v1.", ".v9."), "nonsense"):
        await refused(rig, path, body(), StatusCode.UNIMPLEMENTED)
        rig.upstream.calls = 0
