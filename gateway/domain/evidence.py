"""What evidence (证据) is made of: the leaf that stands for one answer, its receipt, and the archived copy.

A leaf binds answer id, view id, request digest, bank and time. The leaves of one group commit make a Merkle tree whose root
is signed, so that one signature serves a whole batch; the receipt is what one answer carries away of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Leaf(NamedTuple):
    """What is proved of one answer; `view_digest` is the digest of the view's bytes as they are sent and archived.

    Digests are raw bytes; `at` is the time of the trail's entry, RFC 3339 in UTC, as the entry states it.
    """

    answer_id: str
    view_id: str
    view_digest: bytes
    request_digest: bytes
    bank: str
    at: str


class SignedRoot(NamedTuple):
    """The root of one group commit with its signature; `sequence` is that of the root's own entry in the trail."""

    sequence: int
    root: bytes
    leaf_count: int
    signed_at: str
    digest: str
    """Name of the digest: SM3 or SHA-256."""
    algorithm: str
    """Name of the signature: SM2-SM3 or ED25519."""
    key_id: str
    signature: bytes


class Receipt(NamedTuple):
    """The proof that an answer's leaf stands at `position` under a signed root; `path` are the siblings, from the leaf up."""

    leaf: Leaf
    position: int
    path: tuple[bytes, ...]
    root: SignedRoot


class ViewCopy(NamedTuple):
    """What the archive keeps of an answer as it leaves: the view's bytes as sent, and how long by its class."""

    view: bytes
    uscc: str
    request_digest: bytes
    retention_class: str


class ArchivedView(NamedTuple):
    """One archived answer, decrypted; `sealed_because` is empty unless it is visible only as evidence of a past decision."""

    bank: str
    answer_id: str
    uscc: str
    view: bytes
    receipt: Receipt
    retention_class: str
    kept_until: datetime
    sealed_because: str = ""
