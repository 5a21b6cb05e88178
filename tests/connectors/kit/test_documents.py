"""Documents at the parsers' limits: an error of ours with a reason, whatever the bytes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.documents import BadDocument, read_json, read_xml

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": 1e9999999999999999999999}', "json"),
        (b" \r\n", "empty"),
        ('{"a": "\ud800"}', "charset"),
        (b'{"a": "\\udc00"}', "json"),
    ],
)
def test_P1_a_document_that_only_looks_like_json_has_a_reason(body: bytes | str, reason: str) -> None:
    with pytest.raises(BadDocument) as raised:
        read_json(body)

    assert raised.value.reason == reason


def test_P6_json_is_read_down_to_the_limit_and_no_deeper() -> None:
    assert read_json(nested(3), max_depth=3) == {"a": {"a": []}}
    with pytest.raises(BadDocument) as raised:
        read_json(nested(4), max_depth=3)

    assert raised.value.reason == "too_deep"


def test_P6_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    body = b'{"a": "' + b"[" * 200 + b'", "b": [' + b",".join([b"{}"] * 200) + b"]}"

    assert read_json(body, max_depth=3) == {"a": "[" * 200, "b": [{}] * 200}


def test_of_a_repeated_key_the_last_counts() -> None:
    assert read_json(b'{"fine": 1, "fine": 2}') == {"fine": 2}


def test_P5_no_digit_of_a_fraction_is_lost() -> None:
    digits = "0." + "123456789" * 20

    assert read_json(digits) == Decimal(digits)


@given(values)
def test_any_document_is_read_as_it_was_written(document: Any) -> None:
    assert read_json(msgspec.json.encode(_writable(document))) == _writable(document)


def _writable(document: Any) -> Any:
    """msgspec writes whole numbers of 64 bits only: wider ones are covered by examples."""
    if isinstance(document, dict):
        return {key: _writable(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_writable(value) for value in document]
    return document % 2**63 if type(document) is int else document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<a>{'x' * 10_500_000}</a>", "too_large"),
        (f'<a b="{"x" * 10_500_000}"/>', "too_large"),
        ("<a>&x;</a>", "xml"),
        ("<a/><!DOCTYPE a>", "dtd"),
        ("<a>\x01</a>", "xml"),
        ('<a b="1" b="2"/>', "xml"),
    ],
    ids=["huge text", "huge attribute", "unknown entity", "late DOCTYPE", "control", "attribute twice"],
)
def test_P12_xml_beyond_what_is_accepted_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(BadDocument) as raised:
        read_xml(text)

    assert raised.value.reason == reason
