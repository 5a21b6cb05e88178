"""Verifies a trail on disk, segment by segment and piece by piece: chain, roots, and what is anchored of it.

What was checked before need not be checked again: a checkpoint says up to where, and whoever keeps it trusts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway.adapters.stores.trail_files import lines_of, segments_of
from gateway.domain.anchor import UNPROVEN, Verify
from gateway.domain.errors import StoreError
from gateway.domain.evidence import SignedRoot
from gateway.domain.merkle import root_message
from gateway.domain.trail import Fault, Finding, Link, TrailCheck, taken_apart

_STEP: Final = 50_000


class Checkpoint(msgspec.Struct, frozen=True):
    """Up to where a trail was found whole: in the file that begins with entry `first`, at `offset`, after that link."""

    first: int
    offset: int
    sequence: int
    hash: str
    leaves: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What is found: how much was checked, and the first bad entry if there is one.

    `uncovered` are answers' entries without a root (of a commit that a crash cut off), `anchored` the heads that fit,
    `anchored_to` the last of them, after which nothing outside proves the trail; `torn_bytes` is a half line at the end,
    which the next start cuts off.
    """

    trail: str
    entry_count: int
    end: Link
    root_count: int
    uncovered: int
    anchored: int
    anchored_to: int
    torn_bytes: int
    finding: Finding | None
    checkpoint: Checkpoint | None


def verify_trail(
    path: Path,
    heads: Mapping[int, str],
    verify: Verify | None = None,
    *,
    since: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Verdict:
    """Gives the verdict on the trail at a path; `progress` is told how many entries were checked, now and then.

    `heads` are its anchored hashes: of a trail that is gone the first entry was cut. Without `verify` the roots' signatures
    are not looked at. Raises StoreError where a file cannot be read, or where the checkpoint is of another trail.
    """
    segments = segments_of(path)
    if not segments and not heads:
        raise StoreError(f"there is no trail at {path}")
    try:
        return _Reading(path, segments, heads, verify, since).run(progress)
    except OSError as error:
        raise StoreError(f"the trail {path} cannot be read: {error.strerror}") from error


class _Reading:
    """One walk over a trail."""

    def __init__(
        self,
        path: Path,
        segments: Sequence[Path],
        heads: Mapping[int, str],
        verify: Verify | None,
        since: Checkpoint | None,
    ) -> None:
        self._path = path
        self._segments = segments
        self._heads = heads
        self._verify = verify
        self._since = since
        self._check = TrailCheck()
        if since is not None:
            self._check.link = Link(since.sequence, since.hash)
            self._check.leaves += [bytes.fromhex(leaf) for leaf in since.leaves]
        self._checkpoint = since
        self._anchored = self._anchored_to = self._count = self._torn = 0

    def run(self, progress: Callable[[int], None]) -> Verdict:
        check = self._check
        for first, line, end in self._lines():
            root = check.take(line)
            finding = check.finding or self._unlike_head() or self._unsigned(root)
            if finding is not None:
                return self._verdict(finding)
            self._count += 1
            if not self._count % _STEP:
                progress(self._count)
            if len(check.leaves) < 1_000:
                link, leaves = check.link, tuple([leaf.hex() for leaf in check.leaves])
                self._checkpoint = None if not first else Checkpoint(first, end, link.sequence, link.hash, leaves)
        return self._verdict(self._cut())

    def _lines(self) -> Iterator[tuple[int, bytes, int]]:
        since = self._since
        for segment in self._segments:
            first, begin = _first_of(segment), 0
            if since is not None:
                if first != since.first:
                    continue
                begin, since = since.offset, None
            end = begin
            for line in lines_of(segment, begin):
                end = line.end
                yield first, line.content, end
            self._torn = segment.stat().st_size - end
        if since is not None:
            raise StoreError(f"the checkpoint is not of the trail {self._path}; verify it from the beginning")

    def _unlike_head(self) -> Finding | None:
        link = self._check.link
        said = self._heads.get(link.sequence)
        if said is None:
            return None
        if said == UNPROVEN:
            return Finding(link.sequence, Fault.SIGNATURE, "the anchored head is not signed by the key")
        if said != link.hash:
            return Finding(link.sequence, Fault.REWRITTEN, f"changed here or before, after {self._anchored_to}")
        self._anchored += 1
        self._anchored_to = link.sequence
        return None

    def _unsigned(self, root: SignedRoot | None) -> Finding | None:
        if root is None or self._verify is None or self._verify(root.algorithm, root_message(root), root.signature):
            return None
        return Finding(root.sequence, Fault.SIGNATURE, f"root of key {root.key_id}")

    def _cut(self) -> Finding | None:
        last = self._check.link.sequence
        beyond = {sequence: said for sequence, said in self._heads.items() if sequence > last}
        proven = [sequence for sequence, said in beyond.items() if said != UNPROVEN]
        if proven:
            return Finding(last + 1, Fault.CUT, f"anchored up to {max(proven)}")
        if beyond:
            return Finding(min(beyond), Fault.SIGNATURE, "the anchored head is not signed by the key")
        return None

    def _verdict(self, finding: Finding | None) -> Verdict:
        check = self._check
        return Verdict(
            self._path.name,
            self._count,
            check.link,
            check.root_count,
            check.uncovered,
            self._anchored,
            self._anchored_to,
            self._torn,
            finding,
            self._checkpoint,
        )


def _first_of(segment: Path) -> int:
    """Gives the number of a file's first entry, 0 of none; by its content, since a full segment was the written file once."""
    line = next(lines_of(segment), None)
    entry = taken_apart(line.content) if line is not None else None
    return entry.sequence if entry is not None else 0
