"""Faults of a simulated platform, switched on and off while it runs, so that demo, tests and benchmarks share them.

A fault is set over the control port as JSON: `{"kind": "status", "code": 503, "times": 2}`; `times` absent means until it
is cleared. Faults of the wire act here for every dialect; `error_envelope`, `token_expired`, `wrong_signature`,
`charset`, `other_subject` and `maintenance` are the dialect's own and are asked for by it.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KINDS: Final = {
    "latency": "median_ms, sigma: waits a log-normal time before answering",
    "refuse": "stops listening",
    "reset": "resets the connection before any header",
    "close": "closes the connection without a byte",
    "reset_body": "resets the connection in the middle of the body",
    "stall": "takes the request and never answers",
    "stall_body": "sends headers and half a body, then nothing",
    "drip": "gap_ms: sends the body byte by byte",
    "truncate": "sends a Content-Length longer than the body, then closes",
    "short_length": "sends a Content-Length shorter than the body",
    "two_lengths": "sends two different Content-Length headers",
    "garbage": "answers with bytes that are no HTTP",
    "bad_chunk": "sends a chunked body with a broken chunk size",
    "long_header": "sends a header of 64 KiB",
    "status": "code, retry_after: answers with that HTTP status",
    "redirect": "location: answers 302",
    "html": "answers 200 with a login page",
    "empty": "answers 200 without a body",
    "gzip_bomb": "mib: answers with a small gzip body that grows to that many MiB",
    "huge": "mib: answers with a body of that many MiB",
    "not_json": "answers 200 with a broken document of the right content type",
    "deep": "answers with a document nested 10,000 deep",
    "error_envelope": "answers 200 with the dialect's own failure code",
    "token_expired": "the dialect calls the token expired",
    "wrong_signature": "signs its own answer wrongly, where the dialect signs answers",
    "charset": "sends the body in another charset than declared",
    "other_subject": "answers about another enterprise",
    "maintenance": "says it is under maintenance",
}


@dataclass(slots=True)
class Faults:
    """The faults that are on, by kind, and how many calls the platform has seen."""

    active: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: int = 0
    random: Random = field(default_factory=lambda: Random(1))

    def set(self, kind: str, *, times: int | None = None, **settings: Any) -> None:
        """Switches a fault on, for so many calls or until it is cleared; raises ValueError for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; known are {', '.join(KINDS)}")
        self.active[kind] = {**settings, "times": times}

    def clear(self) -> None:
        """Switches all faults off."""
        self.active.clear()

    def take(self, kind: str) -> Mapping[str, Any] | None:
        """Gives the settings of a fault that is on and counts it down, None when it is off."""
        settings = self.active.get(kind)
        if settings is None:
            return None
        if settings["times"] is not None:
            settings["times"] -= 1
            if settings["times"] <= 0:
                del self.active[kind]
        return settings

    def middleware(self) -> Middleware:
        """Gives the aiohttp middleware that acts out the faults of the wire."""

        @web.middleware
        async def act(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.calls += 1
            latency = self.active.get("latency")
            if latency is not None:
                median_s = latency["median_ms"] / 1000
                spread = self.random.lognormvariate(0, latency.get("sigma", 0.0))
                await asyncio.sleep(median_s * spread)
            try:
                for kind, acted in _ACTS.items():
                    settings = self.take(kind)
                    if settings is not None:
                        return await acted(request, handler, settings)
                return await handler(request)
            except ConnectionError as error:  # whoever asked has hung up, as callers of a slow platform do
                raise asyncio.CancelledError from error

        return act


async def _raw(request: web.Request, content: bytes, *, abort: bool = False, hang: bool = False) -> web.Response:
    """Writes raw bytes past aiohttp's own writer, then closes, resets or leaves the connection hanging."""
    transport = request.transport
    if transport is None:
        return web.Response()
    transport.write(content)
    if hang:
        await _until_gone(request)
    await asyncio.sleep(0.01)  # what was written goes out before the end
    if abort:
        transport.abort()
    else:
        transport.close()
    raise asyncio.CancelledError  # nothing more is to be written on this connection


async def _until_gone(request: web.Request) -> None:
    """Waits until the caller has given up: a sandbox leaves no handler behind."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  # no event tells it
        await asyncio.sleep(0.02)


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BODY: Final = b'{"code":0,"data":{"creditCode":"'

Settings = Mapping[str, Any]


async def _reset(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, b"", abort=True)


async def _close(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, b"")


async def _reset_body(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 5000\r\n\r\n" + _BODY, abort=True)


async def _stall(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    await _until_gone(r)
    return web.Response()


async def _stall_body(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 5000\r\n\r\n" + _BODY, hang=True)


async def _drip(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(r)
    for _ in range(100_000):
        await response.write(b" ")
        await asyncio.sleep(s.get("gap_ms", 50) / 1000)
    return response


async def _truncate(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 5000\r\n\r\n" + _BODY)


async def _short_length(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 10\r\n\r\n" + _BODY)


async def _two_lengths(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 10\r\nContent-Length: 12\r\n\r\n" + _BODY)


async def _garbage(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, b"\x16\x03\x01 this is no answer\r\n\r\n")


async def _bad_chunk(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")


async def _long_header(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"X-Long: " + b"a" * 65_536 + b"\r\nContent-Length: 2\r\n\r\n{}")


async def _status(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    headers = {"Retry-After": str(s["retry_after"])} if "retry_after" in s else {}
    return web.Response(status=s["code"], text="failure", headers=headers)


async def _redirect(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": s.get("location", "http://127.0.0.1:1/")})


async def _html(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return web.Response(text="<html><body><form>请登录</form></body></html>", content_type="text/html")


async def _empty(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    return await _raw(r, _HEAD + b"Content-Length: 0\r\n\r\n")


async def _gzip_bomb(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    bomb = gzip.compress(b"\x00" * (s.get("mib", 64) * 1024 * 1024))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=bomb, headers=headers)


async def _huge(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(r)
    block = b" " * 1024 * 1024
    for _ in range(s.get("mib", 16)):
        await response.write(block)
    return response


async def _not_json(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    kind = "text/xml" if r.headers.get("SOAPAction") is not None else "application/json"
    return web.Response(body=b'{"code": 0, "data": <<<', content_type=kind)


async def _deep(r: web.Request, h: Handler, s: Settings) -> web.StreamResponse:
    if r.headers.get("SOAPAction") is not None:
        body = b"<a>" * 10_000 + b"</a>" * 10_000
        return web.Response(body=body, content_type="text/xml")
    return web.Response(body=b"[" * 10_000 + b"]" * 10_000, content_type="application/json")


_ACTS: Final[Mapping[str, Callable[[web.Request, Handler, Settings], Awaitable[web.StreamResponse]]]] = {
    "reset": _reset, "close": _close, "reset_body": _reset_body, "stall": _stall, "stall_body": _stall_body,
    "drip": _drip, "truncate": _truncate, "short_length": _short_length, "two_lengths": _two_lengths,
    "garbage": _garbage, "bad_chunk": _bad_chunk, "long_header": _long_header, "status": _status,
    "redirect": _redirect, "html": _html, "empty": _empty, "gzip_bomb": _gzip_bomb, "huge": _huge,
    "not_json": _not_json, "deep": _deep,
}  # fmt: skip
