"""Looks at every archived copy: whether it opens and is what its receipt speaks of, and whether its root stands in the trail.

A copy whose root is missing is an orphan: nobody was answered with it. It may be looked at beside a running gateway, which
archives before it writes its trail: what seems an orphan is looked up once more after a pause.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, TypeAlias

from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.domain.errors import CorruptRecordError
from gateway.domain.evidence import ArchivedView, RootStanding, SignedRoot

_PAUSE_S: Final = 1.0
_MOST_ROOTS: Final = 10_000
Name: TypeAlias = tuple[str, str]
"""A copy by bank and answer id."""


class CheckedArchive(NamedTuple):
    """How many copies there are, which are corrupt, which are orphans, and of how many the trail is not here."""

    copies: int
    corrupt: tuple[Name, ...]
    orphans: tuple[Name, ...]
    elsewhere: int


async def check_archive(views: SqlViewArchive, roots: FileTrailRoots, *, pause_s: float = _PAUSE_S) -> CheckedArchive:
    """Gives what is found; raises StoreUnavailableError. A root whose entry was altered makes its copies corrupt."""
    count = elsewhere = 0
    corrupt: list[Name] = []
    suspects: list[ArchivedView] = []
    known: dict[tuple[str, SignedRoot], RootStanding] = {}
    async for name, copy in views.every():
        count += 1
        try:
            standing = await _standing(roots, copy, known) if copy is not None else None
        except CorruptRecordError:
            standing = None
        if copy is None or standing is None:
            corrupt.append(name)
        elif standing is RootStanding.MISSING:
            suspects.append(copy._replace(view=b""))
        elif standing is RootStanding.ELSEWHERE:
            elsewhere += 1
    if suspects:
        await asyncio.sleep(pause_s)
    orphans = []
    for copy in suspects:
        still_kept = await views.find(copy.bank, copy.answer_id) is not None
        if still_kept and await roots.standing(copy.trail, copy.receipt.root) is RootStanding.MISSING:
            orphans.append((copy.bank, copy.answer_id))
    return CheckedArchive(count, tuple(corrupt), tuple(orphans), elsewhere)


async def _standing(
    roots: FileTrailRoots, copy: ArchivedView, known: dict[tuple[str, SignedRoot], RootStanding]
) -> RootStanding:
    """Gives the standing of a copy's root, which it shares with the others of its commit."""
    key = copy.trail, copy.receipt.root
    found = known.get(key)
    if found is None:
        if len(known) >= _MOST_ROOTS:
            known.clear()
        found = known[key] = await roots.standing(*key)
    return found
