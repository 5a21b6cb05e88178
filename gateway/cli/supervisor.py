"""The supervisor of `xinyidai serve --workers N`: holds the port, keeps N workers up, answers on the admin port for all.

    hold the port ─► admin port ─► N workers, each an interpreter of its own with one loop
                                     ends by itself ─► logged, its gauges forgotten, begun again after a growing pause
    SIGHUP ─► SIGHUP to all that are ready: they read policies and banks.toml anew
    SIGTERM ─► /readyz 503 ─► SIGTERM to all ─► drained, or killed after the drain's time ─► admin port closed

The supervisor serves no query and imports no connector's work: what can crash a worker cannot crash it. Its port is bound
and never listened on, so that no other program can take it while workers come and go. A worker whose supervisor is gone
ends by itself (`worker.py`), so none is ever left behind.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.adapters.telemetry.metrics import forget_process
from gateway.adapters.telemetry.worker_metrics import WorkerMetrics
from gateway.adapters.web.admin import AdminServer
from gateway.adapters.web.lifecycle import STUCK_S, Stage, ails
from gateway.application.rounds import Rounds
from gateway.cli.worker import READY, complaint_in
from gateway.domain.errors import ConfigError

CONFIG_FAULT: Final = 2
"""The exit code of a worker that would fail in the same way again."""
_SETTLED_S: Final = 60.0
"""How long a worker must have lived for its end to count as a first one."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0
_READ_BYTES: Final = 1_024
_KILL_AFTER_S: Final = 5.0
"""How long after the drain's time a worker may take to close its files."""
_LOOK_S: Final = 0.5
"""How often silent workers are looked for."""


def pause_s(ends_in_a_row: int) -> float:
    """Gives how long to wait before a worker that ended so many times in a row is begun again: nothing the first time."""
    if ends_in_a_row <= 1:
        return 0.0
    return min(_FIRST_PAUSE_S * 2.0 ** (ends_in_a_row - 2), _LONGEST_PAUSE_S)


@dataclass(slots=True)
class Slot:
    """One worker's place: who holds it now, and how it is."""

    number: int
    process: asyncio.subprocess.Process | None = None
    is_ready: bool = False
    is_silent: bool = False
    complaint: str = ""
    last_beat: float = 0.0
    ends_in_a_row: int = 0


class HeldPort:
    """A port that is bound and not listened on: it is ours for as long as this is open, and workers share it.

    Raises ConfigError when another program has it, one that would share it included: two gateways on one port would take
    each other's calls.
    """

    def __init__(self, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, int(port)))
                free = probe.getsockname()[1]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind((host, free))
        except OSError as error:
            raise ConfigError(
                [f"gateway.toml: server.listen: cannot listen on {listen}: {error.strerror or error}"]
            ) from error
        self.port: int = free
        self.address = f"{listen.rpartition(':')[0]}:{free}"

    def close(self) -> None:
        """Lets the port go."""
        self._socket.close()


