"""Open files (文件描述符) of this process and their limit: each connection is one, and with none left nobody new is heard."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

ENOUGH: Final = 4_096
"""What a gateway should be allowed: some hundred callers and platforms' connections, with room for a burst."""


def allow_most() -> int:
    """Allows this process as many as it may allow itself; gives how many those are.

    The usual 1,024 are for programs that look through all of them at each turn, which none of ours does.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):  # more than the kernel takes, though it is said to be allowed
        return allowed
    return most


def share_open() -> float:
    """Gives how many are open over how many may be."""
    try:
        count = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:  # to look takes one more
        return 1.0
    return count / resource.getrlimit(resource.RLIMIT_NOFILE)[0]
