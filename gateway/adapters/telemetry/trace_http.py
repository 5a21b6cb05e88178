"""Requests of an aiohttp session as spans under the trace under way, and the header for platforms that may be told.

A span ends with the head of the response: the body is read within platform.fetch. It holds method, host and status; never
the path or the query string, which may hold the code of the enterprise.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

import aiohttp
from opentelemetry.trace import Span, SpanKind, Tracer

from gateway.adapters.telemetry.trace_context import PLACE, headers_of
from gateway.adapters.telemetry.trace_span import child_span, end_span


def request_traces(tracer: Tracer) -> list[aiohttp.TraceConfig]:
    """Gives the trace configs of a session whose requests are recorded with the tracer."""

    async def began(
        session: aiohttp.ClientSession, request: SimpleNamespace, params: aiohttp.TraceRequestStartParams
    ) -> None:
        request.span = None
        place = PLACE.get()
        if place is None:
            return
        if place.span is not None:
            attributes = {"http.request.method": params.method, "server.address": params.url.host or ""}
            request.span = child_span(tracer, place.span, params.method, attributes, SpanKind.CLIENT)
        if place.is_told:
            params.headers.update(headers_of(place, request.span))

    config = aiohttp.TraceConfig()
    config.on_request_start.append(began)
    config.on_request_end.append(_ended)
    config.on_request_exception.append(_failed)
    config.freeze()  # the session would not see it to do so
    return _OnlyWhenTraced([config])


_NOBODY: Final[tuple[aiohttp.TraceConfig, ...]] = ()


class _OnlyWhenTraced(list[aiohttp.TraceConfig]):
    """A list that is empty to whoever walks it outside of a trace that is recorded or told of.

    aiohttp walks its trace configs for each request and pays for each it finds, several times what all the rest of
    tracing costs a call that is not recorded. Should it ever copy them instead, requests go unrecorded: a test sees it.
    """

    def __iter__(self) -> Iterator[aiohttp.TraceConfig]:
        place = PLACE.get()
        if place is None or (place.span is None and not place.is_told):
            return _NOBODY.__iter__()
        return super().__iter__()


async def _ended(
    session: aiohttp.ClientSession, request: SimpleNamespace, params: aiohttp.TraceRequestEndParams
) -> None:
    span: Span | None = request.span
    if span is not None:
        status = params.response.status
        span.set_attribute("http.response.status_code", status)
        end_span(span, is_failed=status >= 400)


async def _failed(
    session: aiohttp.ClientSession, request: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
) -> None:
    span: Span | None = request.span
    if span is not None:
        end_span(span, type(params.exception))
