"""How fast and how large the index of joint lists is: `python -m tests.bench.list_lookup [ENTRIES] [ENTERPRISES]`.

Entries are drawn for half of the enterprises. One process, one core, the collector as in a gateway; what it takes to make the
entries themselves, which the store does, is not counted.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from gateway.domain.joint_lists import JointEntry
from gateway.domain.list_index import ListIndex

_LISTS: Final = ("YRD_ENV", "YRD_TOUR", "YRD_FOOD", "YRD_PROD", "SDL_COURT", "SDL_TAX", "SDL_SAMR")
_PART: Final = 1_000
_NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)


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


def main(count: int = 700_000, enterprises: int = 1_000_000) -> None:
    """Prints what it took to build the index and to screen every enterprise."""
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
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"entries {count:,}, enterprises {enterprises:,}, hits {found:,}")
    print(
        f"index built in {built_s:.2f} s; screened in {screened_s:.2f} s: {screened_s / enterprises * 1e6:.2f} µs each"
    )
    print(f"peak memory {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main(*(int(each.replace("_", "")) for each in sys.argv[1:3]))
