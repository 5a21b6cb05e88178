"""Every method that the server registers, by the registering itself: what a test goes by needs no list of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from gateway.adapters.rpc import server as rpc_server


class _Listing:
    """A door that lets nobody in, and notes what is put behind it."""

    def __init__(self) -> None:
        self.methods: set[str] = set()

    def guarding(self, service: str, handlers: Mapping[str, Any]) -> Mapping[str, Any]:
        self.methods |= {f"{service.rpartition('.')[2]}/{name}" for name in handlers}
        return handlers


def registered_methods() -> list[str]:
    """Gives the methods behind the door of a real server, as "<Service>/<Method>"."""
    door: Any = _Listing()
    service: Any = _AnyService()
    limits = rpc_server.ServerLimits(1024, 1024, 10)
    callers: Any = SimpleNamespace()
    rpc_server.RpcServer(
        service,
        service,
        service,
        service,
        service,
        service,
        service,
        door,
        SimpleNamespace(),  # type: ignore[arg-type]
        (),
        limits,
        callers,
        None,
        is_store_red=lambda: False,
        green=service,
        repairs=service,
    )
    return sorted(door.methods)


class _AnyService:
    def __getattr__(self, name: str) -> Any:
        async def behaviour(request: Any, context: Any) -> None:
            raise NotImplementedError

        return behaviour


METHODS: Final = registered_methods()
