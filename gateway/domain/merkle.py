"""The Merkle tree over the answers of one group commit: leaf, tree, path and root, in the shape of RFC 6962 §2.1.

    leaf node    H(0x00 ‖ leaf)            leaf: each of its six fields in order, its length (4 bytes, big endian) before it
    inner node   H(0x01 ‖ left ‖ right)    left: the largest power of two of leaves that is smaller than all

`H` is the digest of the deployment's suite. What is signed of a root is `root_message`: a plain text that says what it is, so
that no signature of one kind can be shown as one of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.domain.evidence import Leaf, Receipt, SignedRoot

Digest: TypeAlias = Callable[[bytes], bytes]

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_bytes(leaf: Leaf) -> bytes:
    """Gives the one encoding of a leaf; no two leaves have the same."""
    fields = (field.encode() if isinstance(field, str) else field for field in leaf)
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])


def leaf_digest(leaf: Leaf, digest: Digest) -> bytes:
    """Gives the node that stands for a leaf."""
    return digest(_LEAF + leaf_bytes(leaf))


def tree_of(leaves: Sequence[bytes], digest: Digest) -> tuple[bytes, Sequence[tuple[bytes, ...]]]:
    """Gives the root over leaf nodes, at least one, and for each the path of its siblings, from the leaf up."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    paths: list[list[bytes]] = [[] for _ in leaves]
    level = list(leaves)
    spans = [range(number, number + 1) for number in range(len(leaves))]
    # Level by level, a node without a neighbour going up as it is: the same tree as RFC 6962's division.
    while len(level) > 1:
        above: list[bytes] = []
        wider: list[range] = []
        for at in range(0, len(level) - 1, 2):
            left, right = level[at], level[at + 1]
            for leaf in spans[at]:
                paths[leaf].append(right)
            for leaf in spans[at + 1]:
                paths[leaf].append(left)
            above.append(digest(_NODE + left + right))
            wider.append(range(spans[at].start, spans[at + 1].stop))
        if len(level) % 2:
            above.append(level[-1])
            wider.append(spans[-1])
        level, spans = above, wider
    return level[0], [tuple(path) for path in paths]


def root_of(leaves: Sequence[bytes], digest: Digest) -> bytes:
    """Gives the root over leaf nodes, at least one, without their paths."""
    level = list(leaves)
    if not level:
        raise ValueError("a tree has at least one leaf")
    while len(level) > 1:
        paired = [digest(_NODE + level[at] + level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def root_by_path(node: bytes, position: int, leaf_count: int, path: Sequence[bytes], digest: Digest) -> bytes | None:
    """Gives the root that a leaf node at a position leads to by its path; None where the path does not fit the tree."""
    if not 0 <= position < leaf_count:
        return None
    siblings = iter(path)
    last = leaf_count - 1
    while last:
        if position % 2 or position < last:
            sibling = next(siblings, None)
            if sibling is None:
                return None
            node = digest(_NODE + sibling + node if position % 2 else _NODE + node + sibling)
        position //= 2
        last //= 2
    return node if next(siblings, None) is None else None


def root_message(root: SignedRoot) -> bytes:
    """Gives what is signed of a root: everything of it but the signature, one value a line."""
    return "\n".join(
        (
            "xinyidai-root-1",
            str(root.sequence),
            root.root.hex(),
            str(root.leaf_count),
            root.signed_at,
            root.digest,
            root.algorithm,
            root.key_id,
        )
    ).encode()


def is_included(receipt: Receipt, digest: Digest) -> bool:
    """Whether a receipt's leaf stands under its root; whether the root is signed is for whoever has the key to say."""
    node = leaf_digest(receipt.leaf, digest)
    return root_by_path(node, receipt.position, receipt.root.leaf_count, receipt.path, digest) == receipt.root.root
