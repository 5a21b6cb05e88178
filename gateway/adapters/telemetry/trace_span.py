"""Steps of a call as `with` blocks: recorded by the SDK in a sampled trace, one shared nothing in every other."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from gateway.adapters.telemetry.trace_context import PLACE, Place

ROOT: Final = Context()
"""Holds nothing: no span is another's child by accident, whatever else in the process uses the SDK."""


class CallSpan:
    """One step of a call, timed from when it is made until its `with` block ends; this one records nothing."""

    __slots__ = ()

    def note(self, **attributes: str | int) -> None:
        """Adds ids and codes to what is recorded."""

    def failed(self) -> None:
        """Marks the step as failed where no error says so."""

    def __enter__(self) -> CallSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


NO_SPAN: Final = CallSpan()


class RecordedSpan(CallSpan):
    """A step that is recorded, and the place its own steps stand under."""

    __slots__ = ("_before", "_span")

    def __init__(self, span: Span, place: Place, before: Place | None) -> None:
        self._span = span
        self._before = before
        PLACE.set(place)

    def note(self, **attributes: str | int) -> None:
        """Adds ids and codes to what is recorded."""
        self._span.set_attributes(attributes)

    def failed(self) -> None:
        """Marks the step as failed where no error says so."""
        self._span.set_status(StatusCode.ERROR)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Set, not reset by token: a stream that is closed by another task than it ran in has another context.
        PLACE.set(self._before)
        end_span(self._span, kind)


class CallTrace:
    """The trace of one incoming call, ended by its `with` block.

    Every call makes one, recorded or not; a named tuple costs twice as much.
    """

    __slots__ = ("span", "trace_id")

    def __init__(self, trace_id: str, span: CallSpan) -> None:
        self.trace_id = trace_id
        self.span = span

    def __enter__(self) -> CallTrace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.span is not NO_SPAN:
            self.span.__exit__(kind, error, traceback)
        PLACE.set(None)


def child_span(
    tracer: Tracer,
    parent: Span,
    name: str,
    attributes: Mapping[str, str | int],
    kind: SpanKind = SpanKind.INTERNAL,
) -> Span:
    """Begins a span under another."""
    return tracer.start_span(name, set_span_in_context(parent, ROOT), kind, attributes)


def end_span(span: Span, error: type[BaseException] | None = None, *, is_failed: bool = False) -> None:
    """Ends a span; of an error its class alone, since a message may hold what a span must not."""
    if error is not None:
        span.set_attribute("error.type", error.__name__)
    if error is not None or is_failed:
        span.set_status(StatusCode.ERROR)
    span.end()
