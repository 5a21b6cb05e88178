"""What a list file does to what is kept (名单装载): new entries, next versions, tombstones; pure.

Who recognised decides: an entry that was repaired or withdrawn here stays so although the file still has it, and the file's
line is told as stale. Only what files brought is removed by files: an entry that an operator published is not theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final, NamedTuple

from gateway.domain.errors import ListFileError
from gateway.domain.joint_lists import SHOWN, EntryEvent, EntryState, JointEntry, JointList, Provision
from gateway.domain.list_fault import at_line
from gateway.domain.list_file import FileLine, ListFile
from gateway.domain.repair import stay_ends
from gateway.domain.statement import sm3

_FROM_FILE: Final = "file:"


class LoadPlan(NamedTuple):
    """What is to be put, and the figures that tell of it; `stale_lines` are those about entries that ended here."""

    put: tuple[JointEntry, ...]
    provisions: tuple[Provision, ...]
    added: int = 0
    amended: int = 0
    removed: int = 0
    unchanged: int = 0
    stale_lines: tuple[int, ...] = ()
    is_repeated: bool = False


def plan_load(
    file: ListFile,
    about: JointList,
    kept: Sequence[JointEntry],
    provided: Sequence[Provision],
    by: str,
    at: datetime,
    today: date,
) -> LoadPlan:
    """Gives what the file does to the kept entries of its list and year; raises ListFileError where it would take all off."""
    if _was_loaded(file, provided):
        return LoadPlan((), (), unchanged=len(file.lines), is_repeated=True)
    known = {entry.entry_id: entry for entry in kept}
    put: list[JointEntry] = []
    added = amended = removed = unchanged = 0
    stale: list[int] = []
    named: set[str] = set()
    for line in file.lines:
        entry_id = entry_id_of(line)
        before = known.get(entry_id)
        named.add(entry_id)
        if before is not None and before.state in (EntryState.REPAIRED, EntryState.WITHDRAWN):
            if not line.is_removed:
                stale.append(line.number)
            continue
        if line.is_removed:
            if before is not None and before.state in SHOWN:
                put.append(_removed(before, file, by, at, today))
                removed += 1
            else:
                unchanged += 1
            continue
        now = _entry(entry_id, line, file, about, by, at)
        if before is None:
            put.append(now)
            added += 1
        elif before.state is EntryState.REMOVED:
            put.append(replace(now, version=before.version + 1))
            added += 1
        elif (before.content, before.published_from, before.listed_on) == (
            now.content,
            now.published_from,
            now.listed_on,
        ):
            unchanged += 1
        else:
            put.append(
                replace(
                    now,
                    version=before.version + 1,
                    state=before.state,
                    event=EntryEvent.AMENDED,
                    pending=before.pending,
                )
            )
            amended += 1
    absent = _absent(file, kept, named)
    put += [_removed(entry, file, by, at, today) for entry in absent]
    removed += len(absent)
    provisions = tuple(
        Provision(file.list_code, province, file.list_year, at, file.digest)
        for province in file.provinces
        if file.is_full or any(_is_of(one, file, province) for one in provided)
    )
    return LoadPlan(tuple(put), provisions, added, amended, removed, unchanged, tuple(stale))


def _absent(file: ListFile, kept: Sequence[JointEntry], named: Collection[str]) -> Sequence[JointEntry]:
    """Gives the shown entries that a FULL file removes by leaving them out.

    A province of which it has no line at all takes nobody off: so does a file that was cut, or came without its rows.
    """
    if not file.is_full:
        return ()
    theirs = [e for e in kept if e.origin.startswith(_FROM_FILE) and e.province in file.provinces and e.state in SHOWN]
    absent = [entry for entry in theirs if entry.entry_id not in named]
    emptied = Counter(entry.province for entry in absent) if absent else Counter()
    for line in file.lines:
        del emptied[line.province]
    if emptied:
        raise ListFileError(
            [
                at_line(
                    1,
                    f"no line for province {province}, where {count} entries are shown; if all ended, remove each by a "
                    'line with "removed": true in an INCREMENT file',
                    f"省份 {province} 没有一行，而该省现有 {count} 条公示中；如确已全部终止，请在 INCREMENT 文件中逐条以 "
                    '"removed": true 移出',
                )
                for province, count in sorted(emptied.items())
            ]
        )
    return absent


def entry_id_of(line: FileLine) -> str:
    """Gives the id of the entry that a line tells of: the same in every file that tells of it."""
    return f"file-{sm3(line.key.encode()).hex()[:40]}"


def _was_loaded(file: ListFile, provided: Sequence[Provision]) -> bool:
    """Whether the newest file of every one of its provinces was this very one."""
    return all(
        any(_is_of(one, file, province) and one.digest == file.digest for one in provided)
        for province in file.provinces
    )


def _is_of(provision: Provision, file: ListFile, province: str) -> bool:
    return (provision.list_code, provision.list_year, provision.province) == (file.list_code, file.list_year, province)


def _entry(entry_id: str, line: FileLine, file: ListFile, about: JointList, by: str, at: datetime) -> JointEntry:
    content = line.content
    if content.due_off is None:
        content = content._replace(due_off=stay_ends(about, line.listed_on))
    return JointEntry(
        entry_id=entry_id,
        list_code=file.list_code,
        uscc=line.uscc,
        person_ref=line.person_ref,
        province=line.province,
        list_year=file.list_year,
        listed_on=line.listed_on,
        published_from=line.published_from,
        state=EntryState.PUBLISHED,
        event=EntryEvent.PUBLISHED,
        changed_at=at,
        changed_by=by,
        origin=f"{_FROM_FILE}{file.digest.hex()}",
        **content._asdict(),
    )


def _removed(entry: JointEntry, file: ListFile, by: str, at: datetime, today: date) -> JointEntry:
    return replace(
        entry,
        state=EntryState.REMOVED,
        event=EntryEvent.REMOVED,
        version=entry.version + 1,
        changed_at=at,
        changed_by=by,
        pending=None,
        ended_on=today,
        origin=f"{_FROM_FILE}{file.digest.hex()}",
    )
