"""Faults of a simulated platform: what is left of a call whose caller has hung up."""

from __future__ import annotations

import asyncio

import pytest

from connectors.kit.sandbox import SandboxOf
from connectors.shanghai.sandbox import sandbox as shanghai
from connectors.zhejiang.sandbox import sandbox as zhejiang

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
