"""What was measured on: machine, versions and the load it had beside."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.bench.load import ms

_PACKAGES: Final = (
    "grpcio", "aiohttp", "uvloop", "protobuf", "msgspec", "structlog", "prometheus-client", "opentelemetry-sdk", "tenacity",
    "aiosqlite",
)  # fmt: skip

_SYNCS: Final = 100
_ENTRY_BYTES: Final = 1_500
_APART_S: Final = 0.005


def machine() -> Mapping[str, str]:
    """Gives machine and versions, as lines of the page."""
    cpus = os.cpu_count() or 1
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "Day": datetime.now(UTC).date().isoformat(),
        "Machine": f"{cpus} cores ({model}), {memory_gib:.0f} GiB, {platform.system()} {platform.release()}, loopback only",
        "Load averages when it began": load,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Disk": _disk(),
        "Packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _disk() -> str:
    """Says how long the disk takes to have an entry of the trail for good: no answer leaves before it has."""
    took_s = []
    with tempfile.NamedTemporaryFile("ab", buffering=0) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(_ENTRY_BYTES))
            os.fdatasync(file.fileno())
            took_s.append(time.perf_counter() - began)
            time.sleep(_APART_S)
    half, most = ms(took_s, 0.5), ms(took_s, 0.99)
    return (
        f"{half:.1f} ms p50, {most:.1f} ms p99 to append {_ENTRY_BYTES:,} bytes and sync them, as each answer waits for"
    )