class Supervisor:
    """Keeps workers up; `command` gives what starts the worker of a number, `folder` is where they keep their numbers."""

    def __init__(
        self,
        workers: int,
        command: Callable[[int], Sequence[str]],
        environment: dict[str, str],
        folder: Path,
        *,
        port: int,
        drain_s: float,
        silent_s: float = STUCK_S,
    ) -> None:
        """Takes after how much silence of a worker it is taken to hang."""
        self._slots = [Slot(number) for number in range(1, workers + 1)]
        self._command = command
        self._environment = environment
        self._folder = str(folder)
        self._port = port
        self._drain_s = drain_s
        self._silent_s = silent_s
        self._stage = Stage.STARTING
        self._log = structlog.get_logger("gateway")
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._was_ready = False
        self._metrics = WorkerMetrics(workers, self._folder)

    async def run(self, stopped: asyncio.Event, admin: str | None) -> int:
        """Keeps the workers up until the event, then drains them; gives the exit code. Raises ConfigError."""
        lag = LoopLag(lambda _: None)
        looking = Rounds("supervisor.look", self._look, every_s=min(_LOOK_S, self._silent_s))
        port = AdminServer(self._page, ails=lambda: self._ails(lag.lag_s), unready=self.unready)
        try:
            admin_port = await port.start(admin) if admin is not None else None
            self._log.info("supervisor.serving", port=self._port, admin_port=admin_port, workers=len(self._slots))
            self._stage = Stage.SERVING
            looking.start()
            keeping = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
            told = asyncio.create_task(stopped.wait())
            # Keeping ends by itself only where it makes no sense to go on: a fault of the configuration, or one of ours.
            await asyncio.wait([told, *keeping], return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            await looking.aclose()  # a worker that drains may be busy with that
            await self._drain(keeping)
        finally:
            await looking.aclose()
            await lag.aclose()
            await port.aclose()
        return self._exit_code

    def reload(self) -> None:
        """Has every worker that is ready read policies and banks.toml anew; one that is starting reads them anyway."""
        self._signal(signal.SIGHUP, only_ready=True)

    def unready(self) -> str:
        """Gives why no queries should be sent to the port, nothing where every worker that is ready answers them."""
        if self._stage is not Stage.SERVING:
            return self._stage
        if not any(slot.is_ready for slot in self._slots):
            return "no worker is ready 尚无工作进程就绪"
        # One is enough: the kernel deals calls to all of them.
        return "\n".join(
            f"worker {slot.number} 工作进程 {slot.number}: {slot.complaint}" for slot in self._slots if slot.complaint
        )

    async def _keep(self, slot: Slot) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code = await self._one_life(slot)
            except OSError as error:  # no process to be had: out of memory, of processes or of descriptors
                self._log.error("worker.not_started", worker=slot.number, why=error.strerror)
                code = None
            if self._stopping.is_set():
                return
            if code == CONFIG_FAULT and not self._was_ready:
                self._exit_code = CONFIG_FAULT  # it has listed its faults; all others would end like it
                self._stopping.set()
                return
            self._metrics.worker_ended()
            slot.ends_in_a_row = 1 if time.monotonic() - began >= _SETTLED_S else slot.ends_in_a_row + 1
            pause = pause_s(slot.ends_in_a_row)
            self._log.error("worker.ended", worker=slot.number, code=code, again_in_s=pause)
            try:  # not wait_for, which swallows a cancellation that comes as the event is set (Python 3.11)
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _one_life(self, slot: Slot) -> int:
        """Starts the slot's worker and follows it to its end; gives its exit code, that of a signal below zero."""
        process = await asyncio.create_subprocess_exec(
            *self._command(slot.number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        slot.process = process
        assert process.stdout is not None
        if self._stopping.is_set():  # told to stop while it was being started
            process.terminate()
        rest = b""
        while said := await process.stdout.read(_READ_BYTES):
            slot.last_beat = time.monotonic()
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                self._heard(slot, line, process.pid)
        slot.is_ready, slot.is_silent, slot.complaint = False, False, ""
        code = await process.wait()
        slot.process = None
        forget_process(process.pid, self._folder)
        return code

    def _heard(self, slot: Slot, line: bytes, pid: int) -> None:
        if not slot.is_ready and line + b"\n" == READY:
            slot.is_ready = self._was_ready = True
            self._log.info("worker.ready", worker=slot.number, pid=pid)
        slot.complaint = complaint_in(line) or ""

    async def _drain(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        self._stage = Stage.DRAINING
        self._stopping.set()
        self._log.info("supervisor.draining", at_most_s=self._drain_s)
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._drain_s + _KILL_AFTER_S)
        if late:
            self._log.error("supervisor.killing", workers=[slot.number for slot in self._slots if slot.process])
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)
        for task in keeping:
            task.result()
        self._log.info("supervisor.stopped")

    def _signal(self, number: signal.Signals, *, only_ready: bool = False) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.returncode is None and (slot.is_ready or not only_ready):
                slot.process.send_signal(number)

    async def _look(self) -> None:
        """Tells once of each worker that hangs, and once that it goes on: it does not end, so nothing else would."""
        for slot in self._slots:
            was_silent, slot.is_silent = slot.is_silent, self._hangs(slot)
            if slot.is_silent and not was_silent:
                pid = slot.process.pid if slot.process is not None else None
                self._log.error("worker.silent", worker=slot.number, pid=pid, note="kill it to have it replaced")
            elif was_silent and not slot.is_silent:
                self._log.warning("worker.heard", worker=slot.number)

    def _hangs(self, slot: Slot) -> bool:
        return slot.is_ready and time.monotonic() - slot.last_beat > self._silent_s

    def _ails(self, lag_s: float) -> str:
        now = time.monotonic()
        silent = [
            f"worker {slot.number} has been silent for {now - slot.last_beat:.0f} s "
            f"工作进程 {slot.number} 已 {now - slot.last_beat:.0f} 秒无响应"
            for slot in self._slots
            if self._stage is Stage.SERVING and self._hangs(slot)
        ]
        return ails(lag_s) or "\n".join(silent)

    async def _page(self) -> bytes:
        return await self._metrics.page(sum(slot.is_ready and not self._hangs(slot) for slot in self._slots))


def worker_command(arguments: Sequence[str], workers: int) -> Callable[[int], Sequence[str]]:
    """Gives what starts a worker by its number: this interpreter, this command, the same arguments."""
    return lambda number: [sys.executable, "-m", "gateway.cli", "serve", *arguments, "--worker", f"{number}/{workers}"]
