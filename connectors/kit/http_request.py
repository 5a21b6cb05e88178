"""What is written to a platform's host: the head and the body of one HTTP/1.1 request, as one piece.

aiohttp makes the lines that all requests to a host share, once; what differs is put between them here. For each request
anew its own building costs more than sending and reading together.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

_BREAKS_A_LINE: Final = re.compile(r"[\r\n\0]")

Signing = Callable[[str, str, Mapping[str, str]], Mapping[str, str]]
"""Gives the headers that sign a request of a method to a path with query parameters; asked for every attempt on the wire."""


class Body:
    """What a request carries; it may be sent any number of times, so the end of a request with it is written once."""

    __slots__ = ("content", "framed")

    def __init__(self, content: bytes, content_type: str = "application/octet-stream") -> None:
        self.content = content
        self.framed = f"Content-Length: {len(content)}\r\nContent-Type: {content_type}\r\n\r\n".encode() + content
        """The last lines of the head, then the content."""


def form(parameters: Mapping[str, str]) -> Body:
    """Gives a form's body."""
    return Body(urlencode(parameters).encode(), "application/x-www-form-urlencoded")


class Destination(aiohttp.ClientRequest):
    """What a connection is asked for with; aiohttp makes the key anew whenever it is read, and it never changes."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """Which connections lead there."""
        return super().connection_key


class RequestWriter:
    """Writes requests to one host; made within the loop that is to send them."""

    def __init__(self, session: aiohttp.ClientSession, base: URL, tls: ssl.SSLContext | bool) -> None:
        self.destination = Destination(
            hdrs.METH_GET, base, headers=session.headers, loop=asyncio.get_running_loop(), session=session, ssl=tls
        )
        self._base_path = base.raw_path.rstrip("/")
        self._shared = _lines(self.destination.headers)

    def target(self, path: str, params: Mapping[str, str] | None) -> str:
        """Gives the request's target; raises ValueError for one that would need quoting.

        Paths come from the manifest and checked codes, so nothing in them does.
        """
        target = self._base_path + path
        if params:
            target = f"{target}?{_query(tuple(params.items()))}"
        if not target or not target.isascii() or not target.isprintable() or " " in target:
            raise ValueError("the path holds what a request line may not")
        return target

    def request(self, method: str, target: str, headers: Mapping[str, str], body: Body | None) -> bytes:
        """Gives the whole request; raises ValueError for a header that would break its line."""
        shared = self._shared
        if headers:
            merged = self.destination.headers.copy()
            merged.update(headers)
            shared = _lines(merged)
        head = f"{method} {target} HTTP/1.1\r\n{shared}"
        if body is None:
            return (head + "\r\n").encode()
        if headers and hdrs.CONTENT_TYPE in headers:
            return f"{head}Content-Length: {len(body.content)}\r\n\r\n".encode() + body.content
        return head.encode() + body.framed


def _lines(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if _BREAKS_A_LINE.search(name) or _BREAKS_A_LINE.search(value):
            raise ValueError("a header holds what would break its line")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


@lru_cache(maxsize=1_000)
def _query(parameters: tuple[tuple[str, str], ...]) -> str:
    """Gives parameters as a query string; they are categories and page numbers, hence few."""
    return URL.build(path="/", query=parameters).raw_query_string
