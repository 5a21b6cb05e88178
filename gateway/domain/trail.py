"""The chain of the trail (留痕): what stands around an entry in its line, and how a line is checked against the one before.

A line of the trail, in bytes, without its line end:

    {"sequence":7,"previous":"<64 hex>",…the entry…,"hash":"<64 hex>"}
    {"sequence":7,"previous":"<64 hex>",…the entry…,"leaf":"<64 hex>","hash":"<64 hex>"}

The **canonical form** of an entry is that very line without its hash member: `{"sequence":7,…the entry…}` — the bytes as they
were written, so that nothing has to be serialised again to check them. The hash is the SM3 of the canonical form in
lower-case hexadecimal, `previous` the hash of the entry before; sequence numbers begin with 1 and have no gaps, and the
first entry's `previous` is `GENESIS`. The entry itself is JSON as msgspec writes it: members in the order of the struct, no
spaces, UTF-8. Of an answer that is under a signed root, `leaf` is its node in the Merkle tree (see `merkle`); where its copy
is archived, `kept_until` right before it is the last day (UTC) of that.

The root's own entry has the event "root" and covers the `leaf_count` leaves before it. Leaves without a root are those of a
batch that a crash cut off: nobody was answered with them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from gateway.domain.evidence import SignedRoot
from gateway.domain.merkle import Digest, root_of
from gateway.domain.statement import sm3

GENESIS: Final = sm3(b"xinyidai-trail-1").hex()
"""What stands for the hash of the entry before the first."""
LONGEST_LINE: Final = 4 * 1024 * 1024
"""No entry comes near it: what is longer is no entry, and is not held in memory."""
_HEAD: Final = re.compile(rb'\{"sequence":([1-9][0-9]{0,18}),"previous":"([0-9a-f]{64})",')
_SEQUENCE: Final = re.compile(rb'\{"sequence":([1-9][0-9]{0,18}),')
_HEX: Final = re.compile(rb"[0-9a-f]{64}")
_HASH_MEMBER: Final = len(',"hash":""}') + 64
_LEAF_MEMBER: Final = len(',"leaf":""') + 64
_MOST_LEAVES: Final = 1_000_000
"""Far more than one group commit has: leaves that no root covers are not kept beyond it."""
_ROOT: Final = b'"event":"root"'
DIGESTS: Final[dict[str, Digest]] = {
    "SM3": sm3,
    "SHA-256": lambda content: hashlib.sha256(content).digest(),
}
"""The digests of leaves and nodes, by the name that a root's entry states."""


class Link(NamedTuple):
    """The end of a chain: the sequence number of the last entry, 0 before the first, and its hash."""

    sequence: int
    hash: str


BEGINNING: Final = Link(0, GENESIS)


class Chained(NamedTuple):
    """One line taken apart; `is_sound` says whether its hash is that of its canonical form."""

    sequence: int
    previous: str
    leaf: bytes | None
    hash: str
    is_sound: bool

    @property
    def link(self) -> Link:
        """What the next entry is chained to."""
        return Link(self.sequence, self.hash)


class RootEntry(msgspec.Struct, frozen=True):
    """The entry of a signed root; binary values are in hexadecimal, `signed_at` is the entry's own time."""

    time: str
    event: str
    root: str
    leaf_count: int
    digest: str
    algorithm: str
    key_id: str
    signature: str


class BeginEntry(msgspec.Struct, frozen=True):
    """The first entry of a chain that goes on after a trail without one: `covers` is that file's name, and its SM3."""

    time: str
    event: str
    covers: str
    covered_digest: str


class Fault(StrEnum):
    """What is wrong with a trail."""

    UNREADABLE = "unreadable"
    """The line is no entry."""
    ALTERED = "altered"
    """The entry's hash is not that of its content."""
    MISSING = "missing"
    """An entry is not where it should be: deleted, or moved."""
    INSERTED = "inserted"
    """An entry stands where another should: inserted, repeated, or moved."""
    REPLACED = "replaced"
    """The next entry is chained to another one in this one's place."""
    ROOT = "root"
    """A root is not that of the leaves before it."""
    SIGNATURE = "signature"
    """A root's signature is not by the key."""
    CUT = "cut"
    """An anchored entry is not there: the tail was cut off."""
    REWRITTEN = "rewritten"
    """An anchored entry is another one: the log was written anew."""


class Finding(NamedTuple):
    """The first bad entry of a trail by the sequence number it has or should have."""

    sequence: int
    fault: Fault
    detail: str = ""


def line_of(link: Link, entry: bytes, leaf: bytes | None = None) -> tuple[bytes, Link]:
    """Gives the line, with its end, of an entry (a JSON object) that follows on a link, and what the next is chained to."""
    sequence = link.sequence + 1
    canonical = b'{"sequence":%d,"previous":"%b",%b' % (sequence, link.hash.encode(), entry[1:])
    if leaf is not None:
        canonical = b'%b,"leaf":"%b"}' % (canonical[:-1], leaf.hex().encode())
    digest = sm3(canonical).hex()
    return b'%b,"hash":"%b"}\n' % (canonical[:-1], digest.encode()), Link(sequence, digest)


