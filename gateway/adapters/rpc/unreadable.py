"""Bytes that are no message: refused with INVALID_ARGUMENT like any other bad request.

gRPC's own answer to a deserializer that raises is UNKNOWN with the exception's class in its text, and a traceback in the log
for each of a flood. So a deserializer gives `UNREADABLE` instead, whose every field is that refusal: readable requests pay
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from gateway.domain.errors import InvalidRequestError


class Unreadable:
    """What stands in place of a request whose bytes could not be read."""

    def __getattr__(self, name: str) -> NoReturn:
        """Refuses to be read."""
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raises InvalidRequestError."""
        raise InvalidRequestError("request", "its bytes are no message of the method's request type")


UNREADABLE: Final = Unreadable()


class Registry:
    """What the generated `add_…Servicer_to_server` functions register handlers at, on their way to the server.

    Everything registered is put behind the door by `guarding`, which takes a service's full name and its handlers.
    """

    def __init__(
        self, server: grpc.aio.Server, guarding: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        self._server = server
        self._guarding = guarding

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Takes none: the same handlers come by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Registers the handlers of a service, with deserializers that never raise."""
        safe = {
            name: handler._replace(request_deserializer=_never_raising(handler.request_deserializer))
            for name, handler in self._guarding(service, handlers).items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, safe),))
        self._server.add_registered_method_handlers(service, safe)


def _never_raising(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def safely(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return UNREADABLE

    return safely
