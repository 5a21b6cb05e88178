"""How a command asks a running gateway: over a channel of its own, in bounded time; ends the command where it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import grpc

from gateway.adapters.identity.kinds import BANK_KEY
from gateway.cli.client import explain
from gateway.cli.loop import run
from gateway.cli.options import fail
from gateway.cli.reach import Reach

T = TypeVar("T")
S = TypeVar("S")
_TIMEOUT_S: Final = 10.0


def called(call: Coroutine[Any, Any, T], at: Reach) -> T:
    """Gives what a call gives; where the gateway refuses it or is gone, says why and ends the command with 1."""
    try:
        return run(call)
    except grpc.aio.AioRpcError as error:
        raise fail(explain(error, at), 1) from error


def asked(at: Reach, stub: Callable[[grpc.aio.Channel], S], ask: Callable[[S, Any], Awaitable[T]], bank: str = "") -> T:
    """Gives what is asked of a service; `ask` is given its stub, and timeout and metadata for each call."""

    async def call() -> T:
        async with at.channel() as channel:
            more = {"timeout": _TIMEOUT_S, "metadata": ((BANK_KEY, bank),) if bank else ()}
            return await ask(stub(channel), more)

    return called(call(), at)
