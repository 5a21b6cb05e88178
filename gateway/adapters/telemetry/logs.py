"""Logs: structlog, one JSON line per query and one per rare event; ids and codes, never payloads or personal values.

A protobuf message prints all it holds, fields marked `debug_redact` too. So a message that gets into a line all the same is
named there and not printed, and of an exception stand class and place: its text may quote what it failed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO, cast

import msgspec
import structlog
from google.protobuf.message import Message
from structlog.typing import ExcInfo

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.adapters.telemetry.log_stream import STANDARD_ERROR, WHOLE_BYTES, LogStream
from gateway.adapters.telemetry.observers import Unmoved
from gateway.adapters.telemetry.trace_context import add_trace_id, current_trace_id
from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry

_TRACEBACK: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
_TEXTS: Final = frozenset({"exc_value", "exc_notes", "syntax_error"})
_SECURITY: Final = frozenset({"wrong_subject", "tls_pin", "tls_certificate"})
"""Reasons of answers that are events of security."""
_FLUSH_S: Final = 0.25


def configure_logs(level: str, *, stream: TextIO | LogStream | None = None) -> None:
    """Makes every log line one JSON object on standard error; `level` is a name such as "info".

    It counts for every logger, those that have written before too: none keeps what it was set up with, which would save a few
    microseconds a line, and lines are of rare events (queries have a log of their own).
    """
    numbers = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_trace_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_class_and_place),
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numbers[level]),
        # Of a file it uses what a `LogStream` has.
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", stream or STANDARD_ERROR)),
    )


def _json(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=_named).decode()


def _named(value: object) -> str:
    return f"<{value.DESCRIPTOR.full_name}>" if isinstance(value, Message) else str(value)


def _class_and_place(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Gives an exception and its causes without their texts."""
    return [_without_text(stack) for stack in _TRACEBACK(exc_info)]


def _without_text(stack: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in stack.items() if key not in _TEXTS}
    # One group of exceptions within another is a list of stacks each.
    kept["exceptions"] = [[_without_text(inner) for inner in group] for group in stack.get("exceptions", ())]
    return kept


class _QueryEnded(msgspec.Struct, frozen=True, tag_field="event", tag="query.ended"):
    """One query's line: a struct, which is made and encoded in half the time of a dictionary."""

    level: str
    timestamp: str
    event_kind: str
    answer_id: str
    trace_id: str
    bank: str
    purpose: str
    latency_ms: float
    completeness_bp: int | None
    reason: str
    platforms: dict[str, str]


class QueryLog:
    """One JSON line per query, encoded at once and written in batches; flushed when it closes.

    structlog's own way costs several times as much a line; its line has the same keys.
    """

    def __init__(self, stream: TextIO | LogStream | None = None) -> None:
        self._stream = stream or STANDARD_ERROR
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def add(self, entry: AuditEntry, latency_s: float) -> None:
        """Takes one query's line."""
        if not self._lines:
            self._loop.call_later(_FLUSH_S, self.flush)
        line = _QueryEnded(
            "info",
            entry.time,
            entry.event,
            entry.answer_id,
            current_trace_id(),
            entry.bank,
            entry.purpose,
            round(latency_s * 1000, 1),
            entry.completeness_bp,
            entry.reason,
            {p.platform: p.outcome for p in entry.platforms},
        )
        self._lines.append(self._encode(line))

    def flush(self) -> None:
        """Writes what waits."""
        lines, self._lines = self._lines, []
        batch: list[bytes] = []
        size = 0
        for line in lines:
            if size + len(line) >= WHOLE_BYTES:
                self._write(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line) + 1
        self._write(batch)

    def _write(self, lines: list[bytes]) -> None:
        if lines:
            self._stream.write(b"\n".join(lines).decode() + "\n")
            self._stream.flush()


class LogObserver(Unmoved):
    """Logs each query once, and a platform once when it goes down and once when it is back.

    `query_log` is None where queries are not logged, as by a level above "info".
    """

    def __init__(self, health: PlatformHealth, query_log: QueryLog | None, *, changed: Callable[[], None]) -> None:
        self._health = health
        self._query_log = query_log
        self._changed = changed
        self._log = structlog.get_logger("gateway")
        self._drifted: set[tuple[str, str]] = set()
        self._is_trail_down = False

    def answers_landed(self, answers: Sequence[Answer]) -> None:
        """Notes health, and logs what is new: down, up, a security event, a drift seen for the first time."""
        for answer in answers:
            # What was kept says nothing of the platform as it is now, and was noted when it came.
            if answer.cache_age_s is None or answer.stale_because is not None:
                self._landed(answer)

    def _landed(self, answer: Answer) -> None:
        said = answer.said
        turned = self._health.note(answer)
        if turned is not None:
            outcome = said.outcome if answer.stale_because is None else answer.stale_because
            self._log.warning(
                "platform.back" if turned else "platform.unavailable",
                platform=said.platform,
                outcome=Outcome.Name(outcome).removeprefix("OUTCOME_"),
                reason=said.reason,
                detail=answer.detail,
            )
            self._changed()
        reason = said.reason
        if reason and reason in _SECURITY:
            self._log.error("security.refused_answer", platform=said.platform, reason=reason)
        for drift in said.drifts:
            key = (said.platform, drift.path)
            if key not in self._drifted and len(self._drifted) < 10_000:
                self._drifted.add(key)
                self._log.warning("platform.drift", platform=said.platform, path=drift.path, reason=drift.reason)

    def trail_failed(self) -> None:
        """Logs the first entry that could not be written."""
        if not self._is_trail_down:
            self._is_trail_down = True
            self._log.error("trail.unavailable", note="nothing is answered until entries can be written")

    def query_ended(self, entry: AuditEntry, latency_s: float) -> None:
        """Logs the query's one line, and the first answer that could be given again.

        A refusal says nothing: it has no copy to be archived, and leaves where answers do not.
        """
        if self._is_trail_down and entry.event == "answered":
            self._is_trail_down = False
            self._log.warning("trail.back")
        if entry.stale_copies:
            self._log.warning("merge.stale_copies", answer_id=entry.answer_id, count=entry.stale_copies)
        if self._query_log is not None:
            self._query_log.add(entry, latency_s)
