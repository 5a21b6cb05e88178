"""What a caller can ask wrongly in its message (fault catalogue, C5 to C9, C18, C21), said by a raw HTTP/2 client.

Where gRPC's library answers before the gateway sees the call, the test asserts what it says; where that is another status
than one would choose, the row's text says so. No platform is asked in any of them, and a good call goes through afterwards.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from grpc import StatusCode

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_SUBJECT
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2_grpc
from gateway.adapters.rpc.requests import check_annotations, credit_query
from gateway.domain.caller import development_caller
from gateway.domain.errors import RequestError
from tests.faults.callers_fixtures import BATCH, GET, STREAM, Rig, body, callers_rig, new_uscc, request
from tests.faults.callers_refused import code, refused
from tests.faults.conftest import quiet_settings
from tests.faults.declared import row
from tests.faults.h2_client import caller, message
from tests.faults.memory import MIB, forget_peak, memory_bytes


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with callers_rig(tmp_path, quiet_settings()) as this:
        yield this


@row("C5", "a request over the size limit", "请求超过大小上限", "`RESOURCE_EXHAUSTED`")
async def test_C5_a_request_over_the_size_limit_is_refused(rig: Rig) -> None:
    await refused(rig, GET, message(bytes(MIB + 1)), StatusCode.RESOURCE_EXHAUSTED)


@row("C5", "a length prefix of 2 GiB before three bytes", "长度前缀声称 2 GiB", "`RESOURCE_EXHAUSTED`")
async def test_C5_a_length_that_lies_is_refused_before_anything_is_kept_for_it(rig: Rig) -> None:
    await refused(rig, GET, b"\0" + (2**31).to_bytes(4, "big") + b"abc", StatusCode.RESOURCE_EXHAUSTED)


@row(
    "C5",
    "an answer over the client's own limit",
    "应答超过客户端自身上限",
    "the client says `RESOURCE_EXHAUSTED`; the trail has the answer 客户端报 `RESOURCE_EXHAUSTED`，留痕已写",
)
async def test_C5_an_answer_over_the_clients_limit_harms_the_client_only(rig: Rig) -> None:
    small = [("grpc.max_receive_message_length", 64), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.port}", options=small) as channel:
        stub: Any = credit_service_pb2_grpc.CreditServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.GetCreditView(request(), timeout=5)

    assert raised.value.code() == StatusCode.RESOURCE_EXHAUSTED
    assert rig.events() == ["answered"]
    await rig.is_answering()


@row(
    "C5",
    "an answer over the server's limit",
    "应答超过服务端上限",
    "`RESOURCE_EXHAUSTED`, it says to ask for less, the server goes on 提示缩小查询范围，服务继续",
)
async def test_C5_an_answer_over_the_servers_limit_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    settings = quiet_settings()
    server = settings.gateway.server.model_copy(update={"max_response_bytes": 64})
    settings = replace(settings, gateway=settings.gateway.model_copy(update={"server": server}))
    async with callers_rig(tmp_path, settings) as rig, caller(rig.port) as connection:
        for path in (GET, GET, STREAM):
            heard = await connection.call(path, body())
            assert code(heard) == StatusCode.RESOURCE_EXHAUSTED
            assert "ask for fewer categories or platforms" in heard.fields["grpc-message"]


@row("C5", "an item of a batch over the server's limit", "批次中某项超过服务端上限", "an error of that item 仅该项报错")
async def test_C5_an_item_over_the_servers_limit_does_not_end_the_batch(tmp_path: Path) -> None:
    settings = quiet_settings()
    server = settings.gateway.server.model_copy(update={"max_response_bytes": 1_400})
    settings = replace(settings, gateway=settings.gateway.model_copy(update={"server": server}))
    items = [pb.BatchGetCreditViewsRequest(correlation_id=name, query=request().query) for name in ("one", "two")]
    async with callers_rig(tmp_path, settings) as rig:
        heard = [item async for item in rig.credit.BatchGetCreditViews(iter(items))]

    assert sorted(item.correlation_id for item in heard) == ["one", "two"]
    assert {item.error.code for item in heard} == {StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert all("fewer categories or platforms" in item.error.message for item in heard)


@pytest.mark.parametrize("path", [GET, STREAM, BATCH])
@row("C6", "bytes that are no message", "不是消息的字节", "`INVALID_ARGUMENT`")
async def test_C6_bytes_that_are_no_message_are_an_invalid_argument(rig: Rig, path: str) -> None:
    heard = await refused(rig, path, message(b"\xff\xff\xff\xff"), StatusCode.INVALID_ARGUMENT)

    assert "no message" in heard.fields["grpc-message"]


@pytest.mark.parametrize(
    "path", ["PlatformService/ListPlatforms", "PlatformService/GetPlatform", "CatalogueService/DescribeCatalogue"]
)
@row("C6", "the same at the other services", "其他服务同样", "`INVALID_ARGUMENT`")
async def test_C6_bytes_that_are_no_message_are_refused_by_every_service(rig: Rig, path: str) -> None:
    await refused(rig, f"/xinyidai.gateway.v1.{path}", message(b"\xff\xff\xff\xff"), StatusCode.INVALID_ARGUMENT)


@row(
    "C6",
    "300 random and mangled bodies on one connection",
    "同一连接上三百个随机或残缺报文",
    "`INVALID_ARGUMENT`, each 逐一",
)
async def test_C6_random_and_mangled_bodies_are_refused_one_by_one(rig: Rig) -> None:
    chance, whole = random.Random(6), request().SerializeToString()
    async with caller(rig.port) as connection:
        for number in range(300):
            content = chance.randbytes(40) if number % 2 else whole[: chance.randrange(len(whole))]
            heard = await connection.call(GET, message(content))
            assert code(heard) == StatusCode.INVALID_ARGUMENT, content.hex()

    assert rig.upstream.calls == 0
    await rig.is_answering()


@pytest.mark.long
@row("C6", "a million mangled requests", "一百万个残缺请求", "refused or read, no crash 拒绝或读取，无崩溃")
def test_C6_a_million_mangled_requests_are_refused_or_read_and_nothing_crashes() -> None:
    chance = random.Random(6)
    whole = request(request_id="r-1", platforms=["ping"], consent_ids=["c-1"]).SerializeToString()
    ends = dict.fromkeys(("no message", "refused", "read"), 0)
    for _ in range(1_000_000):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            asked = pb.GetCreditViewRequest.FromString(bytes(content))
            check_annotations(asked)
            credit_query(asked.query, development_caller("bank"), ("ping", "pong"))
            ends["read"] += 1
        except DecodeError:
            ends["no message"] += 1
        except RequestError:
            ends["refused"] += 1

    assert all(ends.values()), ends


@row(
    "C6",
    "a call that ends without a message, or in the middle of one",
    "无消息或消息不完整即结束",
    "gRPC's library answers nothing and starts no handler; the call's deadline ends it gRPC 库不应答也不处理，截止时间结束该调用",
)
async def test_C6_a_call_without_a_whole_message_starts_nothing_and_ends_with_its_deadline(rig: Rig) -> None:
    for content in (b"", body()[:-3]):
        await refused(rig, GET, content, StatusCode.DEADLINE_EXCEEDED, more=[("grpc-timeout", "100m")])
        rig.upstream.calls = 0


@row("C7", "invalid UTF-8 in a string", "字符串含非法 UTF-8", "`INVALID_ARGUMENT`")
async def test_C7_invalid_utf8_in_a_string_is_an_invalid_argument(rig: Rig) -> None:
    await refused(rig, GET, message(b"\x0a\x04\x0a\x02\xff\xfe"), StatusCode.INVALID_ARGUMENT)


@row("C8", "an enum number nobody knows", "未知枚举值", "`INVALID_ARGUMENT`, the field is named 指明字段")
async def test_C8_an_unknown_purpose_or_category_is_refused_by_name(rig: Rig) -> None:
    purpose, category = request(), request()
    purpose.query.purpose = 99  # type: ignore[assignment]
    category.query.categories.append(999)  # type: ignore[arg-type]

    fields = []
    for asked in (purpose, category):
        heard = await refused(rig, GET, message(asked.SerializeToString()), StatusCode.INVALID_ARGUMENT)
        fields.append(heard.fields["grpc-message"].partition(":")[0])
        rig.upstream.calls = 0

    assert fields == ["purpose", "categories[0]"]


@row("C8", "a field nobody knows", "未知字段", "ignored and counted 忽略并计数")
async def test_C8_an_unknown_field_is_ignored_and_counted(rig: Rig) -> None:
    unknown = b"\xf2\x7f\x03new"  # field 2046, length-delimited
    async with caller(rig.port) as connection:
        heard = await connection.call(GET, message(request().SerializeToString() + unknown))

    assert (code(heard), rig.events()) == (StatusCode.OK, ["answered"])
    assert b"new" not in heard.body
    assert b"\nxinyidai_unknown_fields_total 1.0\n" in await rig.gateway.metrics.page()


@row(
    "C9",
    "a code with a wrong check digit, letter or length",
    "信用代码校验位、字符或长度有误",
    "`INVALID_ARGUMENT`, the place is named 指明位置",
)
async def test_C9_a_bad_code_is_refused_with_its_place(rig: Rig) -> None:
    places = {"91310115MA0TERT168": "position 18", "91310115MI0TERT167": "position 10", "9131": "18"}

    for uscc, place in places.items():
        heard = await refused(rig, GET, body(uscc), StatusCode.INVALID_ARGUMENT)
        assert place in heard.fields["grpc-message"]
        rig.upstream.calls = 0


@row(
    "C18",
    "a compressed request that grows to 64 MiB",
    "压缩请求膨胀至 64 MiB",
    "`RESOURCE_EXHAUSTED`, cut at the limit 至上限即止",
)
async def test_C18_a_compressed_bomb_is_cut_at_the_limit(rig: Rig) -> None:
    bomb = message(gzip.compress(bytes(64 * MIB)), is_compressed=True)
    forget_peak()
    before = memory_bytes("VmRSS")

    await refused(rig, GET, bomb, StatusCode.RESOURCE_EXHAUSTED, more=[("grpc-encoding", "gzip")])

    assert memory_bytes("VmHWM") - before < 32 * MIB


@row(
    "C18",
    "compressed garbage, or a compression nobody knows",
    "压缩数据损坏或压缩方式未知",
    "`INTERNAL`, said by gRPC's library 由 gRPC 库应答",
)
async def test_C18_compressed_garbage_is_refused(rig: Rig) -> None:
    for encoding in ([("grpc-encoding", "gzip")], [("grpc-encoding", "snappy")], []):
        await refused(rig, GET, message(b"zzz", is_compressed=True), StatusCode.INTERNAL, more=encoding)
        rig.upstream.calls = 0


@row(
    "C21",
    "one request id with two bodies",
    "同一请求号、不同内容",
    "`ALREADY_EXISTS`; the first result stays 首次结果保留",
)
async def test_C21_a_request_id_keeps_its_first_result_when_it_comes_with_another_body(rig: Rig) -> None:
    uscc = new_uscc()
    first = await rig.credit.GetCreditView(request(uscc, request_id="r-1"))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rig.credit.GetCreditView(request(uscc, request_id="r-1", categories=[CATEGORY_SUBJECT]))
    again = await rig.credit.GetCreditView(request(uscc, request_id="r-1"))

    assert raised.value.code() == StatusCode.ALREADY_EXISTS
    assert (again.delivery.is_repeated, again.delivery.answer_id) == (True, first.delivery.answer_id)
    assert rig.upstream.calls == 2
