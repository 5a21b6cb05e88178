"""How many files a gateway may open, and how near it is to that; each in a process of its own, whose limit is its own."""

from __future__ import annotations

import asyncio
import sys

_ALLOW = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
from gateway.adapters.telemetry.open_files import allow_most
print(allow_most(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""
_SHARE = """
import os, resource
from gateway.adapters.telemetry.open_files import share_open
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
few = share_open()
held = []
while True:
    try:
        held.append(os.dup(0))
    except OSError:
        break
full = share_open()
del held[:0], few  # open until here
print(full)
"""


async def _said(program: str) -> str:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_as_many_are_allowed_as_may_be() -> None:
    assert await _said(_ALLOW) == "128 (128, 128)"


async def test_the_share_is_told_when_none_is_left_to_look_with() -> None:
    assert await _said(_SHARE) == "1.0"
