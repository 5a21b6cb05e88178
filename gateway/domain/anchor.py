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
        try:
            head = msgspec.json.decode(line, type=TrailHead)
        except msgspec.DecodeError:
            continue
        if head.trail != trail or head.sequence < 1 or not _HASH.fullmatch(head.hash):
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


def _is_signed(head: TrailHead, verify: Verify) -> bool:
    try:
        return verify(head.algorithm, head.message, bytes.fromhex(head.signature))
    except ValueError:
        return False
