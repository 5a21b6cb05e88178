"""The four sandboxes in a process of their own: their errors are on a standard error of their own, and told from the test's.

They listen below the range from which the system takes ports for outgoing connections: a platform that refuses leaves its
port for a while, and nobody's connection may take it in the meantime.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from random import SystemRandom
from typing import Final

from connectors.kit.enterprise import PLATFORMS
from gateway.connector_bootstrap import find_sandboxes

_PORTS: Final = range(20_000, 30_000)


def free_port() -> int:
    """Gives a port nobody listens on."""
    while True:
        port = SystemRandom().choice(_PORTS)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def main(enterprises: int, seed: int) -> None:
    """Announces each platform's two addresses as one line of JSON, and serves until SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    running = {}
    try:
        for name, sandbox in find_sandboxes(PLATFORMS).items():
            running[name] = await sandbox.start(
                "127.0.0.1", free_port(), free_port(), enterprises=enterprises, seed=seed
            )
        print(json.dumps({name: [one.url, one.control_url] for name, one in running.items()}), flush=True)
        await told.wait()
    finally:
        for one in running.values():
            await one.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
