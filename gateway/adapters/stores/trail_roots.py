"""Looks signed roots up in the trails on disk: whether what an archived copy names was ever durable.

A root is looked for by its number and then compared as a whole: a failed commit's number is given to the next one. That is
some twenty reads of a file however long it is, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.adapters.stores.trail_files import entry_at, first_of, id_of, lines_of, segments_of, trails_of
from gateway.domain.errors import CorruptRecordError, StoreUnavailableError
from gateway.domain.evidence import RootStanding, SignedRoot
from gateway.domain.trail import root_in, sequence_in, taken_apart


class FileTrailRoots:
    """Knows the trails at a path; `durable` gives the name of this process's own and the number of its last entry.

    `corrupt` is told, on the loop, of an entry that was changed.
    """

    def __init__(
        self,
        path: Path,
        durable: Callable[[], tuple[str, int]] = lambda: ("", 0),
        corrupt: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._path = path
        self._durable = durable
        self._corrupt = corrupt

    async def standing(self, trail: str, root: SignedRoot) -> RootStanding:
        """Gives what is known of a root."""
        try:
            return await asyncio.to_thread(self.look, trail, root)
        except CorruptRecordError:
            self._corrupt("trail")
            raise

    def look(self, trail: str, root: SignedRoot) -> RootStanding:
        """Gives the same, from a thread of its own; a root of no named trail is looked for in every one."""
        try:
            trails = trails_of(self._path)
            named = [each for each in trails if trail and id_of(each) == trail]
            found = [self._standing(each, root) for each in named or trails]
        except OSError as error:
            raise StoreUnavailableError(f"the trail cannot be read: {error.strerror}") from error
        if RootStanding.HELD in found:
            return RootStanding.HELD
        return RootStanding.MISSING if named and RootStanding.MISSING in found else RootStanding.ELSEWHERE

    def _standing(self, trail: Path, root: SignedRoot) -> RootStanding:
        own, last = self._durable()
        if trail.name == own and root.sequence > last:
            return RootStanding.MISSING
        for _ in range(2):  # a file that is set aside meanwhile is found under its new name
            file = _file_with(trail, root.sequence)
            if file is None:
                return RootStanding.ELSEWHERE
            try:
                line = entry_at(file, root.sequence)
            except FileNotFoundError:
                continue
            if line is not None:
                return _compared(trail, line, root)
        return RootStanding.MISSING


def _compared(trail: Path, line: bytes, root: SignedRoot) -> RootStanding:
    entry = taken_apart(line)
    if entry is None or not entry.is_sound:
        raise CorruptRecordError(
            f"the trail {trail.name} was changed at entry {root.sequence}; see `xinyidai audit verify`"
        )
    return RootStanding.HELD if root_in(line, root.sequence) == root else RootStanding.MISSING


def _file_with(trail: Path, sequence: int) -> Path | None:
    """Gives the file that has the entry of that number if any has; None where it would be in one that was moved away."""
    found = None
    for file in segments_of(trail):
        first = first_of(trail, file) or _first_in(file)
        if first is None:
            return found or file
        if first > sequence:
            return found
        found = file
    return found


def _first_in(file: Path) -> int | None:
    line = next(lines_of(file), None)
    return sequence_in(line.content) if line is not None else None
