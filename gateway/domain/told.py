"""What trail and delivery tell of a platform's answer, as plain values.

They are read from the message once, and kept with a view that is kept: every read of a message's field makes an object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome
from gateway.domain.answer import Answer


class Told(NamedTuple):
    """What was said, without its records: how many the platform sent, and as of when it said so, in seconds since 1970."""

    platform: str
    outcome: Outcome.ValueType
    reason: str
    record_count: int
    raw_digest: bytes
    as_of_s: int | None


def told_of(answer: Answer) -> Told:
    """Gives what is told of one answer."""
    said = answer.said
    as_of_s = said.as_of.seconds
    return Told(
        said.platform,
        said.outcome,
        said.reason,
        sum(
            [category.record_count for category in said.categories[:]]
        ),  # a list: to run off a repeated field's end costs
        said.raw_digest,
        as_of_s if as_of_s or said.HasField("as_of") else None,
    )


def told_of_all(answers: Iterable[Answer]) -> tuple[Told, ...]:
    """Gives what is told of each answer, in their order."""
    return tuple([told_of(answer) for answer in answers])
