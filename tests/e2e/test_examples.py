"""The examples a bank starts from are run, not only read."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.e2e.conftest import DEMO, Rig

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


async def run(*command: str | Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode()


async def test_the_python_client_prints_a_view_and_a_stream(rig: Rig) -> None:
    code, out = await run(sys.executable, EXAMPLES / "python_client.py", DEMO, "--address", rig.address)

    assert code == 0, out
    assert "platforms disagree on fine; anhui was chosen" in out
    assert out.count("landed: ") == 4
    assert "final view " in out


async def test_the_python_client_explains_a_refusal(rig: Rig) -> None:
    _, out = await run(sys.executable, EXAMPLES / "python_client.py", "91310115MA0TERT168", "--address", rig.address)

    assert "reason INVALID_IDENTIFIER" in out
    assert "uscc: position 18" in out


async def test_a_call_by_reflection_needs_no_generated_code(rig: Rig) -> None:
    buf = Path(sys.executable).parent / "buf"

    code, out = await run(EXAMPLES / "reflection_call.sh", rig.address, DEMO, buf)

    assert code == 0, out
    assert json.loads(out)["view"]["query"]["uscc"] == DEMO
