"""grpc.aio alone: bytes in, bytes out, no platforms; what no Python gRPC server on this machine goes under."""

from __future__ import annotations

import asyncio

from tests.bench.child import run, serve
from tests.bench.fixture import ENTERPRISES, truth


async def main(told: asyncio.Event) -> None:
    """Serves the same answer to everything until told to end."""
    content = truth(ENTERPRISES[0]).SerializeToString()

    async def answer(_request: bytes) -> bytes:
        return content

    await serve(answer, told, request=None, response=None)


if __name__ == "__main__":
    run(main)
