"""Holds the archive and its trails against each other.

    every copy        ─► opens, is what its receipt speaks of, stands under that receipt's root, and the root in its trail
    every answer that ─► has its copy, about the enterprise that was asked about
    its trail says is kept
    every sealing     ─► the copies about that enterprise from before it are sealed

What is lost with a store that is put back to an older state shows by the latter two. A copy whose root is missing is an
orphan: its trail does not know of it. All may be looked at beside a running gateway, which archives before it writes its
trail: what seems an orphan is looked up once more after a pause, and an answer has its copy before its entry can be read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from gateway.adapters.stores.kept_answers import Answered, KeptAnswers, Sealing
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.domain.dates import china_date
from gateway.domain.errors import CorruptRecordError
from gateway.domain.evidence import ArchivedView, RootStanding, SignedRoot
from gateway.domain.merkle import is_included
from gateway.domain.trail import DIGESTS, Finding

_PAUSE_S: Final = 1.0
_STEP: Final = 10_000
_MOST_ROOTS: Final = 10_000
_MOST_SUSPECTS: Final = 2_000
_MOST_NAMED: Final = 1_000
Name: TypeAlias = tuple[str, str]
"""A copy by bank and answer id."""


@dataclass(slots=True)
class Names:
    """How many copies there are of a kind, and the first of them by name: there may be far more than memory has room for."""

    count: int = 0
    first: list[Name] = field(default_factory=list)

    def add(self, name: Name) -> None:
        """Takes in one more."""
        self.count += 1
        if len(self.first) < _MOST_NAMED:
            self.first.append(name)


@dataclass(frozen=True, slots=True)
class Missing:
    """The answers of one trail whose copies are gone before their time: the first, and how many of each day, China time."""

    trail: str
    count: int
    first: Answered
    days: Mapping[str, int]


@dataclass(slots=True)
class _Gone:
    """Answers without their copies: the last are suspects, since an entry that one was withheld follows its own."""

    suspects: dict[Name, Answered] = field(default_factory=dict)
    first: Answered | None = None
    days: Counter[str] = field(default_factory=Counter)

    def spare(self, withheld: Collection[Name]) -> None:
        """Takes those out that were withheld: their copies were taken back."""
        for name in [name for name in self.suspects if name in withheld]:
            del self.suspects[name]

    def settle(self, *, leave: int) -> None:
        """Counts the oldest suspects but for so many of the last."""
        for name in list(self.suspects)[: max(0, len(self.suspects) - leave)]:
            answer = self.suspects.pop(name)
            self.first = self.first or answer
            self.days[china_date(answer.at).isoformat()] += 1


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Copies about an enterprise that a sealing was to hide and that are not sealed."""

    uscc: str
    sealing: Sealing
    count: int


@dataclass(slots=True)
class CheckedArchive:
    """What is found: `copies` there are, of `elsewhere` their trail is not here; of `without_copy` answers none was kept.

    `changed` are trails by name with their first entry that is not as it was written.
    """

    copies: int = 0
    corrupt: Names = field(default_factory=Names)
    orphans: Names = field(default_factory=Names)
    elsewhere: int = 0
    missing: list[Missing] = field(default_factory=list)
    unsealed: list[Unsealed] = field(default_factory=list)
    without_copy: int = 0
    changed: list[tuple[str, Finding]] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.corrupt.count or self.orphans.count or self.missing or self.unsealed or self.changed)


async def check_archive(
    views: SqlViewArchive,
    roots: FileTrailRoots,
    trails: Sequence[KeptAnswers] = (),
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[int], None] = lambda count: None,
    pause_s: float = _PAUSE_S,
) -> CheckedArchive:
    """Gives what is found; raises StoreUnavailableError. A root whose entry was altered makes its copies corrupt.

    `progress` is told how many copies were looked at, now and then.
    """
    found = CheckedArchive()
    sealings: dict[str, Sealing] = {}
    for trail in trails:
        await _look_for_copies(views, trail, found, now)
        for uscc, sealing in trail.sealings.items():
            sealings[uscc] = max(sealing, sealings.get(uscc, sealing))
    await _look_at_copies(views, roots, found, sealings, progress, pause_s)
    return found


async def _look_for_copies(
    views: SqlViewArchive, trail: KeptAnswers, found: CheckedArchive, now: Callable[[], datetime]
) -> None:
    """Looks for the copy of every answer of a trail that is to have one still: up to the day before it may be deleted."""
    gone = _Gone()
    for page in trail.pages():
        today = now().astimezone(UTC).date()
        due = [each for each in page if each.kept_until > today]
        kept = {
            bank: await views.among(bank, [each.answer_id for each in due if each.bank == bank])
            for bank in {each.bank for each in due}
        }
        for each in due:
            uscc = kept[each.bank].get(each.answer_id)
            if uscc is None:
                gone.suspects[each.bank, each.answer_id] = each
            elif uscc != each.uscc:
                found.corrupt.add((each.bank, each.answer_id))
        gone.spare(trail.withheld)
        gone.settle(leave=_MOST_SUSPECTS)
    gone.settle(leave=0)
    if gone.first is not None:
        found.missing.append(Missing(trail.name, gone.days.total(), gone.first, dict(sorted(gone.days.items()))))
    if trail.finding is not None:
        found.changed.append((trail.name, trail.finding))
    found.without_copy += trail.without_copy


async def _look_at_copies(
    views: SqlViewArchive,
    roots: FileTrailRoots,
    found: CheckedArchive,
    sealings: Mapping[str, Sealing],
    progress: Callable[[int], None],
    pause_s: float,
) -> None:
    suspects: list[ArchivedView] = []
    unsealed: Counter[str] = Counter()
    known: dict[tuple[str, SignedRoot], RootStanding] = {}
    async for name, copy in views.every():
        found.copies += 1
        if not found.copies % _STEP:
            progress(found.copies)
        try:
            standing = await _standing(roots, copy, known) if copy is not None else None
        except CorruptRecordError:
            standing = None
        if copy is None or standing is None or not _is_under_its_root(copy):
            found.corrupt.add(name)
            continue
        sealing = sealings.get(copy.uscc)
        if (
            sealing is not None
            and not copy.sealed_because
            and datetime.fromisoformat(copy.receipt.leaf.at) < sealing.at
        ):
            unsealed[copy.uscc] += 1
        if standing is RootStanding.MISSING:
            suspects.append(copy._replace(view=b""))
            if len(suspects) >= _MOST_SUSPECTS:
                await _look_again(views, roots, found, suspects, pause_s)
        elif standing is RootStanding.ELSEWHERE:
            found.elsewhere += 1
    if suspects:
        await _look_again(views, roots, found, suspects, pause_s)
    found.unsealed += [Unsealed(uscc, sealings[uscc], count) for uscc, count in sorted(unsealed.items())]


async def _look_again(
    views: SqlViewArchive, roots: FileTrailRoots, found: CheckedArchive, suspects: list[ArchivedView], pause_s: float
) -> None:
    """Takes what still is an orphan after a pause into what is found, and forgets the suspects."""
    await asyncio.sleep(pause_s)
    for copy in suspects:
        still_kept = await views.find(copy.bank, copy.answer_id) is not None
        if still_kept and await roots.standing(copy.trail, copy.receipt.root) is RootStanding.MISSING:
            found.orphans.add((copy.bank, copy.answer_id))
    suspects.clear()


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


def _is_under_its_root(copy: ArchivedView) -> bool:
    return is_included(copy.receipt, DIGESTS[copy.receipt.root.digest])
