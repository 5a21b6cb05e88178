"""Small trails in memory, and every way to damage one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.domain.evidence import Leaf, SignedRoot
from gateway.domain.merkle import leaf_digest, root_message, root_of
from gateway.domain.statement import sm3
from gateway.domain.trail import BEGINNING, Link, line_of

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: Final = KEY.public_key().public_bytes_raw()


class KeySigner:
    """Signs with a key of the tests."""

    key_id = "test-1"
    algorithm = "ED25519"

    def sign(self, message: bytes) -> bytes:
        return KEY.sign(message)


def entry(number: int, bank: str = "bank-a", event: str = "refused") -> bytes:
    return json.dumps(
        {
            "time": f"2026-11-24T00:00:{number % 60:02}.000+00:00",
            "event": event,
            "answer_id": f"a-{number}",
            "bank": bank,
        },
        separators=(",", ":"),
    ).encode()


def leaf(number: int) -> Leaf:
    return Leaf(f"a-{number}", "v", sm3(b"view"), sm3(b"request"), "bank-a", "2026-11-24T00:00:00.000+00:00")


def trail(count: int, *, answers_per_root: int = 0) -> list[bytes]:
    """Gives the lines of a trail; with answers per root, each so many answers are followed by their root's entry."""
    lines: list[bytes] = []
    link = BEGINNING
    nodes: list[bytes] = []
    while len(lines) < count:
        if answers_per_root and len(nodes) == answers_per_root:
            line, link = root_line(link, nodes)
            nodes = []
        else:
            node = leaf_digest(leaf(len(lines)), sm3) if answers_per_root else None
            line, link = line_of(link, entry(len(lines)), node)
            nodes += [node] if node is not None else []
        lines.append(line[:-1])
    return lines


def root_line(link: Link, nodes: Sequence[bytes]) -> tuple[bytes, Link]:
    """Gives the line of a signed root over leaf nodes."""
    at = "2026-11-24T00:01:00.000+00:00"
    root = SignedRoot(link.sequence + 1, root_of(nodes, sm3), len(nodes), at, "SM3", "ED25519", "test-1", b"")
    told = {
        "time": at,
        "event": "root",
        "root": root.root.hex(),
        "leaf_count": len(nodes),
        "digest": "SM3",
        "algorithm": "ED25519",
        "key_id": "test-1",
        "signature": KEY.sign(root_message(root)).hex(),
    }
    return line_of(link, json.dumps(told, separators=(",", ":")).encode())


def rechained(lines: Sequence[bytes], since: int) -> list[bytes]:
    """Gives the trail hashed anew from a place on, as one would who rewrites it."""
    from gateway.domain.trail import taken_apart

    link = BEGINNING
    written: list[bytes] = []
    for at, line in enumerate(lines):
        if at >= since:
            told = json.loads(line)
            node = told.pop("leaf", None)
            body = {key: value for key, value in told.items() if key not in ("sequence", "previous", "hash")}
            made, link = line_of(
                link, json.dumps(body, separators=(",", ":")).encode(), bytes.fromhex(node) if node else None
            )
            line = made[:-1]
        else:
            apart = taken_apart(line)
            assert apart is not None
            link = apart.link
        written.append(line)
    return written


def damages(lines: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yields every damage of a kind at every place of a trail, with a name for it."""
    for at, line in enumerate(lines):
        before, after = list(lines[:at]), list(lines[at + 1 :])
        changed = line.replace(b"bank-a", b"bank-b").replace(b'"leaf_count":', b'"leaf_count":1')
        yield f"altered {at}", [*before, changed, *after]
        rehashed = rechained([*before, changed], at)[at]
        yield f"altered and hashed anew {at}", [*before, rehashed, *after]
        yield f"one bit {at}", [*before, line[:100] + bytes([line[100] ^ 1]) + line[101:], *after]
        yield f"garbled {at}", [*before, b"no entry", *after]
        yield f"empty line {at}", [*before, b"", line, *after]
        yield f"repeated {at}", [*before, line, line, *after]
        yield f"inserted {at}", [*before, entry(99), line, *after]
        if after:
            yield f"deleted {at}", [*before, *after]
            yield f"swapped {at}", [*before, after[0], line, *after[1:]]
            yield f"deleted and hashed anew {at}", [*before, *rechained([*before, *after], at)[at:-1]]
        yield f"cut {at}", before
        yield f"rewritten from {at}", rechained([*before, changed, *after], at)
