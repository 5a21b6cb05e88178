"""The common world of raw enterprise facts that the four sandboxes render, each in its own units, names and gaps.

All enterprises are synthetic. The world depends on (count, seed) only and imports nothing of the gateway. A `Fact` is what is
true, with neutral keys (dates, amounts in 分, Chinese labels), and `seen` says which platform holds it and how its copy
deviates: an older amount, another style of bracket, a status that was never updated. The examples come first
(`enterprise_examples.py`), then a crowd.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from typing import Final

from connectors.kit.enterprise import PLATFORMS, PROVINCE, Enterprise, Overrides, World
from connectors.kit.enterprise_codes import ALPHABET, code_of, registration_number
from connectors.kit.enterprise_examples import make_examples
from connectors.kit.enterprise_facts import (
    CITIES,
    CITY_OF,
    ENV_SCHEMES,
    TRADES,
    WORDS,
    add_grades,
    by,
    insurance_of,
    penalty_of,
    registration_of,
    subject_of,
    tax_of,
    yrd_env,
)

DEFAULT_COUNT: Final = 1_000
DEFAULT_SEED: Final = 20_260_401
TODAY: Final = date(2026, 11, 1)

# How many rows of the regional environmental list each year had, and from where (Jiangsu shared none).
_LIST_2017_TO_2019: Final = (
    *((2017, "zhejiang"),) * 40, *((2017, "anhui"),) * 39, *((2017, "shanghai"),) * 20,
    *((2018, "zhejiang"),) * 35, *((2018, "shanghai"),) * 20, *((2019, "zhejiang"),) * 3,
)  # fmt: skip


def _others(home: str, rng: Random, share: float) -> dict[str, Overrides]:
    return {home: {}, **{p: {} for p in PLATFORMS if p != home and rng.random() < share}}


def _random_enterprise(number: int, rng: Random) -> Enterprise:
    home = PLATFORMS[number % 4]
    division, place = CITIES[home][rng.randrange(3)]
    letters = "".join(ALPHABET[rng.randrange(31)] for _ in range(2))
    uscc = code_of("91", division, f"MA{number % 10_000:04d}{letters}")
    word = WORDS[rng.randrange(len(WORDS))] + WORDS[rng.randrange(len(WORDS))]
    trade = TRADES[rng.randrange(len(TRADES))][0]
    e = Enterprise(uscc, f"{place[:2]}{word}{trade}有限公司", registration_number(f"{division}{number:08d}"))
    copies = _others(home, rng, 0.3)
    e.add("subject", subject_of(e), **copies)
    registration = registration_of(e, home, rng)
    stale = {"capital_fen": registration["capital_fen"] // 2, "approved": date(2020, 6, 30)}
    e.add("registration", registration, **{p: ({} if p == home or rng.random() < 0.8 else stale) for p in copies})
    if rng.random() < 0.12:
        where = home if rng.random() < 0.7 else PLATFORMS[rng.randrange(4)]
        decided = TODAY - timedelta(days=rng.randrange(30, 700))
        fine = (1 + rng.randrange(30)) * 100_000
        penalty = penalty_of(where, 1 + number % 900, decided.year, decided, fine, rng.randrange(4))
        seen = _others(where, rng, 0.5)
        if rng.random() < 0.15:
            seen[where] = {"status": "已修复", "status_on": decided + timedelta(days=100)}
        e.add("penalty", penalty, **seen)
    if rng.random() < 0.4:
        decided = date(2022 + rng.randrange(4), 1 + rng.randrange(12), 1 + rng.randrange(28))
        e.add("licence", {
            "doc_no": f"{CITY_OF[home][0]}许〔{decided.year}〕{number}号", "doc_name": "准予许可决定书",
            **by(home, "行政审批局"), "kind": "普通", "cert_name": "许可证", "cert_no": f"XK{number:08d}",
            "content": "准予许可", "decided": decided, "valid_from": decided, "valid_to": date(decided.year + 5, 1, 1),
            "status": "有效", "is_pollution": rng.random() < 0.2,
        }, **_others(home, rng, 0.4))  # fmt: skip
    if rng.random() < 0.5:
        scheme, labels, shares = ENV_SCHEMES[home]
        add_grades(e, (home, scheme, "2025" if home != "jiangsu" else "", rng.choices(labels, shares)[0], ""))
    if rng.random() < 0.6:
        add_grades(e, (home, "纳税信用", "2025", rng.choices("ABMCD", (10, 40, 40, 7, 3))[0], ""))
    region = PROVINCE[home] + "0000"
    for quarter in ("2026-Q1", "2026-Q2"):
        e.add("tax", tax_of(quarter, region, rng.randrange(10**7)), **{home: {}})
    e.add("social", insurance_of("2026-09", region, 1 + rng.randrange(200)), **{home: {}})
    if rng.random() < 0.05:
        e.add("abnormal", {"reason": "未按规定公示年度报告", "listed": date(2026, 7, 8), **by(home, "市场监督管理局"),
                           "removed": date(2026, 9, 1) if rng.random() < 0.5 else None, "removal_reason": ""},
              **_others(home, rng, 0.3))  # fmt: skip
    return e


def make_world(count: int = DEFAULT_COUNT, seed: int = DEFAULT_SEED) -> World:
    """Makes the world: the examples first, then a crowd, `count` enterprises in all; whoever changes it changes their own."""
    drawn = _drawn(count, seed)
    own = {uscc: replace(e, facts=list(e.facts), known_by=dict(e.known_by)) for uscc, e in drawn.enterprises.items()}
    return World(own, drawn.examples)


@lru_cache(maxsize=2)
def _drawn(count: int, seed: int) -> World:
    """Draws the world once for all the platforms that one process simulates."""
    rng = Random(seed)
    made, examples = make_examples(rng)
    crowd = [_random_enterprise(number, rng) for number in range(max(0, count - len(made)))]
    for number, (year, platform) in enumerate(_listed(len(crowd))):
        e = crowd[number * 5 % len(crowd)]
        e.add("list_entry", yrd_env(year, platform, number), **{platform: {}})
    return World({e.uscc: e for e in (*made, *crowd)}, examples)


def _listed(crowd: int) -> Iterable[tuple[int, str]]:
    """Gives the 157 rows of the regional list, fewer for a small world."""
    step = max(1, 1_000 // max(crowd, 1))
    return _LIST_2017_TO_2019[::step] if crowd else ()
