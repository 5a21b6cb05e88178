"""One HTTP exchange: bounded in time, size and destination, every failure named.

It goes over aiohttp's pool, connections and parser, and writes the request itself (`http_request.py`): what a session does
besides, with cookies, redirects, proxies and a task that writes the body, nobody here wants, and it cost more than the rest.
Nothing is followed, nothing half-read is handed on. aiohttp's errors become outcomes here only, by `http_failures.py`.
"""

from __future__ import annotations

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
from aiohttp import hdrs, http_exceptions
from yarl import URL

from connectors.kit.http_failures import translated
from connectors.kit.http_request import Body, RequestWriter, Signing
from connectors.kit.http_traced import TracedExchange
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
)
from gateway.domain.errors import PlatformError
from gateway.domain.statement import sm3
from gateway.ports import Clock

_CHUNK: Final = 64 * 1024
_OLDEST_S: Final = 2**31
"""The age at which a cache stops counting (RFC 9111 §1.2.2)."""
_AGE_DIGITS: Final = 11
_MOST_UNASKED: Final = 50
"""So many connections that spoke unasked are dropped for one exchange: kept ones, of which there may be many."""
_LONGEST_RETRY_S: Final = 31 * 86_400.0
_NO_HEADERS: Final[Mapping[str, str]] = {}
_NO_TRACES: Final[list[Any]] = []
_SWITCHES: Final = 101


class Reply:
    """What came back: status, headers and the whole body."""

    __slots__ = ("_digest", "body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._digest: bytes | None = None

    def fetched_at(self, now: datetime) -> datetime:
        """Gives when the platform said this: `now`, or as long before it as the Age of a cache in between tells.

        RFC 9111 §5.1: whole seconds since the answer was made or confirmed; what is no such number says nothing.
        """
        stated = self.headers.get(hdrs.AGE)
        if stated is None or not (stated.isascii() and stated.isdigit()):
            return now
        return now - timedelta(seconds=min(int(stated[:_AGE_DIGITS]), _OLDEST_S))

    @property
    def digest(self) -> bytes:
        """The SM3 digest of the raw body, computed once."""
        if self._digest is None:
            self._digest = sm3(self.body)
        return self._digest


class HttpCaller:
    """Makes exchanges with one platform's host; the session is the gateway's and is closed by it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        base_url: str,
        *,
        max_body_bytes: int,
        content_types: Sequence[str] = (),
        connect_limit_s: float = 3.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._session = session
        self._clock = clock
        self._base = URL(base_url.rstrip("/"))
        self._max_body_bytes = max_body_bytes
        self._content_types = tuple(content_types)
        # No limit on the whole: whoever asks cancels at the query's one point in time, by one timer for all platforms.
        # A connect has a limit of its own, so that a black hole leaves time for another attempt.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_limit_s)
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._trace_configs = session.trace_configs
        self._writer: RequestWriter | None = None
        self.clock_skew_s: float | None = None
        """How far the platform's clock is ahead of ours, from its Date header; None until an answer had one."""

    async def exchange(
        self,
        method: str,
        path: str,
        fetch_by: float,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Body | None = None,
        signing: Signing | None = None,
    ) -> Reply:
        """Gives the reply; raises PlatformError, of which 429 carries Retry-After and 5xx the status as reason.

        No exchange is begun once `fetch_by` is past; the caller cancels one that is under way then. A GET to which a kept
        connection's end is the answer is asked once more, signed anew: the platform may have closed it just before.

        A 4xx other than 401, 403 and 429 is given back: whether it is an answer is for the dialect to say.
        """
        if fetch_by <= self._clock.monotonic():
            raise PlatformError(OUTCOME_TIMEOUT, "deadline", detail="no time left for an attempt")
        writer = self._writer
        if writer is None:
            writer = self._writer = RequestWriter(self._session, self._base, self._tls)
        traces: Sequence[TracedExchange] = ()
        for config in self._trace_configs:  # none, but in a call that is recorded
            traces = (*traces, TracedExchange(self._session, config))
        connection: aiohttp.connector.Connection | None = None
        content: aiohttp.StreamReader | None = None
        may_repeat = method == hdrs.METH_GET
        unasked = 0
        connector = self._session.connector
        assert connector is not None  # only a session that was closed has none
        try:
            target = writer.target(path, params)
            if traces:
                headers = dict(headers)
                for trace in traces:
                    await trace.began(method, self._base, headers)
            while content is None:
                signed = {**headers, **signing(method, path, params or _NO_HEADERS)} if signing is not None else headers
                request = writer.request(method, target, signed, body)
                try:
                    held = connection = await connector.connect(writer.destination, _NO_TRACES, self._timeout)
                except TimeoutError as error:
                    raise aiohttp.ConnectionTimeoutError(str(self._base)) from error
                try:
                    protocol = connection.protocol
                    if protocol is None or (transport := protocol.transport) is None:
                        raise aiohttp.ClientConnectionResetError("the connection was closed as soon as it was opened")
                    if protocol.should_close:  # it spoke while nobody asked: that is no answer to this request
                        connection.close()
                        unasked += 1
                        if unasked < _MOST_UNASKED:
                            continue
                        raise aiohttp.ClientConnectionResetError("it speaks on every connection before it is asked")
                    protocol.set_response_params(read_until_eof=True)
                    transport.write(request)
                    message, content = await protocol.read()
                    while message.code < 200 and message.code != _SWITCHES:
                        message, content = await protocol.read()
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    if not may_repeat:
                        raise
                    may_repeat = False
                    connection.close()
            for trace in traces:
                await trace.ended(message)
            if self.clock_skew_s is None:
                self._measure_skew(message.headers)
            if self._tells_size(message.headers):
                whole = content.read_nowait(-1) if content.is_eof() else await content.read()
            else:
                whole = await self._body(content)
            held.release()
            connection = None
        except asyncio.CancelledError as error:
            # Whoever cancelled at the query's point in time has no other way to learn how far the platform had come.
            error.args = (progress(content),)
            await _tell(traces, error, content)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, http_exceptions.HttpProcessingError) as error:
            await _tell(traces, error, content)
            raise translated(error, is_answering=content is not None) from error
        finally:
            # A body that was read gave its connection back already; what is half read must not be another's beginning.
            if connection is not None:
                connection.close()
        reply = Reply(message.code, message.headers, whole)
        self._check(reply)
        return reply

    def _tells_size(self, headers: Mapping[str, str]) -> bool:
        """Whether the size of the body is known before it is read; raises PlatformError where that is too much."""
        stated = headers.get(hdrs.CONTENT_LENGTH)
        if stated is None or hdrs.CONTENT_ENCODING in headers:
            return False
        length = int(stated)
        if length > self._max_body_bytes:
            raise _too_large(length, self._max_body_bytes)
        return True

    async def _body(self, content: aiohttp.StreamReader) -> bytes:
        read, size = [], 0
        async for chunk in content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._max_body_bytes:
                raise _too_large(size, self._max_body_bytes)
            read.append(chunk)
        return b"".join(read)

    def _check(self, reply: Reply) -> None:
        status = reply.status
        if status < 300:
            if self._content_types and reply.body:
                stated = reply.headers.get(hdrs.CONTENT_TYPE, "")
                if (
                    stated not in self._content_types
                    and (stated := stated.partition(";")[0].strip().lower()) not in self._content_types
                ):
                    raise PlatformError(
                        OUTCOME_BAD_ANSWER,
                        "content_type",
                        detail=f"{stated or 'none'} instead of {self._content_types[0]}",
                        raw_digest=reply.digest,
                    )
            return
        if status < 400:
            raise PlatformError(OUTCOME_BAD_ANSWER, "redirect", detail=f"HTTP {status}")
        if status == 429:
            raise PlatformError(
                OUTCOME_RATE_LIMITED,
                "http_429",
                retry_after_s=retry_after_s(reply.headers.get(hdrs.RETRY_AFTER)),
            )
        if status >= 500:
            raise PlatformError(
                OUTCOME_UNREACHABLE,
                f"http_{status}",
                retry_after_s=retry_after_s(reply.headers.get(hdrs.RETRY_AFTER)),
                raw_digest=reply.digest,
            )

    def _measure_skew(self, headers: Mapping[str, str]) -> None:
        stated = headers.get(hdrs.DATE)
        theirs = _moment(stated) if stated is not None else None
        if theirs is not None:  # an unreadable Date header says nothing; the skew stays unknown
            self.clock_skew_s = (theirs - self._clock.now()).total_seconds()


