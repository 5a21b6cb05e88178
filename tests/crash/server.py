"""Where the processes that are killed come from: it has everything imported, and forks one for each job.

    LD_PRELOAD=shim.so python -m tests.crash.server     # a job a line in, a result a line out, both JSON

To start Python and import the gateway for each of several hundred write points would take minutes.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

# Imported by the adapters only when they are needed, which is after the fork:
import gateway.adapters.stores.consent_store
import gateway.adapters.stores.view_archive  # noqa: F401
from tests.crash.story import STORIES, Job


def main() -> None:
    """Serves jobs until the input ends."""
    # Results have the output to themselves: the gateway's log goes the way of the errors.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    shim = ctypes.CDLL(None)
    shim.crash_arm.argtypes = (
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_int,
    )
    shim.crash_points.restype = ctypes.c_long
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        children = [_fork(shim, job, job["writer"] + number) for number in range(job["writers"])]
        if job["kill_after_s"] is not None:
            time.sleep(job["kill_after_s"])
            for child in children:
                os.kill(child, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(ends), file=results, flush=True)


def _fork(shim: ctypes.CDLL, job: dict[str, Any], writer: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        told = Path(job["told"])
        shim.crash_arm(
            job["armed"].encode(), job["synced"].encode(), job["at"], job["until"], job["how"], job["error_number"]
        )
        asyncio.run(STORIES[job["story"]](Job(Path(job["folder"]), told, writer, job["url"], job["count"])))  # type: ignore[arg-type]
        told.with_suffix(".points").write_text(str(shim.crash_points()))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
