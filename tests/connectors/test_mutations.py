"""Sandboxes are as strict as a platform: every signing, charset and paging rule, broken on the wire, is refused.

A small proxy stands between connector and sandbox and changes one thing of each request after the connector made it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest
from aiohttp import web

from connectors.anhui.sandbox import SimulatedAnhui
from connectors.kit.conformance import SystemTime, ask
from connectors.kit.enterprise import World
from connectors.kit.enterprises import make_world
from connectors.kit.sandbox import Running, SimulatedPlatform
from connectors.shanghai.sandbox import SimulatedShanghai
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_OK,
)
from gateway.domain.answer import Answer
from gateway.ports import ConnectorSetup


@dataclass
class Sent:
    """One request on its way: what a mutation may change."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    times: int = 1
    extra: dict[str, Any] = field(default_factory=dict)


Mutation = Callable[[Sent], None]


@asynccontextmanager
async def proxy(target: str, mutate: Mutation) -> AsyncIterator[str]:
    async def forward(request: web.Request) -> web.Response:
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length", "connection")
        }
        sent = Sent(request.path, dict(request.query), headers, await request.read())
        mutate(sent)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for _ in range(sent.times):  # more than once: the same request again, byte for byte
                async with session.request(
                    request.method, target + sent.path, params=sent.query, headers=sent.headers, data=sent.body
                ) as response:
                    body = await response.read()
        return web.Response(
            status=response.status, body=body, headers={"Content-Type": response.headers.get("Content-Type", "")}
        )

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", forward)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def through(platform: str, mutate: Mutation) -> Answer:
    plugin = import_module(f"connectors.{platform}").plugin
    sandbox = import_module(f"connectors.{platform}.sandbox").sandbox
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    try:
        async with proxy(running.url, mutate) as url, aiohttp.ClientSession() as session:
            connector = plugin.connect(ConnectorSetup(url, session, SystemTime(), sandbox.credentials()))
            return await ask(connector, 10)
    finally:
        await running.aclose()


def nothing(sent: Sent) -> None:
    """Leaves the request as it is."""


def replay(sent: Sent) -> None:
    """Sends a business request twice."""
    if "token" not in sent.path.lower():
        sent.times = 2


def header(name: str, value: str | None) -> Mutation:
    def mutate(sent: Sent) -> None:
        sent.headers.pop(name, None)
        if value is not None:
            sent.headers[name] = value

    return mutate


def parameter(name: str, value: str) -> Mutation:
    def mutate(sent: Sent) -> None:
        sent.query[name] = value

    return mutate


def form(name: str, value: str | None, *, on: str) -> Mutation:
    def mutate(sent: Sent) -> None:
        if on in sent.path:
            fields = dict(parse_qsl(sent.body.decode()))
            fields.pop(name, None)
            if value is not None:
                fields[name] = value
            sent.body = urlencode(fields).encode()

    return mutate


def json_body(name: str, value: str | None) -> Mutation:
    def mutate(sent: Sent) -> None:
        if "query" in sent.path:
            body = json.loads(sent.body)
            body.pop(name, None)
            if value is not None:
                body[name] = value
            sent.body = json.dumps(body).encode()

    return mutate


def soap(old: str, new: str) -> Mutation:
    def mutate(sent: Sent) -> None:
        text = sent.body.decode("gb18030")
        assert old in text
        sent.body = text.replace(old, new).encode("gb18030")

    return mutate


def utf16(sent: Sent) -> None:
    sent.body = sent.body.decode("gb18030").encode("utf-16")


