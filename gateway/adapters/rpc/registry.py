"""Every method by its name: what the generated `add_…Servicer_to_server` functions register handlers at.

Handlers are found by one look-up, and none is registered at gRPC's core: `grpc.aio` waits for each method that is by a task
of its own, and goes through all of them for every call (seen in grpcio 1.85).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import grpc

from gateway.adapters.telemetry.trace_context import Metadata

METADATA: Final[ContextVar[Metadata]] = ContextVar("gateway_call_metadata", default=())
"""The metadata of the call under way, as gRPC hands them to whoever looks for its handler: a context would copy them anew.

Each call has a task of its own, and its handler is looked for in it. Empty outside of a server's calls.
"""


class Registry(grpc.GenericRpcHandler):
    """All handlers of a server, put behind a door by `guarding`, which takes a service's full name and its handlers."""

    def __init__(self, guarding: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._guarding = guarding
        self._handlers: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Gives the handler of a call's method, None for one that nobody registered."""
        METADATA.set(handler_call_details.invocation_metadata)
        return self._handlers.get(handler_call_details.method)

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Takes none: the same handlers come by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Takes the handlers of a service; one that is there already is replaced."""
        for name, handler in self._guarding(service, handlers).items():
            self._handlers[f"/{service}/{name}"] = handler
