"""How fast and how large the index of joint lists is, measured in a process of its own.

    python -m tests.bench.list_lookup [ENTRIES] [ENTERPRISES]

Entries are drawn for half of the enterprises. One process, one core, the collector as in a gateway; what it takes to make the
entries themselves, which the store does, is not counted.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console

from gateway.domain.joint_lists import JointEntry
from gateway.domain.list_index import ListIndex
from tests.bench.processes import StartError
from tests.bench.report import Claim, Row, show
from tests.bench.stage import FULL, Size, Stage

ALL: Final = "enterprises against all lists"
ONE: Final = "a look-up in the lists"
TITLES: Final = (ALL, ONE)
METHOD: Final = (
    "Joint lists: one process and one core; the index is built from entries as the store gives them and every enterprise is looked "
    "up, wall-clock time; half of the enterprises have entries. The budget is for 1,000,000 enterprises and 700,000 entries. A "
    "single look-up: median over blocks of 100, spread over all enterprises. Peak memory is the whole process's.",
)
_LISTS: Final = ("YRD_ENV", "YRD_TOUR", "YRD_FOOD", "YRD_PROD", "SDL_COURT", "SDL_TAX", "SDL_SAMR")
_PART: Final = 1_000
_BLOCK: Final = 100
_NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
_MOST_S: Final = 20.0
_MOST_MIB: Final = 1_024.0
_MOST_US: Final = 30.0


def code(number: int) -> str:
    """Gives an enterprise's code; the index does not look at check characters."""
    return f"91310115MA{number:08X}"


def entries(count: int, enterprises: int) -> Iterator[JointEntry]:
    """Gives entries spread over a part of the enterprises."""
    for number in range(count):
        yield JointEntry(
            entry_id=f"0192f000-0000-7000-8000-{number:012x}",
            list_code=_LISTS[number % len(_LISTS)],
            uscc=code(number % max(1, enterprises // 2)),
            listed_on=date(2018, 1, 1 + number % 28),
            province=("31", "32", "33", "34")[number % 4],
            list_year=2017 + number % 9,
            changed_at=_NOW,
            mark=number + 1,
        )


def measured(count: int, enterprises: int) -> dict[str, float]:
    """Gives seconds to build and to screen, microseconds of one look-up, hits, and the process's peak memory in MiB."""
    gc.set_threshold(50_000, 20, 20)
    index, built_s = ListIndex(), 0.0
    source = entries(count, enterprises)
    while part := list(islice(source, _PART)):
        began = time.perf_counter()
        index.take(part)
        built_s += time.perf_counter() - began
    asked = [code(number) for number in range(enterprises)]
    today = _NOW.date().toordinal()
    began = time.perf_counter()
    found = sum(len(index.of(uscc, today)) for uscc in asked)
    screened_s = time.perf_counter() - began
    blocks = []
    for first in range(min(_BLOCK, enterprises)):
        block = asked[first :: max(1, enterprises // _BLOCK)][:_BLOCK]  # far apart, so that no cache is warm
        began = time.perf_counter()
        for uscc in block:
            index.of(uscc, today)
        blocks.append((time.perf_counter() - began) / len(block) * 1e6)
    return {
        "built_s": built_s,
        "screened_s": screened_s,
        "look_up_us": median(blocks),
        "hits": found,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def rows(count: int, enterprises: int, found: dict[str, float]) -> list[Row]:
    """Gives both rows; the budget of all enterprises holds for the full sizes only, and is not set against smaller ones."""
    is_full = (count, enterprises) == (FULL.listed, FULL.screened)
    has = f"{enterprises:,} enterprises, {count:,} entries" + ("" if is_full else ": less than the budget is for")
    whole_s = found["built_s"] + found["screened_s"]
    figures = {"s to build the index": found["built_s"], "s to look up all": found["screened_s"], "hits": found["hits"]}
    claims = (
        Claim("s in all", whole_s, _MOST_S if is_full else None),
        Claim("MiB at most", found["peak_mib"], _MOST_MIB if is_full else None),
    )
    return [
        Row(ALL, has, figures, claims),
        Row(ONE, f"{has}; in process", claims=(Claim("µs a look-up", found["look_up_us"], _MOST_US),)),
    ]


async def measure(stage: Stage, size: Size) -> list[Row]:
    """Gives both rows from a process of its own, whose peak memory is then that of the index."""
    command = ("-m", "tests.bench.list_lookup", str(size.listed), str(size.screened), "--json")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complained = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise StartError((complained.decode(errors="replace").strip().splitlines() or ["it ended without a word"])[-1])
    return rows(size.listed, size.screened, json.loads(said))


def main() -> None:
    """Prints both rows, or with --json what was measured."""
    sizes = [int(each.replace("_", "")) for each in sys.argv[1:3] if each != "--json"]
    count, enterprises = (*sizes, FULL.listed, FULL.screened)[:2] if len(sizes) != 1 else (sizes[0], FULL.screened)
    found = measured(count, enterprises)
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        show(Console(width=150), rows(count, enterprises, found), METHOD)


if __name__ == "__main__":
    main()
