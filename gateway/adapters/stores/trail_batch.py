"""One group commit of the trail, made but not written: its lines chained, its answers under one signed root, their copies.

    entries ─► lines with sequence, previous, hash ─► leaves of the answers ─► root, signed ─► the root's own line, last

Everything runs in the writer's thread; whatever fails, nothing of the batch was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gateway.domain.audit import AuditEntry
from gateway.domain.evidence import ArchivedView, Leaf, Receipt, SignedRoot, ViewCopy
from gateway.domain.merkle import Digest, leaf_digest, root_message, tree_of
from gateway.domain.trail import Link, RootEntry, line_of, with_copy
from gateway.store_ports import Signer, ViewArchive

_KEPT: Final = timedelta(days=5 * 366)
_SMALL: Final = 64 * 1024


def five_years(retention_class: str, at: datetime) -> datetime:
    """Gives until when a copy is kept where nothing else is configured: what is recommended for credit queries."""
    return at + _KEPT


@dataclass(frozen=True, slots=True)
class Evidence:
    """With what answers are proven and kept: who signs, the suite's digest, and where copies are archived, if they are."""

    signer: Signer
    digest_name: str
    digest: Digest
    archive: ViewArchive | None = None
    kept_until: Callable[[str, datetime], datetime] = five_years


class Proved(NamedTuple):
    """An entry of an answer with its copy: what becomes a leaf."""

    entry: AuditEntry
    copy: ViewCopy


class Batch(NamedTuple):
    """What is to be written; `receipts` stand in the order of the entries."""

    content: bytes
    link: Link
    receipts: Sequence[Receipt | None]
    copies: Sequence[ArchivedView]


_encode = msgspec.json.Encoder().encode


def batch_of(
    link: Link, entries: Sequence[tuple[bytes, Proved | None]], evidence: Evidence | None, trail: str = ""
) -> Batch:
    """Gives the batch of these entries, as JSON, that follows on a link of the trail of that id.

    Raises SigningUnavailableError.
    """
    lines: list[bytes] = []
    if evidence is None or not any(proved is not None for _, proved in entries):
        for entry, _ in entries:
            line, link = line_of(link, entry)
            lines.append(line)
        return Batch(b"".join(lines), link, (None,) * len(entries), ())
    leaves: list[Leaf] = []
    nodes: list[bytes] = []
    kept: list[datetime] = []
    for entry, proved in entries:
        node = None
        if proved is not None:
            leaf = _leaf(proved, evidence.digest)
            node = leaf_digest(leaf, evidence.digest)
            leaves.append(leaf)
            nodes.append(node)
            if evidence.archive is not None:
                until = evidence.kept_until(proved.copy.retention_class, datetime.fromisoformat(proved.entry.time))
                kept.append(until)
                entry = with_copy(entry, until)
        line, link = line_of(link, entry, node)
        lines.append(line)
    root, paths = tree_of(nodes, evidence.digest)
    signed = _signed(link.sequence + 1, root, len(nodes), evidence)
    line, link = line_of(link, _root_entry(signed))
    lines.append(line)
    proofs = iter([Receipt(leaf, at, path, signed) for at, (leaf, path) in enumerate(zip(leaves, paths, strict=True))])
    receipts = [next(proofs) if proved is not None else None for _, proved in entries]
    return Batch(b"".join(lines), link, receipts, _copies(entries, receipts, kept, trail))


def _leaf(proved: Proved, digest: Digest) -> Leaf:
    entry, copy = proved
    view = copy.view
    view_digest = _kept_digest(digest, view) if len(view) <= _SMALL else digest(view)
    return Leaf(entry.answer_id, entry.view_id, view_digest, copy.request_digest, entry.bank, entry.time)


@lru_cache(maxsize=512)
def _kept_digest(digest: Digest, view: bytes) -> bytes:
    """Gives the digest of a view: one that is kept is given to many, and the very same bytes are hashed once."""
    return digest(view)


def _signed(sequence: int, root: bytes, leaf_count: int, evidence: Evidence) -> SignedRoot:
    signer = evidence.signer
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    unsigned = SignedRoot(sequence, root, leaf_count, at, evidence.digest_name, signer.algorithm, signer.key_id, b"")
    return unsigned._replace(signature=signer.sign(root_message(unsigned)))


def _root_entry(root: SignedRoot) -> bytes:
    return _encode(
        RootEntry(
            time=root.signed_at,
            event="root",
            root=root.root.hex(),
            leaf_count=root.leaf_count,
            digest=root.digest,
            algorithm=root.algorithm,
            key_id=root.key_id,
            signature=root.signature.hex(),
        )
    )


def _copies(
    entries: Sequence[tuple[bytes, Proved | None]],
    receipts: Sequence[Receipt | None],
    kept: Sequence[datetime],
    trail: str,
) -> Sequence[ArchivedView]:
    """Gives the copies of the answers, each kept until then; none where there is no archive."""
    answers = [
        (proved, receipt)
        for (_, proved), receipt in zip(entries, receipts, strict=True)
        if proved is not None and receipt is not None
    ]
    return [
        ArchivedView(
            proved.entry.bank,
            proved.entry.answer_id,
            proved.copy.uscc,
            proved.copy.view,
            receipt,
            proved.copy.retention_class,
            until,
            trail=trail,
        )
        for (proved, receipt), until in zip(answers, kept, strict=False)
    ]
