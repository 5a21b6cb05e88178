"""Egress: declared hosts only, whatever asks."""

from __future__ import annotations

import aiohttp
import pytest

from connectors.kit.conformance import SystemTime, ask
from connectors.shanghai import plugin
from connectors.shanghai.sandbox import sandbox
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE
from gateway.adapters.egress import DeclaredHostsConnector
from gateway.domain.answer import is_retryable
from gateway.ports import ConnectorSetup


async def test_A15_a_host_that_is_not_declared_is_not_addressed() -> None:
    running = await sandbox.start("127.0.0.1", 0, 0, enterprises=20, seed=1)
    async with aiohttp.ClientSession(connector=DeclaredHostsConnector([running.url])) as session:
        declared = await ask(plugin.connect(ConnectorSetup(running.url, session, SystemTime(), sandbox.credentials())))
        other = await ask(
            plugin.connect(ConnectorSetup(running.control_url, session, SystemTime(), sandbox.credentials()))
        )
        with pytest.raises(aiohttp.InvalidURL):
            await session.get("http://169.254.169.254/latest/meta-data")

    await running.aclose()
    assert declared.outcome == OUTCOME_OK
    assert (other.outcome, other.said.reason) == (OUTCOME_UNREACHABLE, "egress")
    assert not is_retryable(other.outcome, other.said.reason)
