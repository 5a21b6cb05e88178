"""What must hold when it is all over: nothing under way, nothing left open, nothing said that should not be, a sound trail."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.soak.house import COMMAND, Child, Footprint, House
from tests.soak.record import Record

STOPS_WITHIN_S: Final = 8.0
_SETTLES_WITHIN_S: Final = 20.0
_MORE_DESCRIPTORS: Final = 40
"""Connections to platforms that are kept for a while, and what a store or gRPC opens when first needed."""
_MORE_MIB: Final = 160.0
"""What is kept of answers, views and the trail's index, and what an allocator does not give back."""

EXPECTED_ERRORS: Final = frozenset({"security.refused_answer"})
"""An answer about another enterprise is an event of security; the fault `other_subject` makes such."""
EXPECTED_WARNINGS: Final = frozenset(
    {
        "gateway.development_authority", "gateway.development_permits", "gateway.plaintext", "platform.unavailable",
        "platform.back", "breaker.opened", "breaker.closed", "quota.refused", "merge.stale_copies", "platform.drift",
        "policies.reloaded", "banks.reloaded", "security.denied", "store.made", "anchor.made", "gateway.few_open_files",
    }
)  # fmt: skip
_ALL_QUIET: Final = ("xinyidai_queries_in_flight", "xinyidai_platform_breaker_open", "xinyidai_trail_ailing")
_NEVER: Final = ("xinyidai_trail_failures_total", "xinyidai_corrupt_records_total", "xinyidai_worker_ends_total")


async def check_quiet(house: House, record: Record) -> None:
    """Looks until nothing is under way and every breaker is closed; then that nothing was ever counted that must not be."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLES_WITHIN_S
    while any((busy := await house.samples(*_ALL_QUIET)).values()) and loop.time() < until:
        await asyncio.sleep(0.2)
    if any(busy.values()):
        record.breach(f"not at rest: { {name: value for name, value in busy.items() if value} }")
    counted = await house.samples(*_NEVER, "xinyidai_errors_total")
    for name, value in counted.items():
        if value and (not name.startswith("xinyidai_errors_total") or name.endswith("=INTERNAL")):
            record.breach(f"{name} is {value:.0f}")


async def check_ready(house: House, record: Record) -> None:
    """Looks that the gateway says of itself that it is well."""
    for path in ("/healthz", "/readyz"):
        status, said = await house.get(path)
        if status != 200:
            record.breach(f"{path} says {status}: {said.strip()}")


async def lag_of(house: House) -> str:
    """Gives how late the gateway's loops were, looked at twice a second."""
    name = "xinyidai_loop_lag_seconds_bucket"
    late = await house.samples(name)
    return ", ".join(f"{late[f'{name} le={bound}']:.0f} within {bound} s" for bound in ("0.01", "0.1", "0.25", "+Inf"))


async def check_footprint(house: House, warm: Footprint, record: Record) -> Footprint:
    """Looks until no more is open than when warm, but for some, and that memory has not grown beyond reason."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLES_WITHIN_S
    processes = len(house.pids)
    while (now := house.footprint()).descriptors > warm.descriptors + _MORE_DESCRIPTORS and loop.time() < until:
        await asyncio.sleep(0.5)
    if now.descriptors > warm.descriptors + _MORE_DESCRIPTORS:
        record.breach(f"{now.descriptors} descriptors are open, {warm.descriptors} when warm")
    if now.resident_mib > warm.resident_mib + _MORE_MIB * processes:
        record.breach(f"{now.resident_mib:.0f} MiB are resident, {warm.resident_mib:.0f} when warm")
    return now


async def check_stop(child: Child, name: str, record: Record) -> None:
    """Stops a process and looks that it ends at once, and well."""
    code = await child.stop(STOPS_WITHIN_S)
    if code is None:
        record.breach(f"{name} had not stopped after {STOPS_WITHIN_S:.0f} s")
    elif code != 0:
        record.breach(f"{name} ended with {code}")


def check_said(lines: Sequence[str], name: str, record: Record) -> None:
    """Looks that a process said nothing on standard error but lines of its log, and no warning or error but expected ones."""
    told: Counter[str] = Counter()
    for line in lines:
        if not line.startswith("{"):
            told[f"{name} said: {line[:300]}"] += 1
            continue
        entry: dict[str, Any] = json.loads(line)
        event, level = entry["event"], entry["level"]
        expected = EXPECTED_WARNINGS if level == "warning" else EXPECTED_ERRORS
        if level != "info" and event not in expected:
            told[f"{name} logged {level} {event}: {line[:1500]}"] += 1
    for text, count in told.items():
        record.breach(f"{text} ({count} times)" if count > 1 else text)


def check_trail(house: House, record: Record) -> None:
    """Looks that every answer somebody got has its entry, and no other has one but those whose caller had gone."""
    entries = [
        json.loads(line)
        for path in sorted(house.trail_folder.glob("audit*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    answered = Counter(entry["answer_id"] for entry in entries if entry["event"] == "answered")
    repeated = Counter(entry["answer_id"] for entry in entries if entry["event"] == "repeated")
    unwritten = record.answered - answered.keys()
    if unwritten:
        record.breach(f"{len(unwritten)} answers have no entry: {sorted(unwritten)[:5]}")
    twice = [answer_id for answer_id, count in answered.items() if count > 1]
    if twice:
        record.breach(f"{len(twice)} answers have several entries: {twice[:5]}")
    short = {answer_id for answer_id, count in record.repeated.items() if repeated[answer_id] < count}
    if short:
        record.breach(f"{len(short)} answers were given again without an entry: {sorted(short)[:5]}")
    beyond = answered.keys() - record.answered
    if len(beyond) > record.lost:
        record.breach(f"{len(beyond)} answers of the trail reached nobody, of {record.lost} callers who had gone")


async def check_sound(house: House, record: Record) -> None:
    """Runs `xinyidai audit verify` over the trail, and where there are keys, anchors and an archive, with and over these."""
    trail = ["audit", "verify", "--trail", str(house.trail_folder / "audit.jsonl")]
    if house.has_identity:
        trail += ["--public-key", str(house.trail_folder / "evidence-keys.json")]
        trail += ["--anchors", str(house.folder / "anchors.jsonl")]
        await _command(house, record, "archive", "check", "--config", str(house.folder))
    await _command(house, record, *trail)


async def _command(house: House, record: Record, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, cwd=house.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    print(said.decode().strip())
    if process.returncode != 0:
        record.breach(f"xinyidai {' '.join(arguments[:2])} ended with {process.returncode}: {said.decode()}")
