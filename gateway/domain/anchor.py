"""Anchors (锚定): signed heads of a trail that stand where whoever rewrites it cannot reach.

A head says that the trail's entry of that number had that hash at that time. A cut tail and a log written anew check by
themselves; beside a head they do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

Verify: TypeAlias = Callable[[str, bytes, bytes], bool]
"""Whether a signature is by one of the keys that are trusted: of an algorithm, over a message, the signature itself."""

UNPROVEN: Final = "unproven"
CONFLICTING: Final = "conflicting"
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class TrailHead(msgspec.Struct, frozen=True):
    """The end of a trail at a time, RFC 3339 in UTC; the signature is in hexadecimal, all three empty where nobody signs."""

    trail: str
    sequence: int
    hash: str
    time: str
    algorithm: str = ""
    key_id: str = ""
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed: everything but the signature, one value a line."""
        values = (self.trail, str(self.sequence), self.hash, self.time, self.algorithm, self.key_id)
        return "\n".join(("xinyidai-head-1", *values)).encode()


def head_line(head: TrailHead) -> bytes:
    """Gives the head as one line of JSON, with its end."""
    return msgspec.json.encode(head) + b"\n"


def heads_by_sequence(lines: Iterable[bytes], trail: str, verify: Verify | None) -> dict[int, str]:
    """Gives the anchored hash of each anchored entry of a trail.

    UNPROVEN stands for one whose signature is not by a trusted key, CONFLICTING where two heads of one number differ; a line
    that is no head says nothing. Without `verify` signatures are not looked at.
    """
    heads: dict[int, str] = {}
    for line in lines:
        head = _head(line)
        if head is None or head.trail != trail:
            continue
        said = head.hash
        if verify is not None and not _is_signed(head, verify):
            said = UNPROVEN
        known = heads.get(head.sequence, UNPROVEN)
        if known == UNPROVEN:  # one that is proven outweighs any that is not: those anybody could add
            heads[head.sequence] = said
        elif said not in (known, UNPROVEN):
            heads[head.sequence] = CONFLICTING
    return heads


def is_anchored_beyond(lines: Iterable[bytes], trail: str, sequence: int, verify: Verify) -> bool:
    """Whether a signed head speaks of an entry of the trail that comes after that one: it was there once."""
    heads = (_head(line) for line in lines)
    return any(
        head is not None and head.trail == trail and head.sequence > sequence and _is_signed(head, verify)
        for head in heads
    )


def anchored_trails(lines: Iterable[bytes]) -> set[str]:
    """Gives the names of the trails that heads speak of, signed or not."""
    names = set()
    for line in lines:
        head = _head(line)
        if head is not None:
            names.add(head.trail)
    return names


def _head(line: bytes) -> TrailHead | None:
    try:
        line.decode()  # what is not asked for is not looked at by the decoder
        head = msgspec.json.decode(line, type=TrailHead)
    except (ValueError, RecursionError):  # no UTF-8, or nested too deep
        return None
    return head if head.sequence >= 1 and _HASH.fullmatch(head.hash) else None


def _is_signed(head: TrailHead, verify: Verify) -> bool:
    try:
        return verify(head.algorithm, head.message, bytes.fromhex(head.signature))
    except ValueError:
        return False