def with_copy(entry: bytes, until: datetime) -> bytes:
    """Gives an entry (a JSON object) that also says until when a copy of its answer is kept."""
    return b'%b,"kept_until":"%b"}' % (entry[:-1], until.astimezone(UTC).date().isoformat().encode())


def canonical_form(line: bytes) -> bytes:
    """Gives what is hashed of a line that ends with its hash member."""
    return line[:-_HASH_MEMBER] + b"}"


def sequence_in(line: bytes) -> int | None:
    """Gives the number that a line, or its beginning, states; None for one that is no entry of a chain."""
    stated = _SEQUENCE.match(line)
    return int(stated[1]) if stated is not None else None


def taken_apart(line: bytes) -> Chained | None:
    """Gives what chains a line, without its line end; None for one that is no entry of a chain."""
    head = _HEAD.match(line)
    hash_at = len(line) - _HASH_MEMBER
    if head is None or hash_at <= head.end() or line[hash_at : hash_at + 9] != b',"hash":"' or line[-2:] != b'"}':
        return None
    stated = line[-66:-2]
    if not _HEX.fullmatch(stated):
        return None
    leaf_at = hash_at - _LEAF_MEMBER
    has_leaf = line[leaf_at : leaf_at + 9] == b',"leaf":"' and line[hash_at - 1 : hash_at] == b'"'
    leaf = line[leaf_at + 9 : hash_at - 1] if has_leaf else b""
    sound = sm3(canonical_form(line)).hex().encode() == stated
    node = bytes.fromhex(leaf.decode()) if _HEX.fullmatch(leaf) else None
    return Chained(int(head[1]), head[2].decode(), node, stated.decode(), sound)


def break_between(before: Link, line: bytes) -> tuple[Finding | None, Chained | None]:
    """Gives what is wrong with the line that follows on a link, and the line taken apart.

    An entry that was changed and hashed anew shows in the next one, which is chained to what it was: so that one's number is
    named. Of a chain whose first entry is not chained to the beginning, the first is.
    """
    expected = before.sequence + 1
    entry = taken_apart(line)
    if entry is None:
        return Finding(expected, Fault.UNREADABLE), None
    if not entry.is_sound:
        return Finding(expected, Fault.ALTERED), entry
    if entry.sequence != expected:
        detail = f"here stands {entry.sequence}"
        return Finding(expected, Fault.MISSING if entry.sequence > expected else Fault.INSERTED, detail), entry
    if entry.previous != before.hash:
        detail = "" if before.sequence else "chained to no beginning"
        return Finding(max(before.sequence, 1), Fault.REPLACED, detail), entry
    return None, entry


def root_in(line: bytes, sequence: int) -> SignedRoot | None:
    """Gives the root that an entry of that number states; None where it is no root's entry that can be read."""
    if _ROOT not in line:
        return None
    try:
        line.decode()  # what is not asked for is not looked at by the decoder
        stated = msgspec.json.decode(line, type=RootEntry)
        if not _HEX.fullmatch(stated.root.encode()):
            return None
        return SignedRoot(
            sequence,
            bytes.fromhex(stated.root),
            stated.leaf_count,
            stated.time,
            stated.digest,
            stated.algorithm,
            stated.key_id,
            bytes.fromhex(stated.signature),
        )
    except (ValueError, RecursionError):  # nested too deep
        return None


@dataclass(slots=True)
class TrailCheck:
    """Checks a trail line by line, in memory that does not grow: after the first fault nothing more can be said.

    `leaves` are those that no root has covered yet; `roots` takes each root's entry for whoever checks signatures.
    """

    link: Link = BEGINNING
    leaves: list[bytes] = field(default_factory=list)
    uncovered: int = 0
    root_count: int = 0
    finding: Finding | None = None

    def take(self, line: bytes) -> SignedRoot | None:
        """Takes the next line, without its line end; gives the root where it is a sound root's entry."""
        finding, entry = break_between(self.link, line)
        if finding is not None or entry is None:
            self.finding = finding
            return None
        self.link = entry.link
        if entry.leaf is not None:
            self.leaves.append(entry.leaf)
            if len(self.leaves) > 2 * _MOST_LEAVES:
                self.uncovered += _MOST_LEAVES
                del self.leaves[:_MOST_LEAVES]
        if _ROOT not in line:
            return None
        return self._root(line)

    def _root(self, line: bytes) -> SignedRoot | None:
        root = root_in(line, self.link.sequence)
        digest = DIGESTS.get(root.digest) if root is not None else None
        if root is None or digest is None:
            self.finding = Finding(self.link.sequence, Fault.ROOT, "cannot be read")
            return None
        covered = self.leaves[-root.leaf_count :] if root.leaf_count > 0 else []
        if len(covered) != root.leaf_count or not covered or root_of(covered, digest) != root.root:
            self.finding = Finding(self.link.sequence, Fault.ROOT, "is not that of the leaves before it")
            return None
        self.uncovered += len(self.leaves) - len(covered)
        self.leaves.clear()
        self.root_count += 1
        return root
