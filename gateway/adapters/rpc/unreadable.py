"""Bytes that are no message: refused with INVALID_ARGUMENT like any other bad request.

gRPC's own answer to a deserializer that raises is UNKNOWN with the exception's class in its text, and a traceback in the log
for each of a flood. So a deserializer gives `UNREADABLE` instead, whose every field is that refusal: readable requests pay
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

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


def readable(handlers: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the handlers of a service with deserializers that never raise; one without takes the bytes themselves."""
    return {
        name: handler._replace(request_deserializer=_never_raising(handler.request_deserializer))
        for name, handler in handlers.items()
    }


def _never_raising(read: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if read is None:
        return None

    def safely(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return UNREADABLE

    return safely
