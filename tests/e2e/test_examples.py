"""The examples a bank starts from are run, not only read."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

from connectors.kit.enterprises import make_world
from tests.e2e.conftest import DEMO, Rig

ROOT = Path(__file__).parents[2]
EXAMPLES, PROTO = ROOT / "docs" / "examples", ROOT / "proto"
DESCRIPTORS = ROOT / "gateway" / "_pb" / "xinyidai.binpb"


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


def test_the_descriptor_set_that_other_languages_generate_from_holds_all_it_imports() -> None:
    found = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())

    names = {file.name for file in found.file}

    assert {name for file in found.file for name in file.dependency} <= names
    assert {str(path.relative_to(PROTO)) for path in PROTO.glob("xinyidai/**/*.proto")} <= names


def test_the_enterprises_that_the_page_names_are_those_of_the_sandbox() -> None:
    named = set(re.findall(r"`(9[0-9A-Z]{17})`", (EXAMPLES / "README.md").read_text(encoding="utf-8")))

    assert named - make_world().enterprises.keys() == {"91350100M000100Y43"}
