"""What every process of the benchmark does alike: announce its ports on standard output, run on uvloop, end on SIGTERM.

Each may open as many files as the system lets it: with 10,000 queries in flight that is what runs out first.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
import uvloop

METHOD: Final = "/bench.Peer/Ask"
OPTIONS: Final = (
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    ("grpc.server_max_unrequested_time_in_server", 600),
    ("grpc.max_concurrent_streams", 20_000),
    ("grpc.so_reuseport", 0),
)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs a process's main coroutine; the event it gets is set on SIGTERM or SIGINT."""
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

    async def until_told() -> None:
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        await main(told)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_told())


def announce(*addresses: int | str) -> None:
    """Tells the parent where this process listens."""
    print(json.dumps(addresses), flush=True)


async def serve(
    handler: Callable[..., Awaitable[object]],
    told: asyncio.Event,
    *,
    request: Callable[[bytes], object] | None,
    response: Callable[..., bytes] | None,
    interceptors: Sequence[Any] = (),
) -> None:
    """Serves one unary method on a free port until told to end; without (de)serializers it is bytes in, bytes out."""

    async def ask(message: object, _context: object) -> object:
        return await handler(message)

    server = grpc.aio.server(options=OPTIONS, interceptors=interceptors)
    service, _, method = METHOD.strip("/").partition("/")
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(ask, request_deserializer=request, response_serializer=response)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce(port)
    await told.wait()
    await server.stop(1.0)
