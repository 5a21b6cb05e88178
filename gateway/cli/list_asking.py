"""How the commands about joint lists ask a running gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2_grpc
from gateway.adapters.identity.kinds import BANK_KEY
from gateway.cli.client import explain
from gateway.cli.loop import run
from gateway.cli.options import fail
from gateway.cli.reach import Reach

if TYPE_CHECKING:
    Stub = joint_list_service_pb2_grpc.JointListServiceAsyncStub  # there for types only
else:
    Stub = Any

T = TypeVar("T")
_TIMEOUT_S: Final = 10.0


def asked(at: Reach, bank: str, ask: Callable[[Stub, Any], Awaitable[T]]) -> T:
    """Gives what the gateway answers; `ask` is given timeout and metadata too. Ends the command where it refuses."""

    async def call() -> T:
        async with at.channel() as channel:
            more = {"timeout": _TIMEOUT_S, "metadata": ((BANK_KEY, bank),) if bank else ()}
            return await ask(joint_list_service_pb2_grpc.JointListServiceStub(channel), more)

    try:
        return run(call())
    except grpc.aio.AioRpcError as error:
        raise fail(explain(error, at), 1) from error
