"""The four sandboxes in one process, found by entry point as `xinyidai sandbox` finds them."""

from __future__ import annotations

import asyncio
import sys

from connectors.kit.enterprises import DEFAULT_SEED
from gateway.connector_bootstrap import find_sandboxes
from tests.bench.child import announce, run
from tests.bench.gateway_server import DIALECTS


async def main(told: asyncio.Event) -> None:
    """Serves until told to end; exits with a reason when a sandbox is missing."""
    found = find_sandboxes(DIALECTS)
    missing = [name for name in DIALECTS if name not in found]
    if missing:
        sys.exit(f"no sandbox yet of {', '.join(missing)}")
    running = [await found[name].start("127.0.0.1", 0, 0, enterprises=100, seed=DEFAULT_SEED) for name in DIALECTS]
    try:
        announce(*(sandbox.url for sandbox in running))
        await told.wait()
    finally:
        for sandbox in running:
            await sandbox.aclose()


if __name__ == "__main__":
    run(main)
