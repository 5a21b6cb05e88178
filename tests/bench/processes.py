"""Processes the benchmark starts: their addresses, the CPU time they have used, and their certain end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from uuid import uuid4

_ROOT: Final = Path(__file__).parents[2]
_SCHEDULED: Final = 2  # CPUCLOCK_SCHED of the kernel
_START_S: Final = 40.0
_STOP_S: Final = 10.0


class StartError(Exception):
    """A process said nothing of where it listens, or has ended when it was still to be measured."""


class Process:
    """A process that is up; `addresses` are the ports or URLs it announced."""

    def __init__(self, module: str, popen: subprocess.Popen[bytes], addresses: list[int | str]) -> None:
        self._module = module
        self._popen = popen
        self.addresses = addresses

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    def cpu_s(self) -> float:
        """Gives the CPU seconds used so far: user and system, all threads, those that ended included."""
        if self._popen.poll() is not None:
            raise StartError(f"{self._module} has ended")
        # The clock clock_getcpuclockid(3) names, which counts nanoseconds; /proc/PID/stat counts hundredths of a second.
        return time.clock_gettime((~self.pid << 3) | _SCHEDULED)

    def resident_kib(self) -> int:
        """Gives how much memory the process has resident now."""
        return self._status_kib("VmRSS")

    def most_resident_kib(self) -> int:
        """Gives how much memory it had resident at most since it started."""
        return self._status_kib("VmHWM")

    def _status_kib(self, key: str) -> int:
        return next((int(line.split()[1]) for line in self._told("status").splitlines() if line.startswith(key)), 0)

    def _told(self, what: str) -> str:
        if self._popen.poll() is not None:
            raise StartError(f"{self._module} has ended")
        return Path(f"/proc/{self._popen.pid}/{what}").read_text()

    async def stop(self) -> None:
        """Ends the process: politely, then not."""
        await _end(self._popen)


async def start(stack: AsyncExitStack, folder: Path, module: str, *arguments: str) -> Process:
    """Starts `python -m module` and waits for its announcement; the stack ends it. Raises StartError with its last line."""
    log = folder / f"{uuid4().hex}.log"
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", "PYTHONHASHSEED": "0"}
    with log.open("wb") as stderr:
        popen = subprocess.Popen(  # noqa: ASYNC220  # starts in a millisecond, before anything is measured
            [sys.executable, "-m", module, *arguments],
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    stack.push_async_callback(_end, popen)
    assert popen.stdout is not None
    try:
        line = await asyncio.wait_for(asyncio.to_thread(popen.stdout.readline), _START_S)
    except TimeoutError as error:
        popen.kill()  # frees the thread that still reads
        raise StartError(f"{module} announced nothing in {_START_S:.0f} s") from error
    if not line:
        said = log.read_text(errors="replace").strip().splitlines()
        raise StartError(said[-1] if said else f"{module} ended without a word")
    return Process(module, popen, json.loads(line))


async def _end(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        popen.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(popen.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
    if popen.stdout is not None:
        popen.stdout.close()
