"""Charsets and guarded parsers: strict, bounded, exact."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.kit.charset import decode_declared
from connectors.kit.documents import BadDocument, read_json, read_xml
from connectors.kit.soap import soap_request, soap_return


def reason(call: object, *arguments: object) -> str:
    with pytest.raises(BadDocument) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value.reason


def test_P10_rare_characters_survive_gb18030() -> None:
    text = "芜湖䶮泽〔2020〕𠮷"

    assert decode_declared(text.encode("gb18030"), "GB18030") == text


def test_P10_utf8_under_declared_gb18030_is_refused() -> None:
    assert reason(decode_declared, "上海信诚".encode(), "GB18030") == "charset"


def test_P10_gbk_under_declared_utf8_is_refused() -> None:
    assert reason(decode_declared, "上海信诚".encode("gbk"), "utf-8") == "charset"


def test_P9_a_byte_order_mark_is_accepted() -> None:
    assert decode_declared(b"\xef\xbb\xbf{}", "utf-8") == "{}"


def test_characters_moved_out_of_the_private_area_are_remapped() -> None:
    assert decode_declared("\ue81e中".encode("gb18030"), "gb18030") == "\u9fb4中"


def test_P5_fractions_and_large_numbers_are_exact() -> None:
    document = read_json(b'{"fraction": 0.2, "large": 9007199254740993, "larger": 123456789012345678}')

    assert document == {"fraction": Decimal("0.2"), "large": 9007199254740993, "larger": 123456789012345678}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty"),
        (b'{"a": 1', "truncated"),
        (b"{a}", "json"),
        (b'{"a": NaN}', "json"),
        (b"[" * 10_000 + b"]" * 10_000, "too_deep"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b'{"a": "\xd6\xd0"}', "charset"),
    ],
)
def test_a_broken_json_document_has_a_reason(body: bytes, expected: str) -> None:
    assert reason(read_json, body) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("<a><b></a>", "xml"),
        ("<a", "truncated"),
        ("<a><b>text", "truncated"),
        ("<a><b>text</", "truncated"),
        ('<a><b c="d', "truncated"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "dtd"),
        ("<a>" * 10_000 + "</a>" * 10_000, "too_deep"),
        ("<a>" * 100 + "</a>" * 100, "too_deep"),
        ("no xml", "xml"),
    ],
)
def test_a_broken_xml_document_has_a_reason(text: str, expected: str) -> None:
    assert reason(read_xml, text) == expected


def test_P12_a_doctype_inside_cdata_is_refused_too() -> None:
    inner = "<!DOCTYPE r SYSTEM 'http://127.0.0.1:1/x.dtd'><Result/>"
    outer = (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        f"<r><qReturn><![CDATA[{inner}]]></qReturn></r></soapenv:Body></soapenv:Envelope>"
    )

    assert reason(read_xml, outer) == "dtd"


def test_a_soap_request_escapes_its_arguments_and_is_read_back() -> None:
    request = soap_request("q", "urn:x", {"code": "<&>"})

    assert soap_return(request, "code") == "<&>"


def test_an_xml_declaration_with_another_encoding_does_not_disturb_decoded_text() -> None:
    root = read_xml('<?xml version="1.0" encoding="GB18030"?><a>中</a>')

    assert root.text == "中"
