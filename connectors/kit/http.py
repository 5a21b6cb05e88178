"""One HTTP exchange: bounded in time, size and destination, every failure named by one table.

Nothing is followed, nothing is resent here, nothing half-read is handed on. The table at the end translates aiohttp's
errors into outcomes once, at this edge.
"""

from __future__ import annotations

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs, http_exceptions
from yarl import URL

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOME_TOO_LARGE,
    OUTCOME_UNREACHABLE,
    Outcome,
)
from gateway.domain.errors import PlatformError
from gateway.domain.statement import sm3
from gateway.ports import Clock

_CHUNK: Final = 64 * 1024
_OLDEST_S: Final = 2**31
"""The age at which a cache stops counting (RFC 9111 §1.2.2)."""
_AGE_DIGITS: Final = 11


def form(parameters: Mapping[str, str]) -> aiohttp.Payload:
    """Gives a form's body with its own header; it may be sent any number of times.

    aiohttp's own form building costs more than the rest of a request.
    """
    return aiohttp.BytesPayload(urlencode(parameters).encode(), content_type="application/x-www-form-urlencoded")


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
        self._base_path = self._base.raw_path.rstrip("/")
        self._max_body_bytes = max_body_bytes
        self._content_types = tuple(content_types)
        # No limit on the whole: whoever asks cancels at the query's one point in time, by one timer for all platforms.
        # A connect has a limit of its own, so that a black hole leaves time for another attempt.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_limit_s)
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self.clock_skew_s: float | None = None
        """How far the platform's clock is ahead of ours, from its Date header; None until an answer had one."""

    def url(self, path: str) -> URL:
        """Gives the address of a path on the platform's host; no other host is ever addressed.

        Paths come from the manifest and checked codes, so nothing in them needs quoting.
        """
        return self._base.with_path(self._base_path + path, encoded=True)

    async def exchange(
        self,
        method: str,
        path: str,
        fetch_by: float,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | aiohttp.Payload | Mapping[str, str] | None = None,
        middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
    ) -> Reply:
        """Gives the reply; raises PlatformError, of which 429 carries Retry-After and 5xx the status as reason.

        No exchange is begun once `fetch_by` is past; the caller cancels one that is under way then.

        A 4xx other than 401, 403 and 429 is given back: whether it is an answer is for the dialect to say.
        """
        left = fetch_by - self._clock.monotonic()
        if left <= 0:
            raise PlatformError(OUTCOME_TIMEOUT, "deadline", detail="no time left for an attempt")
        if data.__class__ is dict:
            data = form(data)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._session.request(
                method,
                self.url(path),
                params=params,
                headers=headers,
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
                middlewares=middlewares,
                ssl=self._tls,
            )
            if self.clock_skew_s is None:
                self._measure_skew(response.headers)
            body = await self._body(response)
        except asyncio.CancelledError as error:
            # Whoever cancelled at the query's point in time has no other way to learn how far the platform had come.
            error.args = (progress(response),)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise translated(error, is_answering=response is not None) from error
        except http_exceptions.HttpProcessingError as error:
            raise PlatformError(OUTCOME_BAD_ANSWER, "protocol", detail=type(error).__name__) from error
        finally:
            # A body that was read gave its connection back already; what is half read must not be another's beginning.
            if response is not None and not response.closed:
                response.close()
        reply = Reply(response.status, response.headers, body)
        self._check(reply)
        return reply

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and hdrs.CONTENT_ENCODING not in response.headers:
            if length > self._max_body_bytes:
                raise _too_large(length, self._max_body_bytes)
            return await response.read()
        read, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._max_body_bytes:
                raise _too_large(size, self._max_body_bytes)
            read.append(chunk)
        return b"".join(read)

    def _check(self, reply: Reply) -> None:
        status = reply.status
        if status < 300:
            if self._content_types and reply.body:
                stated = reply.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
                if stated not in self._content_types:
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
        if stated is None:
            return
        try:
            theirs = email.utils.parsedate_to_datetime(stated)
        except ValueError:
            return  # an unreadable Date header says nothing; the skew stays unknown
        self.clock_skew_s = (theirs - self._clock.now()).total_seconds()


def progress(response: aiohttp.ClientResponse | None) -> str:
    """Says how much of an answer had come; None stands for a response whose headers had not."""
    if response is None:
        return "no headers had come"
    return f"{response.content.total_bytes} bytes of the body had come"


def _too_large(size: int, limit: int) -> PlatformError:
    return PlatformError(OUTCOME_TOO_LARGE, "body", detail=f"{size} bytes, at most {limit}")


