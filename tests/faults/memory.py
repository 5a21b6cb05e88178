"""How much memory this process has, as the system tells it: what is held outside of Python counts too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024


def forget_peak() -> None:
    """Has the system count the most memory this process has had from now on (proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory_bytes(kind: str) -> int:
    """Gives the resident memory now ("VmRSS") or at its peak ("VmHWM") in bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(kind)), 0)
