"""How the commands about joint lists ask a running gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2_grpc
from gateway.cli import asking
from gateway.cli.reach import Reach

if TYPE_CHECKING:
    Stub = joint_list_service_pb2_grpc.JointListServiceAsyncStub  # there for types only
else:
    Stub = Any

T = TypeVar("T")


def asked(at: Reach, bank: str, ask: Callable[[Stub, Any], Awaitable[T]]) -> T:
    """Gives what the service of joint lists answers."""
    return asking.asked(at, joint_list_service_pb2_grpc.JointListServiceStub, ask, bank)
