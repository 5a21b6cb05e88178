"""The table [wire]: whatever nobody reads, or would fail at the first question, is a fault before it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kit.rest_wire import wire_faults

SECRETS = ("app_key", "app_secret")
ENVELOPE: dict[str, Any] = {"code": "status", "data": "result", "codes": {"0": "OK", "9": "AUTH_FAILED:signature"}}
PAGING: dict[str, Any] = {"page": "no", "size": "size", "page_size": 50, "total": "total", "max_pages": 20}
WIRE: dict[str, Any] = {
    "method": "GET",
    "path": "/firms/{uscc}",
    "charset": "gbk",
    "content_types": ["application/json"],
    "categories": {"parameter": "kinds", "separator": ","},
    "sign": {"kind": "hmac_sm3"},
    "envelope": ENVELOPE,
    "status": {"404": "NOT_FOUND"},
    "paging": PAGING,
}


def test_a_whole_table_and_a_bare_one_are_sound() -> None:
    assert wire_faults(WIRE, (), SECRETS) == []
    assert wire_faults({"path": "/{uscc}", "envelope": {"code": "c", "codes": {}}}, ("penalties",), ()) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"char_set": "gbk"}, "wire.char_set: unknown key; known are method, path, charset"),
        ({"method": "get"}, "wire.method: must be GET or POST"),
        ({"path": "/firms/{code}"}, "wire.path: must begin with / and hold {uscc}"),
        ({"content_types": "application/json"}, "wire.content_types: must be a list such as"),
        ({"categories": {"parameter": "kinds"}}, "wire.categories.separator: is missing"),
        ({"sign": {"kind": "hmac_sha256"}}, "wire.sign.kind: must be one of hmac_sm3; a platform that signs otherwise"),
        ({"sign": {}}, "wire.sign.kind: is missing"),
        ({"envelope": {"code": "status"}}, "wire.envelope.codes: is missing"),
        (
            {"envelope": {**ENVELOPE, "codes": {"500": "DOWN"}}},
            "wire.envelope.codes.500: 'DOWN' is no outcome; use one",
        ),
        ({"envelope": {**ENVELOPE, "codes": {"500": 1}}}, "wire.envelope.codes.500: '1' is no outcome; use one of"),
        ({"status": {"4xx": "NOT_FOUND"}}, "wire.status.4xx: must be an HTTP status"),
        ({"paging": {**PAGING, "max_pages": 0}}, "wire.paging.max_pages: must be a whole number above 0"),
        ({"paging": {key: PAGING[key] for key in PAGING if key != "total"}}, "wire.paging.total: is missing"),
        ({"paging": 50}, "wire.paging: must be a table"),
    ],
)
def test_a_fault_of_the_wire_names_the_key_and_what_may_stand_there(changed: dict[str, Any], fault: str) -> None:
    (found,) = wire_faults({**WIRE, **changed}, (), SECRETS)

    assert found.startswith(f"manifest.toml: {fault}")


def test_what_the_wire_needs_of_mapping_and_plugin_is_asked_for() -> None:
    assert wire_faults(WIRE, ("penalties",), ("app_key",)) == [
        "manifest.toml: wire.sign: needs the secret app_secret; name it in the plugin's secrets",
        "mapping.toml: penalties.category_key: is missing; the manifest has wire.categories",
    ]
