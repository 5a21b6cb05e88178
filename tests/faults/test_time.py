"""Faults in which time is the point (fault catalogue, U2 to U5 and U10 to U12), in simulated time on real sockets."""

from __future__ import annotations

import asyncio

from tests.faults.declared import fault
from tests.faults.dialects import DIALECTS
from tests.faults.proxy import Exchange, Script, forward
from tests.faults.simulated import Simulated, host_of

NAME = "platform.invalid"


def on_data(platform: str, script: Script) -> Script:
    """Gives a script that plays another one for the request that brings the data, and forwards the rest."""
    path = DIALECTS[platform].data_path

    async def only_data(exchange: Exchange) -> None:
        await (script if path in exchange.target else forward)(exchange)

    return only_data


@fault("U2", "connections vanish in a black hole", "连接如入黑洞", "TIMEOUT(connect)", is_simulated=True)
def test_U2_a_black_hole_is_given_up_at_the_connects_own_limit(simulated: Simulated) -> None:
    simulated.address = lambda url: host_of(url, NAME)
    simulated.names = {NAME: ["127.0.0.9"]}
    simulated.black_holes = {"127.0.0.9"}

    seen = simulated.ask(20.0)

    simulated.check(seen, within_s=12.0)
    assert seen.answer.attempts == 3


@fault("U3", "the name does not resolve", "域名无法解析", "UNREACHABLE(dns)", is_simulated=True)
def test_U3_a_name_that_does_not_resolve_is_unreachable_and_asked_again(simulated: Simulated) -> None:
    simulated.address = lambda url: host_of(url, NAME)

    seen = simulated.ask()

    simulated.check(seen, within_s=1.0)
    assert seen.answer.attempts == 3


@fault("U4", "one of two addresses is dead", "两个地址之一不可用", "OK", is_simulated=True)
def test_U4_the_address_that_lives_is_used_without_waiting_for_the_dead_one(simulated: Simulated) -> None:
    simulated.address = lambda url: host_of(url, NAME)
    simulated.names = {NAME: ["127.0.0.9", "127.0.0.1"]}
    simulated.black_holes = {"127.0.0.9"}

    seen = simulated.ask()

    simulated.check(seen, within_s=3.0)
    assert seen.answer.attempts == 1


@fault("U4", "both of two addresses are dead", "两个地址均不可用", "TIMEOUT(connect)", is_simulated=True)
def test_U4_addresses_that_are_all_dead_are_given_up_before_the_querys_time(simulated: Simulated) -> None:
    simulated.address = lambda url: host_of(url, NAME)
    simulated.names = {NAME: ["127.0.0.8", "127.0.0.9"]}
    simulated.black_holes = {"127.0.0.8", "127.0.0.9"}

    seen = simulated.ask(60.0)

    simulated.check(seen, within_s=30.0)


@fault("U5", "the TLS handshake stalls", "TLS 握手停滞", "TIMEOUT(connect)", is_simulated=True)
def test_U5_a_handshake_that_stalls_has_a_limit_of_its_own(simulated: Simulated) -> None:
    # The proxy speaks no TLS: it waits for the end of a request's head, and the client for a hello that never comes.
    simulated.address = lambda url: url.replace("http://", "https://")

    seen = simulated.ask(20.0)

    simulated.check(seen, within_s=12.0)
    assert (seen.answer.attempts, seen.open_connections) == (3, 0)


@fault("U10", "headers never come", "响应头迟迟不到", "TIMEOUT(deadline)", is_simulated=True)
def test_U10_headers_that_never_come_end_with_the_querys_time_and_the_socket(simulated: Simulated) -> None:
    async def hangs(exchange: Exchange) -> None:
        await exchange.hang()

    simulated.script = on_data(simulated.about.platform, hangs)

    seen = simulated.ask()

    simulated.check(seen)
    assert seen.open_connections == 0


@fault("U11", "the body stalls half-way", "响应体中途停滞", "TIMEOUT(deadline)", is_simulated=True)
def test_U11_a_body_that_stalls_ends_with_the_querys_time_and_nothing_of_it_is_kept(simulated: Simulated) -> None:
    async def stalls(exchange: Exchange) -> None:
        wire = (await exchange.original()).wire()
        exchange.write(wire[: len(wire) - 20])
        await exchange.hang()

    simulated.script = on_data(simulated.about.platform, stalls)

    seen = simulated.ask()

    simulated.check(seen)
    assert seen.open_connections == 0


@fault(
    "U11",
    "the bytes of a stalled body are reported",
    "报告停滞前已读字节数",
    "TIMEOUT(deadline)",
    is_simulated=True,
)
def test_U11_the_bytes_that_had_come_are_reported(simulated: Simulated) -> None:
    length = 0

    async def stalls(exchange: Exchange) -> None:
        nonlocal length
        original = await exchange.original()
        length = len(original.body)
        exchange.write(original.wire()[:-20])
        await exchange.hang()

    simulated.script = on_data(simulated.about.platform, stalls)

    seen = simulated.ask()

    simulated.check(seen)
    assert seen.answer.detail == f"{length - 20} bytes of the body had come"


@fault("U12", "drip feed, each gap short", "逐字节滴流", "TIMEOUT(deadline)", is_simulated=True)
def test_U12_a_drip_feed_is_ended_by_the_limit_on_the_whole(simulated: Simulated) -> None:
    async def drips(exchange: Exchange) -> None:
        for byte in (await exchange.original()).wire():
            if exchange.is_given_up:
                return
            exchange.write(bytes([byte]))
            await asyncio.sleep(0.2)

    simulated.script = on_data(simulated.about.platform, drips)

    seen = simulated.ask()

    simulated.check(seen)
    assert seen.open_connections == 0