async def _tell(traces: Sequence[TracedExchange], error: BaseException, content: aiohttp.StreamReader | None) -> None:
    """Tells of a failure while no head had come: with the head, an exchange has ended for its traces."""
    if content is None:
        for trace in traces:
            await trace.failed(error)


def progress(content: aiohttp.StreamReader | None) -> str:
    """Says how much of an answer had come; None stands for one whose headers had not."""
    if content is None:
        return "no headers had come"
    return f"{content.total_bytes} bytes of the body had come"


def _too_large(size: int, limit: int) -> PlatformError:
    return PlatformError(OUTCOME_TOO_LARGE, "body", detail=f"{size} bytes, at most {limit}")


def retry_after_s(stated: str | None) -> float | None:
    """Gives the seconds a Retry-After header asks for (RFC 9110 §10.2.3: seconds or an HTTP date), None if unreadable.

    At most `_LONGEST_RETRY_S`: it is told to banks, and no message holds whatever number a platform may write.
    """
    if stated is None:
        return None
    written = stated.strip()
    if written.isascii() and written.isdigit():
        return min(float(written), _LONGEST_RETRY_S)
    moment = _moment(stated)
    return None if moment is None else min(max(0.0, moment.timestamp() - time.time()), _LONGEST_RETRY_S)


def _moment(stated: str) -> datetime | None:
    """Gives the moment of an HTTP date, None for a text that is none."""
    try:
        moment = email.utils.parsedate_to_datetime(stated)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
