"""A raw HTTP/2 caller: says on the wire whatever a test wants said, and notes what comes back.

Frames and header compression are those of the h2 library (hyperframe, hpack), without its state machine, which would refuse
to send most of what must be tried. Sources: RFC 9113 (HTTP/2), and gRPC over HTTP/2, PROTOCOL-HTTP2.md of grpc/grpc.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from h2.errors import ErrorCodes
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
LARGEST: Final = 16_384
"""The largest payload of a frame that every peer takes, in bytes (RFC 9113 §4.2)."""
WIDE: Final = 2**30
"""A window that is never used up in a test."""

Fields = Iterable[tuple[str | bytes, str | bytes]]


@dataclass
class Heard:
    """What the server said on one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    reset: ErrorCodes | None = None
    is_ended: bool = False

    @property
    def status(self) -> int | None:
        """The gRPC status; None when the server did not say one."""
        status = self.fields.get("grpc-status")
        return int(status) if status is not None else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self.is_ended or self.reset is not None


def raw_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Gives the bytes of any frame, valid or not (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def message(payload: bytes, *, is_compressed: bool = False) -> bytes:
    """Gives a gRPC message as it stands in DATA: flag, length, bytes."""
    return bytes([is_compressed]) + len(payload).to_bytes(4, "big") + payload


class Caller:
    """One connection. It acknowledges settings and pings, and reads what it is sent without end, unless told otherwise."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self.heard: dict[int, Heard] = {}
        self.goaway: ErrorCodes | None = None
        self.farewell = b""
        self.is_closed = False
        self.is_greeted = False
        self.frames: list[Frame] = []
        self._reader = reader
        self._writer = writer
        self._authority = authority
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._changed = asyncio.Event()
        self._next_stream = 1
        self._window = self._first_window = 65_535  # RFC 9113 §6.9.2
        self._window_more: dict[int, int] = {}

    def stream_id(self) -> int:
        """Gives the next id a client may use."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        return stream

    def request(self, path: str, *, without: Iterable[str] = (), more: Fields = ()) -> list[tuple[str, str]]:
        """Gives the header fields of a proper call, some left out or replaced, some added."""
        fields: dict[str, str] = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": self._authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        added = [(_text(name), _text(value)) for name, value in more]
        gone = {*without, *(name for name, _ in added if name in fields)}
        own = [(name, value) for name, value in fields.items() if name not in gone]
        # Pseudo fields come first, or the request is malformed (RFC 9113 §8.3).
        return sorted([*own, *added], key=lambda pair: not pair[0].startswith(":"))

    def headers(self, stream: int, fields: Fields, *, is_last: bool = False, is_whole: bool = True) -> bytes:
        """Gives a HEADERS frame and the CONTINUATION frames it needs; not whole, the last one is never said to be the last."""
        block = self._encoder.encode(list(fields), huffman=False)  # which is quadratic in hpack
        parts = [block[at : at + LARGEST] for at in range(0, len(block), LARGEST)] or [b""]
        first = HeadersFrame(stream, parts[0], flags=["END_STREAM"] if is_last else [])
        frames: list[HeadersFrame | ContinuationFrame] = [first, *(ContinuationFrame(stream, p) for p in parts[1:])]
        if is_whole:
            frames[-1].flags.add("END_HEADERS")
        return b"".join(frame.serialize() for frame in frames)

    def data(self, stream: int, body: bytes, *, is_last: bool = True) -> bytes:
        """Gives the DATA frames of a body."""
        parts = [body[at : at + LARGEST] for at in range(0, len(body), LARGEST)] or [b""]
        frames = [DataFrame(stream, part) for part in parts]
        if is_last:
            frames[-1].flags.add("END_STREAM")
        return b"".join(frame.serialize() for frame in frames)

    def reset(self, stream: int) -> bytes:
        """Gives RST_STREAM(CANCEL)."""
        return RstStreamFrame(stream, ErrorCodes.CANCEL).serialize()

    async def send(self, *parts: bytes) -> None:
        """Writes, and waits until the server takes it or has gone."""
        if self.is_closed or self._writer.is_closing():
            return
        with suppress(ConnectionError):
            self._writer.write(b"".join(parts))
            await self._writer.drain()

    async def ask(self, path: str, body: bytes, *, more: Fields = (), without: Iterable[str] = ()) -> int:
        """Sends one whole call, as fast as the server wants it; gives its stream."""
        stream = self.stream_id()
        await self.send(self.headers(stream, self.request(path, more=more, without=without)))
        rest = memoryview(body)
        while len(rest) > (room := min(self._window, self._window_of(stream))):
            if room > 0:
                await self._send_data(stream, bytes(rest[:room]), is_last=False)
                rest = rest[room:]
            elif not self.on(stream).is_over and not self.is_closed:
                await self.until(lambda: self._can_send(stream))
            else:
                return stream  # the server has said no: the rest is not wanted
        await self._send_data(stream, bytes(rest), is_last=True)
        return stream

    async def _send_data(self, stream: int, body: bytes, *, is_last: bool) -> None:
        self._window -= len(body)
        self._window_more[stream] = self._window_more.get(stream, 0) - len(body)
        await self.send(self.data(stream, body, is_last=is_last))

    def _window_of(self, stream: int) -> int:
        return self._first_window + self._window_more.get(stream, 0)

    def _can_send(self, stream: int) -> bool:
        return min(self._window, self._window_of(stream)) > 0 or self.on(stream).is_over or self.is_closed

    async def call(self, path: str, body: bytes, *, more: Fields = (), without: Iterable[str] = ()) -> Heard:
        """Sends one whole call and gives what the server said, when it is over or the connection is."""
        stream = await self.ask(path, body, more=more, without=without)
        return await self.over(stream)

    async def over(self, stream: int, within_s: float = 10.0) -> Heard:
        """Waits for the end of a stream, or of the connection."""
        await self.until(lambda: self.on(stream).is_over or self.is_closed, within_s)
        return self.on(stream)

    async def closed(self, within_s: float = 10.0) -> ErrorCodes | None:
        """Waits until the server has closed the connection; gives the code of its GOAWAY, None without one."""
        await self.until(lambda: self.is_closed, within_s)
        return self.goaway

    async def until(self, is_true: Callable[[], bool], within_s: float = 10.0) -> None:
        """Waits until something holds; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    def on(self, stream: int) -> Heard:
        """Gives what was heard on a stream so far."""
        return self.heard.setdefault(stream, Heard())

    async def listen(self) -> None:
        """Reads until the server closes."""
        try:
            while True:
                head = await self._reader.readexactly(HEADER_BYTES)
                frame, length = Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self._note(frame)
                self._changed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_closed = True
            self._changed.set()

    def _note(self, frame: Frame) -> None:
        match frame:
            case HeadersFrame():
                heard = self.on(frame.stream_id)
                heard.fields |= {_text(name): _text(value) for name, value in self._decoder.decode(frame.data)}
                heard.is_ended |= "END_STREAM" in frame.flags
            case DataFrame():
                heard = self.on(frame.stream_id)
                heard.body += frame.data
                heard.is_ended |= "END_STREAM" in frame.flags
            case RstStreamFrame():
                self.on(frame.stream_id).reset = ErrorCodes(frame.error_code)
            case GoAwayFrame():
                self.goaway, self.farewell = ErrorCodes(frame.error_code), bytes(frame.additional_data)
            case WindowUpdateFrame():
                if frame.stream_id:
                    more = self._window_more.get(frame.stream_id, 0)
                    self._window_more[frame.stream_id] = more + frame.window_increment
                else:
                    self._window += frame.window_increment
            case SettingsFrame() if "ACK" not in frame.flags:
                self.is_greeted = True
                self._first_window = frame.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, self._first_window)
                self._writer.write(SettingsFrame(flags=["ACK"]).serialize())
            case PingFrame() if "ACK" not in frame.flags:
                self._writer.write(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]).serialize())
            case _:
                self.frames.append(frame)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


@asynccontextmanager
async def caller(
    port: int, *, preface: bytes = PREFACE, settings: Mapping[int, int] | None = None, window: int = WIDE
) -> AsyncIterator[Caller]:
    """Connects to loopback and says hello; `window` is how much the caller is ready to be sent on each stream, in bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = Caller(reader, writer, f"127.0.0.1:{port}")
    listening = asyncio.create_task(connection.listen())
    try:
        hello = SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: window, **(settings or {})})
        await connection.send(preface, hello.serialize(), WindowUpdateFrame(0, window_increment=WIDE).serialize())
        if preface == PREFACE:
            # The server holds a caller to its limits once they are acknowledged (RFC 9113 §6.5.3).
            await connection.until(lambda: connection.is_greeted)
            await connection.send(PingFrame(opaque_data=b"greeted!").serialize())
            await connection.until(lambda: any(isinstance(frame, PingFrame) for frame in connection.frames))
        yield connection
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        writer.transport.abort()  # what a flood has left unsent would keep the connection open
