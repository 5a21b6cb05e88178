"""Trace context: where in a trace the running code is, and how that travels between houses; no SDK, no I/O.

Inside, a place travels by one context variable, and so into tasks as well. Between houses it is one header, read strictly
and written plainly. `tracestate` (§3.3) is neither read nor handed on: it holds what other tracing systems tell themselves,
and a call leaves here for another organisation.

Source: W3C Trace Context §3.2.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeAlias

from opentelemetry.trace import Span, format_span_id

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
"""What gRPC gives beside a request: pairs with keys in lower case."""

HEADER: Final = "traceparent"
_SAMPLED: Final = 0x01
# Version, trace id, parent id, flags; a later version may go on after another dash.
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


class Place:
    """Where in a trace the code runs.

    `span` is None in a trace that is not recorded; `is_told` says whether the platform that is being asked may know of it.
    Never changed once made; not frozen, since every call makes one and pays for it.
    """

    __slots__ = ("is_told", "span", "trace_id")

    def __init__(self, trace_id: str, span: Span | None, is_told: bool = False) -> None:
        self.trace_id = trace_id
        self.span = span
        self.is_told = is_told


PLACE: Final[ContextVar[Place | None]] = ContextVar("gateway_trace_place", default=None)
"""The place of the code that asks; None outside of calls."""


def current_trace_id() -> str:
    """Gives the trace id of the call under way, in 32 hexadecimal digits; empty outside of calls."""
    place = PLACE.get()
    return place.trace_id if place is not None else ""


def add_trace_id(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the trace id to a structlog event that is logged within a call; a processor."""
    place = PLACE.get()
    if place is not None:
        event["trace_id"] = place.trace_id
    return event


def outgoing_headers() -> Mapping[str, str]:
    """Gives the headers that tell a platform of our trace; empty where the deployment does not allow it."""
    place = PLACE.get()
    return headers_of(place, place.span) if place is not None and place.is_told else {}


def headers_of(place: Place, span: Span | None) -> Mapping[str, str]:
    """Gives the headers that make what is asked a child of the span, or of the trace alone where nothing is recorded."""
    if span is None:  # the platform may still name the trace to us, and the form wants some parent id
        return {HEADER: traceparent(place.trace_id, f"{random.getrandbits(64) or 1:016x}", is_sampled=False)}
    return {HEADER: traceparent(place.trace_id, format_span_id(span.get_span_context().span_id), is_sampled=True)}


class Parent(NamedTuple):
    """The caller's own place in its trace; ids in lower-case hexadecimal."""

    trace_id: str
    span_id: str
    is_sampled: bool


def parent_of(metadata: Metadata | None) -> Parent | None:
    """Gives the caller's place in its trace; None where it sent none, a broken one, or more than one."""
    stated: str | bytes | None = None
    for key, value in metadata or ():
        if key == HEADER:
            if stated is not None:
                return None
            stated = value
    return read_traceparent(stated) if isinstance(stated, str) else None


def read_traceparent(stated: str) -> Parent | None:
    """Reads one header; None where it breaks the form, and then a new trace begins."""
    match = _FORM.fullmatch(stated)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def traceparent(trace_id: str, span_id: str, *, is_sampled: bool) -> str:
    """Gives the header of version 00, with no flag but the sampled one."""
    return f"00-{trace_id}-{span_id}-{'01' if is_sampled else '00'}"


def new_trace_id() -> str:
    """Gives a random trace id; it is no secret, so a quick source of randomness serves."""
    return (random.getrandbits(128) or 1).to_bytes(16, "big").hex()  # all zeros would be no id
