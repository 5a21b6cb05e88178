"""Gaps: what a record lacks of its own key is flagged, once, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kit.gaps import flagging_gaps
from connectors.kit.mapping import Drifts, compile_mapping
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import MatchMethod

MAPPING: dict[str, Any] = {
    "subject_code": "code",
    "penalties": {
        "rows": "rows",
        "fields": {"document_number": "no", "authority": {"as": "authority", "name": "body"}, "violation_type": "why"},
    },
}


def flagged(row: dict[str, Any], mapping: dict[str, Any] = MAPPING) -> list[tuple[str, str]]:
    compiled = flagging_gaps(compile_mapping(mapping), mapping)
    said_by: dict[int, bytes] = dict.fromkeys(MatchMethod.values(), b"")
    records = view_pb2.Records.FromString(b"".join(compiled.types["penalties"].encode([row], said_by, Drifts())))
    return [(drift.path, drift.reason) for drift in records.penalties[0].envelope.drifts]


@pytest.mark.parametrize("row", [{}, {"no": None}, {"no": ""}, {"no": "无"}])
def test_P15_a_missing_null_or_empty_part_of_the_key_is_flagged(row: dict[str, Any]) -> None:
    assert flagged({"body": "上海市环境局", **row}) == [("rows[0].no", "value.missing")]


def test_P15_a_value_that_cannot_be_read_is_flagged_once() -> None:
    assert flagged({"body": "上海市环境局", "no": {}}) == [("rows[0].no", "text.type")]


def test_P15_a_missing_value_that_is_no_part_of_the_key_is_no_gap() -> None:
    assert flagged({"body": "上海市环境局", "no": "1号"}) == []


def test_P15_what_the_platform_never_gives_is_no_gap() -> None:
    fields = {"authority": {"as": "authority", "name": "body"}}
    mapping = {**MAPPING, "penalties": {"rows": "rows", "fields": fields}}

    assert flagged({"body": "上海市环境局"}, mapping) == []
