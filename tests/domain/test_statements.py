"""Statements of one key: exact repetitions of a platform are one, however many there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2
from gateway.domain.statement import STRONG, Statement, group_by_key
from tests.domain.worlds import PLATFORMS

KEY = (STRONG, "one")


class Digest(bytes):
    """A digest that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Digest.compared += 1
        return bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


def statement(number: int, platform: str = "anhui", as_of: tuple[int, int] = (0, 0)) -> Statement:
    record: Any = conduct_pb2.Penalty()
    digest = Digest(number.to_bytes(32, "big"))
    return Statement(
        PLATFORMS[platform], record, KEY, digest, b"", as_of, b"", b"", envelope_pb2.RECORD_STATUS_UNSPECIFIED
    )


def test_repetitions_by_one_platform_are_dropped_whether_they_are_few_or_many() -> None:
    for count in (3, 40):
        different = [statement(number) for number in range(count)]
        others = [statement(0, "jiangsu"), statement(0, as_of=(1, 0))]

        groups = group_by_key([*different, *others, *[replace(one) for one in (*different, *others)]])

        assert groups == {KEY: [*different, *others]}


def test_each_of_many_statements_is_compared_with_a_few_others_only() -> None:
    many = [statement(number) for number in range(2_000)]
    Digest.compared = 0

    groups = group_by_key(many)

    assert len(groups[KEY]) == len(many)
    assert Digest.compared < 10 * len(many)
