"""A receipt as the contract's message, written as bytes: one is made for each answer, and the root's once for each commit."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway._pb.xinyidai.gateway.v1 import evidence_pb2 as pb
from gateway.domain.evidence import Leaf, Receipt, SignedRoot
from gateway.domain.wire import delimited, encoder

_LEAF_FIELDS: Final = pb.EvidenceLeaf.DESCRIPTOR.fields_by_name
_LEAF: Final = [encoder(_LEAF_FIELDS[name]) for name in Leaf._fields]
_FIELDS: Final = pb.Evidence.DESCRIPTOR.fields_by_name
_WRAPPED_LEAF: Final = delimited(_FIELDS["leaf"])
_POSITION: Final = encoder(_FIELDS["position"])
_SIBLING: Final = delimited(_FIELDS["path"])
_ROOT: Final = delimited(_FIELDS["root"])


def evidence_bytes(receipt: Receipt) -> bytes:
    """Gives the bytes of the `Evidence` of a receipt."""
    written = _WRAPPED_LEAF(b"".join([write(value) for write, value in zip(_LEAF, receipt.leaf, strict=True)]))
    if receipt.position:
        written += _POSITION(receipt.position)
    return b"".join([written, *map(_SIBLING, receipt.path), _root(receipt.root)])


@lru_cache(maxsize=64)
def _root(root: SignedRoot) -> bytes:
    return _ROOT(pb.SignedRoot(**root._asdict()).SerializeToString())


def receipt_of(message: pb.Evidence) -> Receipt:
    """Gives the receipt that a message states; whether it proves anything is for whoever checks it."""
    leaf, root = message.leaf, message.root
    return Receipt(
        Leaf(*(getattr(leaf, name) for name in Leaf._fields)),
        message.position,
        tuple(message.path),
        SignedRoot(*(getattr(root, name) for name in SignedRoot._fields)),
    )
