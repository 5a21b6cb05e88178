"""Answer ids: version 7 of RFC 9562, each its own, and ordered by when the query was admitted."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from gateway.adapters.state.answer_id import new_answer_id

AT = datetime(2026, 11, 25, 4, 0, 0, 123_000, tzinfo=UTC)


def test_an_answer_id_is_a_version_7_id_of_its_moment() -> None:
    stated = new_answer_id(AT)

    read = uuid.UUID(stated)
    assert (str(read), read.version, read.variant) == (stated, 7, uuid.RFC_4122)
    assert read.int >> 80 == int(AT.timestamp() * 1000)


def test_answer_ids_are_ordered_by_time_and_none_is_given_twice() -> None:
    in_order = [new_answer_id(AT + timedelta(milliseconds=number)) for number in range(100)]
    of_one_moment = {new_answer_id(AT) for _ in range(100)}

    assert in_order == sorted(in_order)
    assert len(of_one_moment) == 100
