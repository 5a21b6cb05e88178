"""An index of list entries in memory (名单索引): who is on which list, by code, fast enough for a bank's whole book.

It follows the store's changes by mark and is no truth of its own. An entry takes little room: what screening tells and
nothing else, texts that many share kept once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from sys import intern
from typing import Final, NamedTuple

from gateway.domain.joint_lists import SHOWN, EntryState, JointEntry
from gateway.domain.list_statistics import YearKey

_FOREVER: Final = date.max.toordinal()
_NONE: Final[tuple[IndexedEntry, ...]] = ()


class IndexedEntry(NamedTuple):
    """An entry as screening tells it; `begins` and `ends` are ordinals of days, the end exclusive."""

    entry_id: str
    list_code: str
    province: str
    list_year: int
    begins: int
    ends: int
    is_disputed: bool


class ListIndex:
    """Entries that stand, of enterprises themselves, by code; `mark` is that of the last change taken in."""

    def __init__(self) -> None:
        self.mark = 0
        self.counts: Counter[YearKey] = Counter()
        self._by_uscc: dict[str, tuple[IndexedEntry, ...]] = {}

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._by_uscc.values())

    def take(self, changes: Iterable[JointEntry]) -> None:
        """Takes changes in, in the order of their marks."""
        for entry in changes:
            self.mark = entry.mark
            if entry.person_ref:
                continue
            had = self._by_uscc.get(entry.uscc, _NONE)
            if not had and entry.state in SHOWN:  # most of them, when all is read for the first time
                now = _indexed(entry)
                self.counts[now.list_code, now.province, now.list_year] += 1
                self._by_uscc[entry.uscc] = (now,)
                continue
            before = next((one for one in had if one.entry_id == entry.entry_id), None)
            rest = had if before is None else tuple([one for one in had if one is not before])
            if before is not None:
                self.counts[before.list_code, before.province, before.list_year] -= 1
            if entry.state in SHOWN:
                now = _indexed(entry)
                self.counts[now.list_code, now.province, now.list_year] += 1
                rest = (*rest, now)
            if rest:
                self._by_uscc[entry.uscc] = rest
            elif had:
                del self._by_uscc[entry.uscc]

    def of(self, uscc: str, today: int) -> Sequence[IndexedEntry]:
        """Gives an enterprise's entries shown on a day, given as its ordinal; the code must be in its one form."""
        entries = self._by_uscc.get(uscc)
        if entries is None:
            return _NONE
        return [one for one in entries if one.begins <= today < one.ends]


def _indexed(entry: JointEntry) -> IndexedEntry:
    due_off, published_to = entry.due_off, entry.published_to
    ends = due_off if published_to is None or (due_off is not None and due_off < published_to) else published_to
    return IndexedEntry(
        entry.entry_id,
        intern(entry.list_code),
        intern(entry.province),
        entry.list_year or 0,
        (entry.published_from or entry.listed_on).toordinal(),
        _FOREVER if ends is None else ends.toordinal(),
        entry.state is EntryState.DISPUTED,
    )
