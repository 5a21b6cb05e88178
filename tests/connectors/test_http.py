"""One exchange on the wire: what is written, when it is written once more, and what never leaves the house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import aiohttp
import pytest

from connectors.kit.conformance import SystemTime
from connectors.kit.http import _MOST_UNASKED, HttpCaller
from connectors.kit.http_request import Body, form
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER, OUTCOME_RATE_LIMITED, OUTCOME_UNREACHABLE
from gateway.domain.errors import PlatformError

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\n{}"


class Platform:
    """Speaks by script: what it says to its first request, its second, and so on; None ends the connection instead."""

    def __init__(self, *script: bytes | None) -> None:
        self._script = list(script)
        self.requests: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        self.connections += 1
        while self._script and (head := await _request(reader)):
            self.requests.append(head)
            said = self._script.pop(0)
            if said is None:
                break
            writer.write(said)
            await writer.drain()
        writer.close()


async def _request(reader: asyncio.StreamReader) -> str:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""
    for line in head.splitlines():
        if line.lower().startswith("content-length:"):
            head += (await reader.readexactly(int(line.split(":")[1]))).decode()
    return head


@asynccontextmanager
async def calling(platform: Platform, path: str = "", **settings: str) -> AsyncIterator[HttpCaller]:
    server = await asyncio.start_server(platform.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "us"}) as session:
        yield HttpCaller(session, SystemTime(), f"http://127.0.0.1:{port}{path}", max_body_bytes=1_000)
    server.close()


def signing() -> Callable[[str, str, Mapping[str, str]], Mapping[str, str]]:
    numbers = iter(range(9))
    return lambda method, path, parameters: {"X-Signed": f"{next(numbers)} {method} {path} {dict(parameters)}"}


async def failing(asked: Awaitable[object]) -> PlatformError:
    with pytest.raises(PlatformError) as failure:
        await asked
    return failure.value


async def test_a_request_is_one_line_the_headers_of_the_session_and_its_own() -> None:
    platform = Platform(_ANSWER, _ANSWER, _ANSWER)
    async with calling(platform, "/base/") as http:
        await http.exchange("GET", "/v1/records", inf, params={"datasets": "a,b 许可"}, signing=signing())
        await http.exchange("POST", "/v1/query", inf, body=form({"k": "许"}))
        await http.exchange("POST", "/soap", inf, body=Body(b"<a/>"), headers={"Content-Type": "text/xml"})

    get, post, soap = (request.split("\r\n") for request in platform.requests)
    assert get[0] == "GET /base/v1/records?datasets=a,b+%E8%AE%B8%E5%8F%AF HTTP/1.1"
    assert {"User-Agent: us", "Accept: */*", "X-Signed: 0 GET /v1/records {'datasets': 'a,b 许可'}"} <= set(get)
    assert not any(line.startswith("Content-") for line in get)
    assert (post[0], post[-1]) == ("POST /base/v1/query HTTP/1.1", "k=%E8%AE%B8")
    assert {"Content-Length: 11", "Content-Type: application/x-www-form-urlencoded"} <= set(post)
    assert [line for line in soap if line.startswith("Content-Type")] == ["Content-Type: text/xml"]
    assert sum(line.startswith("Host: 127.0.0.1:") for line in get) == 1
    assert platform.connections == 1


async def test_no_cookie_of_a_platform_is_sent_back() -> None:
    platform = Platform(_ANSWER, _ANSWER)
    async with calling(platform) as http:
        await http.exchange("GET", "/", inf)
        await http.exchange("GET", "/", inf)

    assert not any("cookie" in request.lower() for request in platform.requests)


async def test_a_get_that_meets_the_end_of_a_kept_connection_is_asked_once_more_and_signed_anew() -> None:
    platform = Platform(_ANSWER, None, _ANSWER)
    sign = signing()
    async with calling(platform) as http:
        await http.exchange("GET", "/", inf, signing=sign)
        reply = await http.exchange("GET", "/", inf, signing=sign)

    assert reply.body == b"{}"
    assert platform.connections == 2
    assert len(set(platform.requests)) == 3


async def test_a_get_is_not_asked_a_third_time() -> None:
    platform = Platform(None, None, _ANSWER)
    async with calling(platform) as http:
        error = await failing(http.exchange("GET", "/", inf))

    assert (error.outcome, error.cause) == (OUTCOME_UNREACHABLE, "closed")
    assert len(platform.requests) == 2


async def test_a_post_is_never_asked_twice() -> None:
    platform = Platform(_ANSWER, None, _ANSWER)
    async with calling(platform) as http:
        await http.exchange("POST", "/", inf, body=form({}))
        error = await failing(http.exchange("POST", "/", inf, body=form({})))

    assert (error.outcome, error.cause) == (OUTCOME_UNREACHABLE, "closed")
    assert len(platform.requests) == 2


async def test_what_came_on_a_kept_connection_that_nobody_asked_is_no_answer_to_the_next_question() -> None:
    was_answered = asyncio.Event()

    class Chatty(Platform):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            while await _request(reader):
                writer.write(_ANSWER)
                if self.connections == 1:
                    await was_answered.wait()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother")
            writer.close()

    platform = Chatty()
    async with calling(platform) as http:
        await http.exchange("POST", "/", inf, body=form({}))
        was_answered.set()
        await _heard(http)
        reply = await http.exchange("POST", "/", inf, body=form({}))

    assert reply.body == b"{}"
    assert platform.connections == 2


async def test_a_platform_that_speaks_on_every_connection_before_it_is_asked_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hasty(Platform):
        async def serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            writer.write(_ANSWER)
            await writer.drain()

    platform = Hasty()
    async with calling(platform) as http:
        connector = http._session.connector
        assert connector is not None
        connect = connector.connect

        async def heard(*arguments: Any) -> Any:
            connection: Any = await connect(*arguments)
            while not connection.protocol.should_close:
                await asyncio.sleep(0)
            return connection

        monkeypatch.setattr(connector, "connect", heard)
        with pytest.raises(PlatformError) as raised:
            await http.exchange("GET", "/", inf)

    assert raised.value.outcome == OUTCOME_UNREACHABLE
    assert platform.connections == _MOST_UNASKED


async def _heard(http: HttpCaller) -> None:
    """Waits until what a platform said unasked has come in."""
    connector = http._session.connector
    assert connector is not None
    ((kept, _),) = next(iter(connector._conns.values()))
    while not kept.should_close:
        await asyncio.sleep(0)


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    platform = Platform(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _ANSWER)
    async with calling(platform) as http:
        reply = await http.exchange("GET", "/", inf)

    assert (reply.status, reply.body) == (200, b"{}")


async def test_a_platform_that_changes_the_protocol_gives_no_answer_and_its_connection_is_not_kept() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tunnel\r\nConnection: upgrade\r\n\r\n"
    platform = Platform(switched, _ANSWER)
    async with calling(platform) as http:
        reply = await http.exchange("GET", "/", inf)
        await http.exchange("GET", "/", inf)

    assert reply.body == b""
    assert platform.connections == 2


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_a_header_that_would_break_its_line_is_not_sent(value: str) -> None:
    platform = Platform(_ANSWER)
    async with calling(platform) as http:
        error = await failing(http.exchange("GET", "/", inf, headers={"Authorization": f"Bearer {value}"}))

    assert (error.outcome, error.cause) == (OUTCOME_BAD_ANSWER, "protocol")
    assert platform.requests == []


@pytest.mark.parametrize("path", ["/a b", "/a\r\nb", "/信"])
async def test_a_path_that_would_need_quoting_is_not_sent(path: str) -> None:
    platform = Platform(_ANSWER)
    async with calling(platform) as http:
        error = await failing(http.exchange("GET", path, inf))

    assert (error.outcome, error.cause) == (OUTCOME_BAD_ANSWER, "protocol")
    assert platform.requests == []


@pytest.mark.parametrize(
    ("stated", "waited_s"),
    [
        ("60", 60.0),
        ("9" * 400, 31 * 86_400.0),
        ("Mon, 01 Jan 9999 00:00:00 GMT", 31 * 86_400.0),
        ("Mon, 01 Jan 2024 00:00:00 -0000", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("²", None),
        ("soon", None),
    ],
)
async def test_whatever_a_platform_writes_as_retry_after_is_a_time_to_wait_or_says_nothing(
    stated: str, waited_s: float | None
) -> None:
    platform = Platform(f"HTTP/1.1 429 No\r\nRetry-After: {stated}\r\nContent-Length: 0\r\n\r\n".encode())
    async with calling(platform) as http:
        error = await failing(http.exchange("GET", "/", inf))

    assert (error.outcome, error.retry_after_s) == (OUTCOME_RATE_LIMITED, waited_s)


@pytest.mark.parametrize(
    ("stated", "is_known"),
    [("Mon, 01 Jan 2024 00:00:00 -0000", True), ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", False)],
)
async def test_whatever_a_platform_writes_as_its_date_its_answer_is_heard(stated: str, *, is_known: bool) -> None:
    platform = Platform(f"HTTP/1.1 200 OK\r\nDate: {stated}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    async with calling(platform) as http:
        reply = await http.exchange("GET", "/", inf)

    assert reply.body == b"{}"
    assert (http.clock_skew_s is not None) == is_known
