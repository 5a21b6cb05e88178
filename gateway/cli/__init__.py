"""The command `xinyidai`: every door of the gateway for people."""

from gateway.cli.main import main

__all__ = ["main"]
