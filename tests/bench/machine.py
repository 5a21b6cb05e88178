"""What was measured on: machine, versions and the load it had beside."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGES: Final = (
    "grpcio", "aiohttp", "uvloop", "protobuf", "msgspec", "structlog", "prometheus-client", "opentelemetry-sdk", "tenacity",
    "aiosqlite",
)  # fmt: skip


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
        "Packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }
