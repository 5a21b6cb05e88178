"""Bytes nobody meant: requests, bodies and documents that are random still end in an error of ours, never in a crash."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.charset import decode_declared
from connectors.kit.documents import BadDocument, read_json, read_xml
from connectors.kit.payload import PayloadReader
from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import GetCreditViewRequest
from gateway.adapters.rpc.requests import check_annotations, credit_query
from gateway.domain.caller import development_caller
from gateway.domain.errors import PlatformError, RequestError
from gateway.domain.identifiers import Uscc
from tests.conftest import PROFILE

CALLER = development_caller("bank")
PLATFORMS = ("shanghai", "jiangsu", "zhejiang", "anhui")
USCC = Uscc.parse("91310115MA0TERT167")
often = settings(max_examples=250 if PROFILE == "quick" else 5_000)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["", "-", "长期", "0.1", USCC.value])
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@often
@given(st.binary(max_size=200))
def test_C6_random_bytes_are_no_request_or_a_refused_one(raw: bytes) -> None:
    try:
        request = GetCreditViewRequest.FromString(raw)
        check_annotations(request)
        credit_query(request.query, CALLER, PLATFORMS)
    except (DecodeError, RequestError):
        return


@often
@given(st.text(max_size=40), st.lists(st.integers(-3, 40), max_size=4), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_C8_odd_fields_are_refused_by_name(uscc: str, categories: list[int], purpose: int, quorum: int) -> None:
    request = GetCreditViewRequest()
    request.query.uscc, request.query.purpose, request.query.quorum = uscc, purpose, quorum  # type: ignore[assignment]
    request.query.categories.extend(categories)  # type: ignore[arg-type]
    try:
        check_annotations(request)
        query = credit_query(request.query, CALLER, PLATFORMS)
    except RequestError as error:
        assert str(error)
        return
    assert query.uscc.value
    assert query.categories


@often
@given(st.binary(max_size=300), st.sampled_from(["utf-8", "GB18030"]))
def test_random_bodies_are_documents_or_bad_ones(body: bytes, charset: str) -> None:
    for read in (lambda: read_json(body), lambda: read_xml(decode_declared(body, charset))):
        try:
            read()
        except BadDocument as error:
            assert error.reason


def _rows(mapping: Any, row: Any) -> dict[str, Any]:
    page: dict[str, Any] = {}
    for kind in mapping.types.values():
        place = page
        for key in kind.rows_path[:-1]:
            place = place.setdefault(key, {})
        place[kind.rows_path[-1]] = [row] if isinstance(row, dict) else row
    return page


@pytest.mark.parametrize("platform", PLATFORMS)
@often
@given(data=st.data())
def test_random_payloads_are_answers_or_bad_ones(platform: str, data: st.DataObject) -> None:
    plugin = import_module(f"connectors.{platform}").plugin
    _, mapping = plugin._read
    kinds = sorted(mapping.types)
    keys = sorted(set().union(*(mapping.types[kind].known_keys for kind in kinds)))
    row = data.draw(st.dictionaries(st.sampled_from(keys), scalars | documents, max_size=8) | documents)
    reader = PayloadReader(plugin.platform(), mapping)
    categories = [mapping.types[kind].plan.category for kind in kinds]
    try:
        answer = reader.answer(
            [_rows(mapping, row)], USCC, categories, fetched_at=datetime(2026, 11, 24, tzinfo=UTC), raw_digest=b""
        )
    except PlatformError as error:
        assert error.cause in ("shape", "wrong_subject")
        return
    assert len(answer.said.categories) == len(categories)
