"""A platform declared by its manifest: what is signed is what is sent, whichever way parameters travel."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connectors.kit.conformance import USCC, SystemTime, ask
from connectors.kit.http_request import Signing
from connectors.kit.manifest import read_manifest
from connectors.kit.mapping import compile_mapping
from connectors.kit.rest import RestConnector
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NO_RECORDS
from gateway.ports import ConnectorSetup

SECRETS = {"app_key": "key", "app_secret": "secret"}
MAPPING: dict[str, Any] = {"subject_code": "code", "penalties": {"rows": "rows", "category_key": "cf", "fields": {}}}


def manifest(method: str, *, is_signed: bool) -> dict[str, Any]:
    wire = {
        "method": method,
        "path": "/firms/{uscc}",
        "categories": {"parameter": "kinds", "separator": ","},
        "envelope": {"code": "status", "data": "result", "codes": {"0": "OK"}},
        "paging": {"page": "no", "size": "size", "page_size": 50, "total": "total", "max_pages": 2},
    }
    return {
        "platform": {"id": "p", "title_zh": "平台", "title_en": "platform", "tier": "PROVINCE", "is_simulated": True},
        "coverage": {"PENALTY": {}},
        "wire": wire | ({"sign": {"kind": "hmac_sm3"}} if is_signed else {}),
    }


class OwnSignature(RestConnector):
    """The connector of a platform that signs otherwise."""

    def _signer(self, setup: ConnectorSetup) -> Signing | None:
        return lambda method, path, parameters: {"Sign": f"{method} {path} {sorted(parameters.items())}"}


async def asked(
    kind: type[RestConnector], method: str, *, is_signed: bool
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Gives parameters and headers of the one question that a connector of that kind asks."""
    seen: list[tuple[Mapping[str, str], Mapping[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        sent = dict(request.query) | {name: str(value) for name, value in (await request.post()).items()}
        seen.append((sent, request.headers))
        return web.json_response({"status": "0", "result": {"code": USCC, "total": 0, "rows": []}})

    app = web.Application()
    app.router.add_route("*", "/base/firms/{uscc}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            setup = ConnectorSetup(f"http://127.0.0.1:{runner.addresses[0][1]}/base", session, SystemTime(), SECRETS)
            connector = kind(read_manifest(manifest(method, is_signed=is_signed)), compile_mapping(MAPPING), setup)
            said = (await ask(connector)).said
    finally:
        await runner.cleanup()
    assert [entry.outcome for entry in said.categories if entry.category == CATEGORY_PENALTY] == [OUTCOME_NO_RECORDS]
    (only,) = seen
    return only


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_signature_is_over_the_parameters_that_are_sent(method: str) -> None:
    sent, headers = await asked(RestConnector, method, is_signed=True)

    signed = {**sent, "path": f"/base/firms/{USCC}", "appKey": "key", "nonce": headers["X-Nonce"]}
    signed["timestamp"] = headers["X-Timestamp"]
    text = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
    assert sent == {"kinds": "cf", "no": "1", "size": "50"}
    assert headers["X-Signature"] == hmac.digest(b"secret", text.encode(), "sm3").hex()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_class_of_ones_own_signs_in_its_own_way(method: str) -> None:
    sent, headers = await asked(OwnSignature, method, is_signed=False)

    assert headers["Sign"] == f"{method} /firms/{USCC} {sorted(sent.items())}"
