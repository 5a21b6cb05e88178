"""What a trail says of the archive: which answers were given with a copy kept, and whose copies were sealed.

An answer counts once a root covers it: an entry without is that of a commit which a crash cut off, and nobody was answered.
The chain is followed meanwhile, since a trail that was changed proves nothing of copies; what is wrong with it, and all that
only keys and anchors show, is for `audit verify` to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from gateway.adapters.stores.trail_files import lines_of, segments_of
from gateway.domain.errors import StoreUnavailableError
from gateway.domain.trail import Finding, Link, break_between, root_in, taken_apart

_PAGE: Final = 200
_STEP: Final = 50_000
_MOST_UNCOVERED: Final = 100_000
_MOST_WITHHELD: Final = 10_000
_SEALING: Final = b'"event":"archive_sealing"'
_WITHHELD: Final = b'"event":"withheld"'


class Answered(NamedTuple):
    """An answer that was given with a copy kept, as its entry tells of it; `kept_until` is the last day of that, in UTC."""

    sequence: int
    bank: str
    answer_id: str
    uscc: str
    at: datetime
    kept_until: date


class Sealing(NamedTuple):
    """That all copies about an enterprise were sealed, when and why."""

    at: datetime
    reason: str


class _Entry(msgspec.Struct):
    sequence: int
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    bank: str = ""
    answer_id: str = ""
    uscc: str = ""
    reason: str = ""
    kept_until: date | None = None


_decode: Final = msgspec.json.Decoder(_Entry).decode


class KeptAnswers:
    """One walk over a trail; what stands beside the answers is whole when `pages` is through.

    `sealings` are by enterprise, the last of each; `withheld` the last answers, by bank and answer id, that did not leave
    though an entry before may say so, and whose copies were taken back then; `without_copy` are the answers under a root that
    no copy was kept of; `finding` is the first entry that is not as it was written.
    """

    def __init__(self, trail: Path, progress: Callable[[int], None] = lambda count: None) -> None:
        """Takes the path of a trail, and what is told how many entries were read, now and then."""
        self.name = trail.name
        self.sealings: dict[str, Sealing] = {}
        self.withheld: dict[tuple[str, str], None] = {}
        self.without_copy = 0
        self.finding: Finding | None = None
        self._trail = trail
        self._progress = progress
        self._link: Link | None = None
        self._uncovered: list[Answered | None] = []

    def pages(self) -> Iterator[Sequence[Answered]]:
        """Yields the answers that have a copy, in order, some at a time; raises StoreUnavailableError."""
        page: list[Answered] = []
        count = 0
        try:
            for segment in segments_of(self._trail):
                for line in lines_of(segment):
                    count += 1
                    if not count % _STEP:
                        self._progress(count)
                    page += self._read(line.content)
                    while len(page) >= _PAGE:
                        yield page[:_PAGE]
                        del page[:_PAGE]
        except OSError as error:
            raise StoreUnavailableError(f"the trail {self._trail} cannot be read: {error.strerror}") from error
        if page:
            yield page

    def _read(self, line: bytes) -> Sequence[Answered]:
        """Takes one line; gives the answers that are sure by it: those under its root."""
        if self._link is None:  # of a trail whose first segments are deleted the beginning is not here
            first = taken_apart(line)
            self._link = Link(first.sequence - 1, first.previous) if first is not None else Link(0, "")
        finding, entry = break_between(self._link, line)
        self.finding = self.finding or finding
        if entry is None or not entry.is_sound:
            return ()
        self._link = entry.link
        if entry.leaf is not None:
            self._note_answer(line)
        elif _SEALING in line:
            self._note_sealing(line)
        elif _WITHHELD in line:
            self._note_withheld(line)
        root = root_in(line, entry.sequence)
        if root is None or root.leaf_count < 1:
            return ()
        covered = self._uncovered[-root.leaf_count :]
        self._uncovered.clear()
        answers = [each for each in covered if each is not None]
        self.without_copy += len(covered) - len(answers)
        return answers

    def _note_answer(self, line: bytes) -> None:
        entry = _decoded(line)
        self._uncovered.append(
            Answered(entry.sequence, entry.bank, entry.answer_id, entry.uscc, entry.time, entry.kept_until)
            if entry is not None and entry.kept_until is not None
            else None
        )
        if len(self._uncovered) > 2 * _MOST_UNCOVERED:
            del self._uncovered[:_MOST_UNCOVERED]

    def _note_sealing(self, line: bytes) -> None:
        entry = _decoded(line)
        if entry is not None and entry.uscc:
            self.sealings[entry.uscc] = Sealing(entry.time, entry.reason)

    def _note_withheld(self, line: bytes) -> None:
        entry = _decoded(line)
        if entry is not None:
            if len(self.withheld) >= _MOST_WITHHELD:
                del self.withheld[next(iter(self.withheld))]
            self.withheld[entry.bank, entry.answer_id] = None


def _decoded(line: bytes) -> _Entry | None:
    try:
        return _decode(line)
    except (ValueError, RecursionError):  # no UTF-8, or nested too deep
        return None
