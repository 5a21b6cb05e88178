"""Faults of a simulated platform: what they do where a case is odd, and what is left of a call whose caller has hung up."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from connectors.kit.conformance import SystemTime, ask
from connectors.kit.sandbox import SandboxOf
from connectors.shanghai import plugin as shanghai_plugin
from connectors.shanghai.sandbox import sandbox as shanghai
from connectors.zhejiang.sandbox import sandbox as zhejiang
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER
from gateway.ports import ConnectorSetup

_ASKS = b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"
_BEGINS_A_FORM = (
    b"POST /gateway/api/001008007012001/dataSharing/xinyidai.htm HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\ncode="
)


@pytest.mark.parametrize(
    ("platform", "fault", "sent"),
    [
        pytest.param(shanghai, "huge", _ASKS, id="in the middle of an answer"),
        pytest.param(zhejiang, "", _BEGINS_A_FORM, id="in the middle of a question"),
    ],
)
async def test_a_caller_that_hangs_up_leaves_nothing_in_the_log(
    platform: SandboxOf, fault: str, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    running = await platform.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    try:
        if fault:
            await running.set_fault(fault, mib=64)
        host, _, port = running.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        if fault:
            assert await reader.read(1) == b"H"
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.1)
    finally:
        await running.aclose()

    assert not caplog.records


async def test_another_charset_is_sent_of_rare_characters_too(caplog: pytest.LogCaptureFixture) -> None:
    running = await shanghai.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    try:
        rare = running.simulated.world.examples["rare_characters"]
        await running.set_fault("charset")
        async with aiohttp.ClientSession() as session:
            setup = ConnectorSetup(running.url, session, SystemTime(), shanghai.credentials())
            answer = await ask(shanghai_plugin.connect(setup), uscc=rare)
    finally:
        await running.aclose()

    assert (answer.outcome, answer.said.reason) == (OUTCOME_BAD_ANSWER, "charset")
    assert not caplog.records
