"""A fault proxy of raw asyncio between a connector and its sandbox: it can do to an answer whatever a network can.

What it does is a script, a coroutine that is given each exchange:

    async def closes(exchange: Exchange) -> None:
        exchange.close()

    async with FaultProxy(sandbox.url, closes) as proxy: ... ask at proxy.url ...

A script that writes nothing and returns has answered nothing; the connection stays open for the next request.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from yarl import URL

_BLOCK: Final = 64 * 1024
_LINGER_NONE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for zero seconds: closing sends RST in place of FIN (socket(7))."""


@dataclass(frozen=True, slots=True)
class Original:
    """What the sandbox answered: the status line's number, its headers as they came, the whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def content_type(self) -> str:
        """The stated content type."""
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")

    def with_body(self, body: bytes) -> Original:
        """Gives the same answer with another body."""
        return replace(self, body=body)

    def wire(self, *extra: tuple[str, str]) -> bytes:
        """Gives the answer as it stands on the wire, with headers added and a true Content-Length."""
        kept = [(n, v) for n, v in self.headers if n.lower() not in ("content-length", "connection")]
        return head(self.status, *kept, ("Content-Length", str(len(self.body))), *extra) + self.body


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Gives a status line with headers and the empty line that ends them."""
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Exchange:
    """One request at the proxy, and what may be done in its place."""

    def __init__(
        self,
        proxy: FaultProxy,
        request_head: bytes,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number_on_connection: int,
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self.head = request_head
        self.body = body
        self.method, self.target, _ = request_head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self.number_on_connection = number_on_connection
        """1 for the first request of its connection: later ones came over a pooled one."""

    async def original(self) -> Original:
        """Asks the sandbox, with the request as it came, and gives the answer."""
        url = self._proxy.target
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            writer.write(b"\r\n".join([*lines[:-2], b"Connection: close", b"", b""]) + self.body)
            answer = await reader.read(-1)
        finally:
            writer.close()
            await writer.wait_closed()
        stated, _, body = answer.partition(b"\r\n\r\n")
        first, *rest = stated.decode("latin-1").split("\r\n")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in rest))
        return Original(int(first.split(" ")[1]), headers, body)

    async def forward(self, *extra: tuple[str, str]) -> None:
        """Answers as the sandbox does, with headers added."""
        self.write((await self.original()).wire(*extra))

    def write(self, content: bytes) -> None:
        """Writes raw bytes."""
        if not self._writer.is_closing():
            self._writer.write(content)

    async def flush(self) -> None:
        """Waits until what was written has left."""
        await self._writer.drain()

    def close(self) -> None:
        """Closes the connection after what was written."""
        self._writer.close()

    def reset(self) -> None:
        """Resets the connection: what the peer has not read is lost."""
        reset(self._writer)

    async def hang(self) -> None:
        """Waits until the peer has given up and closed."""
        while await self._reader.read(_BLOCK):
            pass
        self._writer.close()

    @property
    def is_given_up(self) -> bool:
        """Whether the peer has closed its side."""
        return self._reader.at_eof() or self._writer.is_closing()


Script = Callable[[Exchange], Awaitable[None]]


async def forward(exchange: Exchange) -> None:
    """Changes nothing."""
    await exchange.forward()


def answering(status: int, *headers: tuple[str, str], body: bytes = b"") -> Script:
    """Gives a script that answers in the sandbox's place."""

    async def answers(exchange: Exchange) -> None:
        exchange.write(head(status, *headers, ("Content-Length", str(len(body)))) + body)

    return answers


def in_place(make: Callable[[Original], tuple[bytes, tuple[tuple[str, str], ...]]]) -> Script:
    """Gives a script that answers 200 with another body and further headers, under the sandbox's content type."""

    async def play(exchange: Exchange) -> None:
        original = await exchange.original()
        body, headers = make(original)
        kept = ("Content-Type", original.content_type)
        exchange.write(head(200, kept, *headers, ("Content-Length", str(len(body)))) + body)

    return play


def once(script: Script, path: str) -> Script:
    """Gives a script that plays another for the first request with `path` in it only."""
    is_over = False

    async def play(exchange: Exchange) -> None:
        nonlocal is_over
        if is_over or path not in exchange.target:
            await exchange.forward()
            return
        is_over = True
        await script(exchange)

    return play


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST."""
    raw = writer.get_extra_info("socket")
    if raw.fileno() >= 0:  # else the peer was first
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    writer.transport.abort()


class FaultProxy:
    """Listens before one sandbox, plays the script, and counts; an async context manager that leaves nothing behind."""

    def __init__(
        self, target: str, script: Script = forward, *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1"
    ) -> None:
        """Takes the sandbox's address; `name` is the host by which the proxy's own address names it."""
        self.target = URL(target)
        self.script = script
        self.requests: list[str] = []
        """The paths asked for, in order."""
        self.connections = 0
        self._tls = tls
        self._name = name
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://{self._name}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def asked(self, part: str) -> int:
        """Gives how many requests had `part` in their path."""
        return sum(part in target for target in self.requests)

    async def __aenter__(self) -> FaultProxy:
        """Begins to listen on a free port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def refuse(self) -> None:
        """Stops listening and resets what is open: from now on connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            reset(writer)
        if self._handlers:  # each ends by itself: its connection is gone
            await asyncio.wait(self._handlers)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None  # the server runs each connection as a task
        self.connections += 1
        self._open.add(writer)
        self._handlers.add(handler)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the peer went away, as peers do
        finally:
            writer.close()
            self._open.discard(writer)
            self._handlers.discard(handler)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while not writer.is_closing() and not reader.at_eof():
            request_head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(request_head.split(b"\r\n")))
            number += 1
            exchange = Exchange(self, request_head, body, reader, writer, number)
            self.requests.append(exchange.target)
            await self.script(exchange)
            await writer.drain()


def _length(lines: Sequence[bytes]) -> int:
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
