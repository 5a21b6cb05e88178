"""Callers that misuse HTTP/2 itself (fault catalogue, C12, C13, C16): resets, floods, frames that may not be.

Bounded in count and time, to loopback only. In every one no platform is asked for what the flood says, and a good caller is
answered while it goes on and afterwards. What the library under the gateway bounds but does not punish is said in the row.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from tests.faults.callers_fixtures import BATCH, GET, STREAM, Rig, body, callers_rig, new_uscc, query
from tests.faults.conftest import quiet_settings
from tests.faults.declared import row
from tests.faults.h2_client import Caller, caller, message, raw_frame
from tests.faults.memory import MIB, forget_peak, memory_bytes

FLOOD: Final = 20_000
HEADERS, PRIORITY, DATA, CONTINUATION = 1, 2, 0, 9


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with callers_rig(tmp_path, quiet_settings()) as this:
        yield this


async def flooded(rig: Rig, connection: Caller, burst: Callable[[], bytes], bursts: int) -> None:
    """Sends bursts until the server has closed or all are sent, while a good caller asks on its own connection."""

    async def flood() -> None:
        for _ in range(bursts):
            if connection.is_closed:
                return
            await connection.send(burst())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(flood())
        tasks.create_task(rig.is_answering())  # which holds that no platform was asked but for itself
    with suppress(TimeoutError):
        await connection.closed(0.2)
    await rig.is_answering()


@row(
    "C12",
    "rapid reset: 2,000 calls, each reset at once",
    "快速重置：两千个调用随即重置",
    "no handler asks a platform; others are answered; the library does not drop the peer 不询问平台，他人照常应答；库不断开对端",
)
async def test_C12_rapid_resets_ask_no_platform_and_others_are_answered(rig: Rig) -> None:
    async with caller(rig.port) as connection:

        def burst() -> bytes:
            streams = [connection.stream_id() for _ in range(100)]
            return b"".join(
                connection.headers(s, connection.request(GET)) + connection.data(s, body()) + connection.reset(s)
                for s in streams
            )

        await flooded(rig, connection, burst, 20)

    assert rig.events().count("answered") == 2
    assert rig.upstream.most_under_way <= 4


@row(
    "C12",
    "a burst of 500 calls, all reset while their platforms are asked",
    "五百个调用在平台查询中被重置",
    "every platform call is cancelled 所有平台调用均取消",
)
async def test_C12_calls_reset_under_way_leave_no_platform_call(rig: Rig) -> None:
    rig.upstream.delay_s = 30.0
    async with caller(rig.port) as connection:
        streams = [await connection.ask(GET, body()) for _ in range(500)]
        async with asyncio.timeout(10):
            while not rig.upstream.under_way:
                await asyncio.sleep(0.01)
        await connection.send(*(connection.reset(stream) for stream in streams))
        async with asyncio.timeout(10):
            while rig.upstream.under_way or any(".fetch" in repr(t.get_coro()) for t in asyncio.all_tasks()):
                await asyncio.sleep(0.01)

    rig.upstream.delay_s = 0.0
    await rig.is_answering()


BOUNDED = "taken in and dropped, connection open 吸收并丢弃，连接保留"
FLOODS: Final = {
    "SETTINGS": SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 100}).serialize(),
    "empty SETTINGS": SettingsFrame().serialize(),
    "WINDOW_UPDATE": WindowUpdateFrame(0, window_increment=1).serialize(),
    "PRIORITY": raw_frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
    "RST_STREAM": RstStreamFrame(1, error_code=ErrorCodes.CANCEL).serialize(),
    "unknown": raw_frame(0xBE, 0xFF, 0, b"whatever"),
}


@pytest.mark.parametrize("kind", FLOODS)
@row(
    "C13",
    "20,000 frames of SETTINGS, WINDOW_UPDATE, PRIORITY, RST_STREAM or of no known kind",
    "两万个 SETTINGS、WINDOW_UPDATE、PRIORITY、RST_STREAM 或未知帧",
    f"no platform asked, others are answered; {BOUNDED}",
)
async def test_C13_a_flood_of_small_frames_reaches_no_platform(rig: Rig, kind: str) -> None:
    async with caller(rig.port) as connection:
        await flooded(rig, connection, lambda: FLOODS[kind] * 500, FLOOD // 500)

    assert rig.upstream.calls == 4


@row(
    "C13",
    "20,000 PINGs",
    "两万个 PING",
    "sent away: GOAWAY `ENHANCE_YOUR_CALM`, or closed 送客：GOAWAY `ENHANCE_YOUR_CALM` 或关闭",
)
async def test_C13_a_flood_of_pings_is_sent_away(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        await flooded(rig, connection, lambda: PingFrame(opaque_data=b"12345678").serialize() * 500, FLOOD // 500)

        await connection.until(lambda: connection.goaway is not None or connection.is_closed)
        # A flood that is still on its way when the server closes has the goodbye lost with it.
        assert connection.is_closed or connection.goaway == ErrorCodes.ENHANCE_YOUR_CALM


@row("C13", "empty CONTINUATION frames without end", "无尽的空 CONTINUATION 帧", "connection closed 关闭连接")
async def test_C13_a_head_of_empty_frames_closes_the_connection(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        stream = connection.stream_id()
        await connection.send(connection.headers(stream, connection.request(GET), is_whole=False))

        await flooded(rig, connection, lambda: raw_frame(CONTINUATION, 0, stream) * 20, 200)

        assert connection.is_closed


@row(
    "C13",
    "a head of 20 MB in CONTINUATION frames",
    "CONTINUATION 帧累计 20 MB 的头部",
    "not kept as it comes; `RESOURCE_EXHAUSTED` once it ends 不予保存，结束时 `RESOURCE_EXHAUSTED`",
)
async def test_C13_a_head_of_20_megabytes_is_not_kept_and_refused(rig: Rig) -> None:
    fields = b"\x00\x01a\x01b" * 1_000
    async with caller(rig.port) as connection:
        stream = connection.stream_id()
        forget_peak()
        before = memory_bytes("VmRSS")
        await connection.send(connection.headers(stream, connection.request(GET), is_whole=False))

        await flooded(rig, connection, lambda: raw_frame(CONTINUATION, 0, stream, fields) * 20, 200)
        await connection.send(raw_frame(CONTINUATION, 0x4, stream, fields), raw_frame(DATA, 0x1, stream, body()))
        heard = await connection.over(stream)

        assert heard.status == 8
        assert memory_bytes("VmHWM") - before < 16 * MIB
    assert rig.upstream.calls == 4


@row("C13", "empty DATA frames without end", "无尽的空 DATA 帧", "connection closed 关闭连接")
async def test_C13_empty_data_without_end_closes_the_connection(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        stream = connection.stream_id()
        await connection.send(connection.headers(stream, connection.request(GET)))

        await flooded(rig, connection, lambda: raw_frame(DATA, 0, stream) * 100, 200)

        assert connection.is_closed


@row(
    "C13",
    "a batch caller that sends 400 queries and reads nothing",
    "批量调用方发送四百个查询而不读取",
    "held back: platforms are asked for no more than a few batches' worth 受到反压，平台调用数有界",
)
async def test_C13_a_caller_that_does_not_read_is_held_back(rig: Rig) -> None:
    async with caller(rig.port, window=0) as connection:
        items = b"".join(
            message(pb.BatchGetCreditViewsRequest(correlation_id=str(n), query=query(new_uscc())).SerializeToString())
            for n in range(400)
        )
        await connection.ask(BATCH, items)
        before = -1
        while before != rig.upstream.calls:  # until no more are asked
            before = rig.upstream.calls
            await asyncio.sleep(0.2)

        assert rig.upstream.calls < 2 * 100
        before, rig.upstream.calls = rig.upstream.calls, 0
        await rig.is_answering()
    rig.upstream.calls += before


@row(
    "C13",
    "50 stream callers that read nothing",
    "五十个流式调用方不读取",
    "others are answered; when the callers leave, all is freed 他人照常应答，离开后全部释放",
)
async def test_C13_streams_that_nobody_reads_hold_up_nobody_else(rig: Rig) -> None:
    async with caller(rig.port, window=0) as connection:
        for _ in range(50):
            await connection.ask(STREAM, body())
        async with asyncio.timeout(10):
            while rig.upstream.calls < 100:
                await asyncio.sleep(0.01)
        await rig.is_answering()
    # The fixture holds that no task, socket or platform call is left of them.


@row(
    "C16",
    "frames of unknown kinds before a good call",
    "正常调用之前的未知帧",
    "ignored (RFC 9113 §4.1), the call is answered 忽略并应答",
)
async def test_C16_unknown_frames_are_ignored(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        await connection.send(raw_frame(0xBE, 0xFF, 0, b"whatever"), raw_frame(0xBF, 1, 1))

        heard = await connection.call(GET, body())

    assert heard.status == 0


@pytest.mark.parametrize(
    "preface",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        os.urandom(64),
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ],
    ids=["HTTP/1.1", "TLS", "random", "nearly"],
)
@row(
    "C16", "HTTP/1.1, TLS, noise or a bad preface", "HTTP/1.1、TLS、噪声或错误的连接前言", "connection closed 关闭连接"
)
async def test_C16_a_bad_preface_closes_the_connection(rig: Rig, preface: bytes) -> None:
    async with caller(rig.port, preface=preface) as connection:
        await connection.closed(5.0)

    assert rig.upstream.calls == 0
    await rig.is_answering()


@row(
    "C16",
    "a stream whose id is even, nought, or lower than one before",
    "流编号为偶数、零或倒退",
    "not answered, nothing asked; the library does not close the connection 不应答、不询问；库不关闭连接",
)
@pytest.mark.parametrize("stream", [0, 2, 3])
async def test_C16_a_bad_stream_id_starts_nothing(rig: Rig, stream: int) -> None:
    async with caller(rig.port) as connection:
        for _ in range(3):  # so that 3 is lower than one before
            await connection.call(GET, body())
        asked = rig.upstream.calls
        block = connection.headers(1, connection.request(GET))[9:]
        await connection.send(raw_frame(HEADERS, 0x4, stream, block), raw_frame(DATA, 0x1, stream, body()))
        with suppress(TimeoutError):
            await connection.closed(0.2)

        assert rig.upstream.calls == asked
        assert stream == 3 or not connection.on(stream).fields
    await rig.is_answering()


@row("C16", "a head that is no HPACK", "头部不是 HPACK", "`INTERNAL`, connection closed 关闭连接")
async def test_C16_a_head_that_is_no_hpack_closes_the_connection(rig: Rig) -> None:
    async with caller(rig.port) as connection:
        stream = connection.stream_id()
        await connection.send(raw_frame(HEADERS, 0x5, stream, b"\xff" * 9))
        await connection.closed(5.0)

        assert connection.on(stream).status == 13
    assert rig.upstream.calls == 0
    await rig.is_answering()
