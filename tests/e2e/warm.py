"""A process that has loaded every command and forks one when asked: a test then need not wait for two seconds of imports.

What it runs is the command itself, in a process of its own, with the arguments, folder, environment and pipes it was given;
what it spares is the start of the interpreter, which `test_command.py` still tries whole. One such process for each language,
since texts are chosen when they are loaded.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

_MODULES = (
    "up", "demo_command", "query", "check", "access", "certs", "consents", "store", "operator", "audit", "archive",
    "verify", "keys",
)  # fmt: skip


class Started:
    """A command that was started: its pipes, and how it ends."""

    def __init__(self, pid: int, told: socket.socket, out: asyncio.StreamReader, err: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = out
        self.stderr = err
        self.returncode: int | None = None
        self._told = told

    async def communicate(self) -> tuple[bytes, bytes]:
        """Reads both pipes to their end and waits."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err

    async def wait(self) -> int:
        """Gives the code it ended with, below zero by a signal."""
        if self.returncode is None:
            said = await asyncio.get_running_loop().sock_recv(self._told, 64)
            self._told.close()
            self.returncode = os.waitstatus_to_exitcode(int(said or b"255"))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


async def start(*arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> Started:
    """Starts the command with these arguments."""
    told = socket.socket(socket.AF_UNIX)
    told.connect(_address(env.get("LC_ALL", "C.UTF-8")))
    ours, theirs = zip(os.pipe(), os.pipe(), strict=True)
    question = json.dumps({"arguments": arguments, "env": dict(env), "cwd": str(cwd or Path.cwd())}).encode()
    socket.send_fds(told, [len(question).to_bytes(4, "big")], list(theirs))
    told.sendall(question)
    for descriptor in theirs:
        os.close(descriptor)
    told.setblocking(False)
    pid = int.from_bytes(await asyncio.get_running_loop().sock_recv(told, 4), "big")
    out, err = [await _reader(descriptor) for descriptor in ours]
    return Started(pid, told, out, err)


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20, loop=loop)
    pipe = os.fdopen(descriptor, "rb")
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader, loop=loop), pipe)
    return reader


@lru_cache
def _address(language: str) -> str:
    folder = tempfile.TemporaryDirectory(prefix="xinyidai-warm-")
    path = f"{folder.name}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.warm", path],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "LANG": language, "LC_ALL": language},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(folder.cleanup)
    atexit.register(process.wait)
    atexit.register(process.stdin.close)
    assert process.stdout.readline() == b"warm\n"
    return path


def _serve(path: str) -> None:
    """Forks a command for each connection until the standard input ends."""
    for module in _MODULES:
        import_module(f"gateway.cli.{module}")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("warm", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _watch(connection)
        connection.close()


def _watch(connection: socket.socket) -> None:
    """Forks the command, tells its pid, waits, and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, descriptors, _, _ = socket.recv_fds(connection, 4, 2)
    left, question = int.from_bytes(size, "big"), b""
    while len(question) < left:
        question += connection.recv(left - len(question))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(json.loads(question), descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(pid.to_bytes(4, "big"))
    _, status = os.waitpid(pid, 0)
    connection.sendall(str(status).encode())
    os._exit(0)


def _become(question: dict[str, Any], descriptors: list[int]) -> None:
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for target, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(question["cwd"])
    os.environ.clear()
    os.environ.update(question["env"])
    sys.argv = ["xinyidai", *question["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  # for its whole life
    from gateway.cli import main

    code: Any = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(sys.argv[1])
