"""Log lines as they are written: no message and no exception's text prints what it holds."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway.adapters.telemetry.logs import configure_logs

PERSON = "测试甲"
REQUEST = pb.RegisterConsentRequest(person_name=PERSON)
NAMED = "<xinyidai.gateway.v1.RegisterConsentRequest>"


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logs("debug", stream=stream)
    return stream


def written(lines: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(lines.getvalue())
    return line


def test_protobufs_own_text_shows_what_is_marked_to_be_hidden() -> None:
    """Why the next tests are there: were this to fail, they would be needless."""
    field = pb.RegisterConsentRequest.DESCRIPTOR.fields_by_name["person_name"]

    assert field.GetOptions().debug_redact
    assert str(REQUEST) != str(pb.RegisterConsentRequest())


def test_what_is_set_up_later_counts_for_a_logger_that_has_written_before(lines: io.StringIO) -> None:
    log = structlog.get_logger("made at import")
    log.error("first")
    later = io.StringIO()

    configure_logs("error", stream=later)
    log.error("second")
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as captured:
        log.error("third")

    told = [json.loads(stream.getvalue())["event"] for stream in (lines, later)]
    assert (told, [line["event"] for line in captured]) == (["first", "second"], ["third"])


def test_a_message_that_gets_into_a_line_is_named_and_not_printed(lines: io.StringIO) -> None:
    structlog.get_logger().warning("asked", request=REQUEST, parts=[{"of": REQUEST}])

    line = written(lines)
    assert (line["request"], line["parts"]) == (NAMED, [{"of": NAMED}])


def test_a_message_that_is_the_event_itself_is_named_and_not_printed(lines: io.StringIO) -> None:
    structlog.get_logger().warning(REQUEST)

    assert written(lines)["event"] == NAMED


def test_of_an_exception_and_its_causes_stand_class_and_place_and_no_text(lines: io.StringIO) -> None:
    try:
        try:
            raise KeyError(PERSON)
        except KeyError as cause:
            cause.add_note(PERSON)
            raise ExceptionGroup(PERSON, [ValueError(f"of {REQUEST}")]) from cause
    except ExceptionGroup as error:
        structlog.get_logger().error("fault", exc_info=error)

    group, cause_shown = written(lines)["exception"]
    assert (group["exc_type"], cause_shown["exc_type"]) == ("ExceptionGroup", "KeyError")
    assert group["exceptions"][0][0]["exc_type"] == "ValueError"
    assert cause_shown["frames"][-1]["name"].startswith("test_of_an_exception")
    assert PERSON not in lines.getvalue()
    assert "person_name" not in lines.getvalue()