PLATFORMS = ("shanghai", "jiangsu", "zhejiang", "anhui")
AUTH, BAD = OUTCOME_AUTH_FAILED, OUTCOME_BAD_ANSWER
BROKEN: list[tuple[str, str, Mutation, int]] = [
    ("shanghai", "no signature", header("X-Signature", None), AUTH),
    ("shanghai", "signature of something else", header("X-Signature", "0" * 64), AUTH),
    ("shanghai", "another key", header("X-App-Key", "someone"), AUTH),
    ("shanghai", "another nonce than signed", header("X-Nonce", "f" * 32), AUTH),
    ("shanghai", "an old time", header("X-Timestamp", "1600000000000"), AUTH),
    ("shanghai", "time in seconds", header("X-Timestamp", "1790000000"), AUTH),
    ("shanghai", "a parameter changed after signing", parameter("datasets", "penalty"), AUTH),
    ("shanghai", "a page changed after signing", parameter("page", "2"), AUTH),
    ("shanghai", "the same request twice", replay, AUTH),
    ("jiangsu", "no token", header("Authorization", None), AUTH),
    ("jiangsu", "no signature", json_body("signData", None), BAD),
    ("jiangsu", "signature that is none", json_body("signData", "MAYCAQECAQE="), AUTH),
    (
        "jiangsu",
        "body changed after signing",
        json_body("encData", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        AUTH,
    ),
    ("jiangsu", "no nonce", json_body("nonce", None), AUTH),
    ("jiangsu", "an old time", json_body("timestamp", "1600000000000"), AUTH),
    ("jiangsu", "the same request twice", replay, AUTH),
    ("jiangsu", "another client", form("client_secret", "wrong", on="token"), AUTH),
    ("zhejiang", "no sign on the token call", form("sign", None, on="refreshToken"), AUTH),
    ("zhejiang", "upper-case sign", form("sign", "4B6E508260FB1BF5534FDACFBCFA5C95", on="dataSharing"), AUTH),
    ("zhejiang", "another time than signed", form("requestTime", "1600000000000", on="dataSharing"), AUTH),
    ("zhejiang", "another key", form("appKey", "A0", on="dataSharing"), AUTH),
    ("zhejiang", "no code", form("tyxydm", None, on="dataSharing"), BAD),
    ("zhejiang", "an unknown kind", form("sjlx", "nonsense", on="dataSharing"), BAD),
    ("anhui", "lower-case or missing sign", soap("<sign>", "<sign>0"), AUTH),
    ("anhui", "another code than signed", soap("<code>91310115MA0TERT167", "<code>91310115MAC0DEM080"), AUTH),
    ("anhui", "an old time", soap("<timestamp>20", "<timestamp>19"), AUTH),
    ("anhui", "another charset", utf16, BAD),
    ("anhui", "pages counted from 0", soap("<pageNo>1", "<pageNo>0"), BAD),
    ("anhui", "a page too large", soap("<pageSize>50", "<pageSize>500"), BAD),
    ("anhui", "no page", soap("<pageNo>1</pageNo>", ""), BAD),
]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_the_proxy_alone_changes_nothing(platform: str) -> None:
    assert (await through(platform, nothing)).outcome == OUTCOME_OK


@pytest.mark.parametrize(
    ("platform", "title", "mutate", "outcome"), BROKEN, ids=lambda v: v if isinstance(v, str) else ""
)
async def test_a_broken_rule_is_refused(platform: str, title: str, mutate: Mutation, outcome: int) -> None:
    answer = await through(platform, mutate)

    assert answer.outcome == outcome, (title, answer.said.reason)


def crowded(platform: str) -> World:
    """A world whose demo enterprise has 120 licences at one platform."""
    world = make_world(20)
    demo = world.enterprises[world.examples["demo"]]
    licence = next(fact for fact in demo.facts if fact.kind == "licence")
    for number in range(120):
        values = {**licence.values, "doc_no": f"沪许〔2024〕{number}号", "cert_no": f"C{number}"}
        demo.add("licence", values, **{platform: {}})
    return world


@pytest.mark.parametrize(("platform", "kind"), [("shanghai", SimulatedShanghai), ("anhui", SimulatedAnhui)])
async def test_many_records_are_read_over_all_their_pages(platform: str, kind: type[SimulatedPlatform]) -> None:
    module = import_module(f"connectors.{platform}")
    world = crowded(platform)
    running = Running(kind(world), "127.0.0.1")
    await running.start(0, 0)
    held = len(world.enterprises[world.examples["demo"]].at(platform, "licence"))
    async with aiohttp.ClientSession() as session:
        credentials = import_module(f"connectors.{platform}.sandbox").sandbox.credentials()
        answer = await ask(module.plugin.connect(ConnectorSetup(running.url, session, SystemTime(), credentials)), 10)

    await running.aclose()
    numbers = {licence.document_number for licence in answer.said.records.licences}
    assert (answer.outcome, len(answer.said.records.licences), len(numbers)) == (OUTCOME_OK, held, held)
    assert running.simulated.faults.calls >= 3
