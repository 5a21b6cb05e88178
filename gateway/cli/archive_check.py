"""What `xinyidai archive check` does: opens store, keys and trails as a gateway does, changes nothing, says what is found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import typer

from gateway.adapters.crypto.suite import key_paths
from gateway.adapters.stores.archive_check import CheckedArchive, Missing, Names, Unsealed, check_archive
from gateway.adapters.stores.door import open_database
from gateway.adapters.stores.kept_answers import KeptAnswers
from gateway.adapters.stores.schema import schema_state
from gateway.adapters.stores.standing import complaint_of
from gateway.adapters.stores.trail_files import trails_of
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.cli.words import say
from gateway.domain.dates import CHINA
from gateway.domain.errors import ConfigError, SigningUnavailableError
from gateway.settings import Settings

_MOST_DAYS: Final = 31


async def checked(settings: Settings) -> CheckedArchive:
    """Gives what is found; raises ConfigError where store or keys are not right, StoreUnavailableError."""
    gateway = settings.gateway
    trail = gateway.audit.path
    _, made = key_paths(trail.parent, gateway.evidence.suite)
    if not (gateway.evidence.is_stated or made.exists()):
        raise ConfigError([f"gateway.toml: evidence.archive_keys: none is stated, and there is no {made}"])
    try:
        cipher = gateway.evidence.built(trail).cipher
    except (SigningUnavailableError, ValueError, OSError) as error:
        raise ConfigError([f"gateway.toml: evidence: {error}"]) from error
    database = open_database(*gateway.store.resolved(trail), is_patient=True)
    try:
        complaint = complaint_of(await schema_state(database))
        if complaint:
            raise ConfigError([f"the store: {complaint}"])
        return await check_archive(
            SqlViewArchive(database, cipher),
            FileTrailRoots(trail),
            [KeptAnswers(each, partial(_entries_read, each.name)) for each in trails_of(trail)],
            progress=_copies_read,
        )
    finally:
        await database.aclose()


def as_table(found: CheckedArchive) -> Mapping[str, Any]:
    """Gives what is found as JSON has it: of copies the first so many by name, and how many there are."""
    return {
        "copies": found.copies,
        "corrupt": _names(found.corrupt),
        "corrupt_count": found.corrupt.count,
        "orphans": _names(found.orphans),
        "orphan_count": found.orphans.count,
        "elsewhere": found.elsewhere,
        "without_copy": found.without_copy,
        "missing": [
            {
                "trail": each.trail,
                "count": each.count,
                "first": {
                    "sequence": each.first.sequence,
                    "bank": each.first.bank,
                    "answer_id": each.first.answer_id,
                    "time": each.first.at.astimezone(CHINA).isoformat(timespec="milliseconds"),
                },
                "days": dict(each.days),
            }
            for each in found.missing
        ],
        "unsealed": [
            {"uscc": each.uscc, "reason": each.sealing.reason, "count": each.count} for each in found.unsealed
        ],
        "changed_trails": [
            {"trail": name, "sequence": finding.sequence, "fault": finding.fault} for name, finding in found.changed
        ],
    }


def counts(found: CheckedArchive) -> list[str]:
    """Gives how many copies there are and of which nothing can be told, a line each."""
    lines = [say(f"{found.copies} copies", f"归档应答 {found.copies} 份")]
    if found.elsewhere:
        lines.append(
            say(
                f"of {found.elsewhere} the trail is not here: look on the machine that wrote it",
                f"其中 {found.elsewhere} 份的留痕不在本机，请在写入该留痕的机器上核对",
            )
        )
    if found.without_copy:
        lines.append(
            say(
                f"{found.without_copy} answers in the trail state no copy: the archive was off, or an older version wrote it",
                f"留痕中另有 {found.without_copy} 条应答未载明归档：当时未启用归档，或由尚不载明的旧版写入",
            )
        )
    return lines


def faults(found: CheckedArchive) -> list[str]:
    """Gives what is wrong, a line each; none where everything is sound."""
    lines = [
        say(
            f"{name}: entry {finding.sequence} is not as it was written; see `xinyidai audit verify`",
            f"{name}：第 {finding.sequence} 条与写入时不符，详见 `xinyidai audit verify`",
        )
        for name, finding in found.changed
    ]
    for each in found.missing:
        lines += _missing(each)
    lines += [_unsealed(each) for each in found.unsealed]
    lines += [
        say(
            f"bank {bank}: {answer_id} is not what was kept; restore it from a backup",
            f"银行 {bank}：{answer_id} 与归档时不符，请从备份恢复",
        )
        for bank, answer_id in found.corrupt.first
    ]
    lines += _more(found.corrupt)
    lines += [
        say(
            f"bank {bank}: {answer_id} stands in no trail: it was never answered (a crash or failed write), unless the "
            "trail was cut or put back to an older state (`audit verify` with the anchors); it is not given to anybody",
            f"银行 {bank}：{answer_id} 在留痕中无对应记录：系写入中断所遗、从未作答，除非留痕曾被截断或恢复成旧版"
            "（请以 `audit verify` 比对锚定）；不对外提供",
        )
        for bank, answer_id in found.orphans.first
    ]
    return lines + _more(found.orphans)


def _missing(missing: Missing) -> list[str]:
    first, count = missing.first, missing.count
    at = first.at.astimezone(CHINA).isoformat(timespec="seconds")
    told = say(
        f"{missing.trail}: the copies of {count} answers are gone before their time, the first of entry {first.sequence}: "
        f"{first.answer_id} of bank {first.bank}, {at}; restore them from a later backup. By day, China time:",
        f"{missing.trail}：{count} 份应答的归档副本在留存期内缺失，首份为第 {first.sequence} 条："
        f"银行 {first.bank} 的 {first.answer_id}（{at}）；请从更新的备份恢复。按日（北京时间）：",
    )
    days = list(missing.days.items())
    more = len(days) - _MOST_DAYS
    rest = [say(f"  and {more} days more (--json)", f"  另有 {more} 日（见 --json）")] if more > 0 else []
    return [told, *[f"  {day}  {number}" for day, number in days[:_MOST_DAYS]], *rest]


def _unsealed(unsealed: Unsealed) -> str:
    uscc, sealing, count = unsealed.uscc, unsealed.sealing, unsealed.count
    at = sealing.at.astimezone(CHINA).isoformat(timespec="seconds")
    again = f"xinyidai archive seal {uscc} --reason {sealing.reason}"
    return say(
        f"{uscc}: {count} copies are not sealed that the trail says were sealed at {at}; seal them again: {again}",
        f"{uscc}：留痕载明已于 {at} 封存，现有 {count} 份未封存；请重新封存：{again}",
    )


def _names(names: Names) -> list[dict[str, str]]:
    return [{"bank": bank, "answer_id": answer_id} for bank, answer_id in names.first]


def _more(names: Names) -> list[str]:
    more = names.count - len(names.first)
    return [say(f"and {more} more like it", f"另有 {more} 份同样情形")] if more else []


def _entries_read(name: str, count: int) -> None:
    typer.echo(say(f"{name}: {count:,} entries …", f"{name}：已读 {count:,} 条 …"), err=True)


def _copies_read(count: int) -> None:
    typer.echo(say(f"{count:,} copies …", f"已核对 {count:,} 份 …"), err=True)
