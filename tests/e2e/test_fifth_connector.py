"""A fifth connector, a wheel of its own: built, installed by pip into a fresh environment, found, asked and merged."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).parent / "fifth_connector"
ROOT = Path(__file__).parents[2]


async def run(*command: str | Path, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()[-2_000:]
    return out.decode()


async def test_a_third_partys_wheel_is_found_configured_asked_and_merged(tmp_path: Path) -> None:
    project, fresh = tmp_path / "project", tmp_path / "fresh"
    shutil.copytree(PROJECT, project)
    await run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=project)
    await run(sys.executable, "-m", "venv", fresh, cwd=tmp_path)
    python = fresh / "bin" / "python"
    # The gateway and its packages, by path: the fresh environment needs no registry. The hub comes by pip alone.
    site = Path(
        (await run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path)).strip()
    )
    (site / "gateway.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    wheel = next((tmp_path / "dist").glob("*.whl"))
    await run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel, cwd=tmp_path)

    printed = await run(python, project / "ask_with_hub.py", tmp_path, cwd=tmp_path)

    found = json.loads(printed.splitlines()[-1])
    assert found["platforms"] == ["hub", "shanghai"]
    assert found["said_by"] == [["shanghai", "hub"]]
