"""The Merkle tree of a group commit: RFC 6962's own shape, and paths that prove one leaf at one place only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.evidence import Leaf, Receipt, SignedRoot
from gateway.domain.merkle import is_included, leaf_bytes, leaf_digest, root_by_path, root_message, root_of, tree_of
from tests.domain.trails import leaf


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def rfc_6962(leaves: Sequence[bytes]) -> bytes:
    """Gives the root as RFC 6962 §2.1 writes it down: by halves."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + rfc_6962(leaves[:split]) + rfc_6962(leaves[split:]))


@pytest.mark.parametrize(
    ("count", "root"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_roots_are_those_of_the_published_test_vectors(count: int, root: str) -> None:
    told = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")

    nodes = [sha256(b"\x00" + bytes.fromhex(content)) for content in told[:count]]

    assert root_of(nodes, sha256).hex() == root


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40))
def test_every_leaf_leads_to_the_root_and_no_other_leaf_does(contents: list[bytes]) -> None:
    nodes = [sha256(b"\x00" + content) for content in contents]

    root, paths = tree_of(nodes, sha256)

    assert root == root_of(nodes, sha256) == rfc_6962(contents)
    for at, (node, path) in enumerate(zip(nodes, paths, strict=True)):
        assert root_by_path(node, at, len(nodes), path, sha256) == root
        assert root_by_path(sha256(b"other"), at, len(nodes), path, sha256) != root
        assert root_by_path(node, at, len(nodes), (*path, node), sha256) is None
        assert root_by_path(node, len(nodes), len(nodes), path, sha256) is None
        if path:
            assert root_by_path(node, at, len(nodes), path[:-1], sha256) is None


_TEXTS = st.text(max_size=6)
_LEAVES = st.builds(Leaf, _TEXTS, _TEXTS, st.binary(max_size=6), st.binary(max_size=6), _TEXTS, _TEXTS)


@given(_LEAVES, _LEAVES)
def test_two_leaves_have_one_encoding_only_if_they_are_the_same(one: Leaf, other: Leaf) -> None:
    assert (leaf_bytes(one) == leaf_bytes(other)) == (one == other)
    moved = one._replace(answer_id=one.answer_id + "x", view_id=one.view_id)
    assert leaf_bytes(moved) != leaf_bytes(one._replace(view_id="x" + one.view_id))


@pytest.mark.parametrize("number", range(5))
def test_a_receipt_proves_its_answer_and_nothing_else(number: int) -> None:
    leaves = [leaf(each) for each in range(5)]
    root, paths = tree_of([leaf_digest(each, sha256) for each in leaves], sha256)
    signed = SignedRoot(6, root, 5, "2026-11-24T00:00:00.000+00:00", "SHA-256", "ED25519", "k", b"")

    receipt = Receipt(leaves[number], number, paths[number], signed)

    assert is_included(receipt, sha256)
    assert not is_included(receipt._replace(leaf=leaf(7)), sha256)
    assert not is_included(receipt._replace(leaf=leaves[number]._replace(bank="bank-b")), sha256)
    assert not is_included(receipt._replace(position=(number + 1) % 5), sha256)


def test_everything_of_a_root_but_the_signature_is_signed() -> None:
    root = SignedRoot(6, bytes(32), 5, "2026-11-24T00:00:00.000+00:00", "SM3", "ED25519", "k", b"")
    others = [
        root._replace(sequence=7),
        root._replace(root=bytes([1]) * 32),
        root._replace(leaf_count=6),
        root._replace(signed_at="2026-11-25T00:00:00.000+00:00"),
        root._replace(digest="SHA-256"),
        root._replace(algorithm="SM2-SM3"),
        root._replace(key_id="other"),
    ]

    assert len({root_message(each) for each in (root, *others)}) == 8
    assert root_message(root._replace(signature=b"s")) == root_message(root)
