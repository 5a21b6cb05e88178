"""The command as the first process of a container, where the kernel takes no default action on a signal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = ("unshare", "--pid", "--fork", "--kill-child")
LOADING = """
import importlib
import sys

command = importlib.import_module("gateway.cli.main")

def load():
    print("loading", flush=True)
    sys.stdin.read()

command.app = load
command.main()
"""
"""A command that is still loading what it runs: it goes on once nothing more is to be read."""


def may_be_first() -> bool:
    return (
        shutil.which(ALONE[0]) is not None
        and not subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not may_be_first(), reason="needs a process namespace of its own")
async def test_a_sigterm_before_a_container_s_command_has_loaded_ends_it() -> None:
    around = await asyncio.create_subprocess_exec(
        *ALONE, sys.executable, "-c", LOADING, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert around.stdin is not None
    assert around.stdout is not None
    assert await around.stdout.readline() == b"loading\n"
    (first,) = Path(f"/proc/{around.pid}/task/{around.pid}/children").read_text(encoding="ascii").split()

    os.kill(int(first), signal.SIGTERM)
    around.stdin.close()

    assert await around.wait() == 128 + signal.SIGTERM
