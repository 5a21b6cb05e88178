"""What evidence (证据) is made of: the leaf that stands for one answer, its receipt, and the archived copy.

A leaf binds answer id, view id, request digest, bank and time. The leaves of one group commit make a Merkle tree whose root
is signed, so that one signature serves a whole batch; the receipt is what one answer carries away of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.domain.consent import Permit
from gateway.domain.dates import day_of, plus_months

ENTERPRISE: Final = "enterprise"
PERSONAL: Final = "personal"
RETENTION_CLASSES: Final = (ENTERPRISE, PERSONAL)
USUAL_MONTHS: Final = 60
"""Five years: what is recommended for records of credit queries, and the most that adverse information on a person may be
kept (征信业管理条例, article 16)."""


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
    """One archived answer, decrypted; `sealed_because` is empty unless it is visible only as evidence of a past decision.

    `trail` is the id of the trail whose root its receipt names; empty for copies of before trails had ids.
    """

    bank: str
    answer_id: str
    uscc: str
    view: bytes
    receipt: Receipt
    retention_class: str
    kept_until: datetime
    sealed_because: str = ""
    trail: str = ""


class RootStanding(StrEnum):
    """What the trails here know of a root: whether an answer under it can have been given."""

    HELD = "held"
    """It stands there, durable."""
    MISSING = "missing"
    """Its trail is here and does not hold it: a crash, or a failed write, came before. Nobody was answered."""
    ELSEWHERE = "elsewhere"
    """Its trail is another machine's, or that part of it was moved away: that cannot be told here."""


def retention_class(permit: Permit) -> str:
    """Gives how long an answer is kept, by class: personal where anything about a person is shown unmasked in it."""
    return PERSONAL if permit.persons or not permit.is_masked else ENTERPRISE


def kept_until(months: Mapping[str, int], retention_class: str, at: datetime) -> datetime:
    """Gives until when a copy of that class is kept: so many months later, at most the last day of that month."""
    year, month, day = plus_months(day_of(at.date()), months.get(retention_class, USUAL_MONTHS))
    return at.replace(year=year, month=month, day=day)


def is_of(archived: ArchivedView, bank: str, answer_id: str, view_digest: bytes) -> bool:
    """Whether a copy is what its receipt speaks of, given the digest of its view: the bank's, and of that answer."""
    leaf = archived.receipt.leaf
    return (leaf.bank, leaf.answer_id, leaf.view_digest) == (bank, answer_id, view_digest)
