"""Which addresses can be reached from this machine only."""

from __future__ import annotations

import ipaddress


def is_loopback_address(listen: str) -> bool:
    """Whether "host:port" can be reached from this machine only."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
