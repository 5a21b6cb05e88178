"""The command `xinyidai`: every door of the gateway for people.

gRPC's core writes a line of its own for each handshake that fails, which anybody can cause; it is told to keep to errors
before it is loaded, unless the operator has said otherwise.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from gateway.cli.main import main

__all__ = ["main"]