def retry_after_s(stated: str | None) -> float | None:
    """Gives the seconds a Retry-After header asks for (RFC 9110 §10.2.3: seconds or an HTTP date), None if unreadable."""
    if stated is None:
        return None
    if stated.strip().isdigit():
        return float(stated)
    try:
        moment = email.utils.parsedate_to_datetime(stated)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


# Checked in this order: subclasses before their bases.
_TABLE: Final[Sequence[tuple[type[BaseException], Outcome.ValueType, str]]] = (
    (aiohttp.ClientConnectorDNSError, OUTCOME_UNREACHABLE, "dns"),
    (aiohttp.ServerFingerprintMismatch, OUTCOME_AUTH_FAILED, "tls_pin"),
    (aiohttp.ClientConnectorCertificateError, OUTCOME_AUTH_FAILED, "tls_certificate"),
    (aiohttp.ClientConnectorSSLError, OUTCOME_AUTH_FAILED, "tls"),
    (ssl.SSLError, OUTCOME_AUTH_FAILED, "tls"),
    (aiohttp.ClientConnectorError, OUTCOME_UNREACHABLE, "connect"),
    (aiohttp.ConnectionTimeoutError, OUTCOME_TIMEOUT, "connect"),
    (aiohttp.SocketTimeoutError, OUTCOME_TIMEOUT, "read"),
    (TimeoutError, OUTCOME_TIMEOUT, "deadline"),
    (aiohttp.ServerDisconnectedError, OUTCOME_UNREACHABLE, "closed"),
    (aiohttp.ClientOSError, OUTCOME_UNREACHABLE, "reset"),
    (aiohttp.InvalidURL, OUTCOME_UNREACHABLE, "egress"),
    (aiohttp.ClientResponseError, OUTCOME_BAD_ANSWER, "protocol"),
    (aiohttp.ClientError, OUTCOME_UNREACHABLE, "client"),
    (OSError, OUTCOME_UNREACHABLE, "os"),
    (ValueError, OUTCOME_BAD_ANSWER, "protocol"),
)


# aiohttp has no class of its own for the second, and its own exception for the first is translated away.
_BEYOND_LIMITS: Final = ("Got more than", "too long", "Too many headers")
_ITS_OWN_FAULT: Final = ("INTERNAL_ERROR", "USER_CANCELLED")
_WANTS_OURS: Final = "it wants a client certificate, and the gateway presents none"


def _tls_refusal(error: BaseException) -> str | None:
    """Says what a platform's TLS alert asks for, None where there is none.

    Under TLS 1.3 the alert about a client certificate comes after the handshake, in place of the answer (RFC 8446 §4.4.2.4);
    up to TLS 1.2 it is the same alert as for want of a common cipher (RFC 5246 §7.2.2).
    """
    alert: Any = error.__cause__ or error  # aiohttp's own TLS errors are SSLErrors too, without a reason
    reason = (getattr(alert, "reason", None) or "") if isinstance(alert, ssl.SSLError) else ""
    if "_ALERT_" not in reason or reason.endswith(_ITS_OWN_FAULT):
        return None
    if reason.endswith("CERTIFICATE_REQUIRED"):
        return _WANTS_OURS
    if reason.endswith("HANDSHAKE_FAILURE"):
        return f"no cipher or version in common, or {_WANTS_OURS}"
    return reason.lower()


def translated(error: BaseException, *, is_answering: bool) -> PlatformError:
    """Gives the outcome of an aiohttp failure; `is_answering` says whether headers had come already."""
    detail = type(error).__name__
    refusal = _tls_refusal(error)
    if refusal is not None and not is_answering:
        return PlatformError(OUTCOME_AUTH_FAILED, "tls", detail=refusal)
    if isinstance(error, aiohttp.ClientPayloadError) or (
        is_answering and isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError))
    ):
        cause: Any = error.__cause__
        if isinstance(cause, http_exceptions.TransferEncodingError) or "decompress" in str(error):
            return PlatformError(OUTCOME_BAD_ANSWER, "protocol", detail=detail)
        return PlatformError(OUTCOME_BAD_ANSWER, "truncated", detail=detail)
    if isinstance(error, aiohttp.ClientResponseError) and any(told in error.message for told in _BEYOND_LIMITS):
        return PlatformError(OUTCOME_TOO_LARGE, "headers", detail=detail)
    for kind, outcome, reason in _TABLE:
        if isinstance(error, kind):
            return PlatformError(outcome, reason, detail=detail)
    raise AssertionError(f"no outcome for {detail}") from error
