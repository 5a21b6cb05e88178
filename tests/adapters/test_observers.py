"""Observers: each of its kind is told of every event, in order; the log holds what is rare, once."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import structlog

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE, CreditView
from gateway.adapters.telemetry.call_log import CallLog
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.adapters.telemetry.logs import LogObserver, QueryLog, configure_logs
from gateway.adapters.telemetry.observers import Observers
from gateway.domain.answer import failed_answer
from gateway.domain.audit import AuditEntry
from gateway.domain.figures import figures_of
from gateway.ports import CallObserver, QueryObserver

ENTRY = AuditEntry("", "answered", "a-1", "bank-a", "", "", "PRE_LOAN", "", (), "development", (), "", "", "")
ANSWER = failed_answer("a", OUTCOME_OK, "", (5,), attempts=1)
FIGURES = figures_of(CreditView())
QUERY_EVENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "answers_landed": (((ANSWER,),), {}),
    "view_answered": ((FIGURES,), {}),
    "query_ended": ((ENTRY, 0.5), {}),
    "trail_failed": ((), {}),
}
CALL_EVENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "call_repeated": (("a",), {}),
    "call_hedged": (("a",), {"won": True}),
    "breaker_turned": (("a",), {"is_open": True}),
    "quota_refused": (("a", "day"), {}),
    "quota_left": (("a", 3), {}),
    "limit_moved": (("a", 7), {}),
    "cache_asked": (("a", "hit"), {}),
}


class Watcher:
    """Remembers every event it is told of."""

    def __init__(self, told: list[Any], name: str) -> None:
        self._told = told
        self._name = name

    def __getattr__(self, event: str) -> Any:
        return lambda *args, **kwargs: self._told.append((self._name, event, args, kwargs))


@dataclass
class MovedClock:
    """Moves when told to."""

    at_s: float = field(default=100.0)

    def now(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at_s


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs("info", stream=stream)
    yield stream
    structlog.reset_defaults()


def logged(lines: io.StringIO) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != "timestamp"} for line in lines.getvalue().splitlines()]


def events_of(port: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def test_the_events_tried_here_are_all_there_are() -> None:
    assert events_of(QueryObserver) == set(QUERY_EVENTS)
    assert events_of(CallObserver) == set(CALL_EVENTS)


@pytest.mark.parametrize("event", [*QUERY_EVENTS, *CALL_EVENTS])
def test_every_observer_of_a_kind_is_told_in_the_order_given_and_no_other(event: str) -> None:
    told: list[Any] = []
    first, second, other = (Watcher(told, name) for name in ("first", "second", "other"))
    is_query = event in QUERY_EVENTS
    args, kwargs = QUERY_EVENTS[event] if is_query else CALL_EVENTS[event]
    observers = Observers((first, second), (other,)) if is_query else Observers((other,), (first, second))

    getattr(observers, event)(*args, **kwargs)

    assert told == [(name, event, args, kwargs) for name in ("first", "second")]


def test_a_breaker_is_logged_at_each_turn(lines: io.StringIO) -> None:
    log = CallLog(MovedClock())

    log.breaker_turned("a", is_open=True)
    log.breaker_turned("a", is_open=False)

    assert logged(lines) == [
        {"event": "breaker.opened", "level": "warning", "platform": "a"},
        {"event": "breaker.closed", "level": "warning", "platform": "a"},
    ]


def test_D16_refused_calls_are_logged_once_a_minute_with_how_many_were_not(lines: io.StringIO) -> None:
    clock = MovedClock()
    log = CallLog(clock)

    for _ in range(1_000):
        log.quota_refused("a", "day")
    log.quota_refused("b", "day")
    clock.at_s += 60
    log.quota_refused("a", "day")

    assert [(line["platform"], line["unlogged"]) for line in logged(lines)] == [("a", 0), ("b", 0), ("a", 999)]


def test_what_is_not_rare_is_not_logged(lines: io.StringIO) -> None:
    log = CallLog(MovedClock())

    for event in set(CALL_EVENTS) - {"breaker_turned", "quota_refused"}:
        args, kwargs = CALL_EVENTS[event]
        getattr(log, event)(*args, **kwargs)

    assert logged(lines) == []


def test_a_platform_is_logged_once_down_and_once_back_and_each_change_is_passed_on(lines: io.StringIO) -> None:
    changes: list[str] = []
    log = LogObserver(PlatformHealth(["a"], MovedClock()), None, changed=lambda: changes.append("changed"))
    down = failed_answer("a", OUTCOME_UNREACHABLE, "connect", (5,), attempts=3)

    for answer in (ANSWER, down, down, down, ANSWER, ANSWER):
        log.answers_landed((answer,))

    assert [(line["event"], line["outcome"], line["reason"]) for line in logged(lines)] == [
        ("platform.unavailable", "UNREACHABLE", "connect"),
        ("platform.back", "OK", ""),
    ]
    assert len(changes) == 2


def test_D1_a_trail_that_fails_is_logged_once_and_its_return_once(lines: io.StringIO) -> None:
    log = LogObserver(PlatformHealth(["a"], MovedClock()), None, changed=lambda: None)

    for _ in range(3):
        log.trail_failed()
    log.query_ended(
        msgspec.structs.replace(ENTRY, event="unanswered"), 0.1
    )  # the trail took it, yet nothing is answered
    log.trail_failed()
    for _ in range(3):
        log.query_ended(ENTRY, 0.1)

    assert [line["event"] for line in logged(lines)] == ["trail.unavailable", "trail.back"]


async def test_query_lines_are_written_together_and_none_is_lost_at_the_end() -> None:
    stream = io.StringIO()
    log = QueryLog(stream)

    for number in range(100):
        log.add(ENTRY, number / 1_000)
    before = stream.getvalue()
    log.flush()

    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert before == ""
    assert [line["latency_ms"] for line in written] == [float(number) for number in range(100)]
    assert {line["bank"] for line in written} == {"bank-a"}
