"""Egress: declared hosts only, whatever asks."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from connectors.kit.conformance import SystemTime, ask
from connectors.shanghai import plugin
from connectors.shanghai.sandbox import sandbox
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK, OUTCOME_UNREACHABLE
from gateway.adapters.egress import OPENING_AT_ONCE, DeclaredHostsConnector, _Turns
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


async def test_a_burst_opens_only_so_many_connections_at_once_and_all_are_opened() -> None:
    opening = 0
    most = 0

    async def begun(*_: object) -> None:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)

    async def ended(*_: object) -> None:
        nonlocal opening
        opening -= 1

    everybody_is_here = asyncio.Barrier(4 * OPENING_AT_ONCE)

    async def answer(_request: web.BaseRequest) -> web.Response:
        await everybody_is_here.wait()  # no connection is free before all are open
        return web.Response()

    watch = aiohttp.TraceConfig()
    watch.on_connection_create_start.append(begun)
    watch.on_connection_create_end.append(ended)
    server = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async with aiohttp.ClientSession(
        connector=DeclaredHostsConnector([url], limit=0), trace_configs=[watch]
    ) as session:
        answers = await asyncio.gather(*(session.get(url) for _ in range(4 * OPENING_AT_ONCE)))
    server.close()

    assert [answer.status for answer in answers] == [200] * 4 * OPENING_AT_ONCE
    assert most == OPENING_AT_ONCE


async def test_who_gives_up_waiting_for_a_turn_to_connect_takes_none() -> None:
    turns = _Turns()
    turns.free = 0
    gone, popped, kept = (asyncio.ensure_future(turns.wait()) for _ in range(3))
    await asyncio.sleep(0)

    gone.cancel()
    await asyncio.sleep(0)
    popped.cancel()
    turns.leave()  # passes over who was cancelled in this very moment
    await asyncio.wait({gone, popped, kept}, timeout=1)
    turns.leave()

    assert gone.cancelled()
    assert popped.cancelled()
    assert kept.result() is None
    assert turns.free == 1


async def test_a_turn_that_came_as_its_waiter_was_cancelled_goes_to_the_next() -> None:
    turns = _Turns()
    turns.free = 0
    first, second = (asyncio.ensure_future(turns.wait()) for _ in range(2))
    await asyncio.sleep(0)

    turns.leave()
    first.cancel()
    await asyncio.wait({first, second}, timeout=1)

    assert first.cancelled()
    assert second.result() is None
    assert turns.free == 0
