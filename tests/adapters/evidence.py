"""Evidence for tests: a cipher, archived copies, and what proves them, with keys of the tests."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN, Purpose
from gateway.domain.errors import CorruptRecordError
from gateway.domain.evidence import ArchivedView, Leaf, Receipt, SignedRoot
from gateway.domain.merkle import leaf_digest, root_message, tree_of
from gateway.domain.statement import sm3
from tests.domain.trails import KeySigner

NOON: Final = datetime(2026, 11, 24, 4, tzinfo=UTC)
DEMO: Final = "91310115MA0TERT167"
SIGNER: Final = KeySigner()


def view_of(*categories: Category.ValueType, purpose: Purpose.ValueType = PURPOSE_PRE_LOAN) -> bytes:
    """Gives the bytes of a view that answered these categories."""
    scope = view_pb2.QueryScope(uscc=DEMO, purpose=purpose, categories=categories)
    view = view_pb2.CreditView(query=scope, permit=view_pb2.PermitScope(kind="consent", categories=categories))
    return view.SerializeToString(deterministic=True)


VIEW: Final = view_of(CATEGORY_PENALTY)


class KeyCipher:
    """Encrypts with a key of the tests."""

    key_id = "test-archive"

    def __init__(self, key: bytes = bytes(32)) -> None:
        self._key = AESGCM(key)

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._key.encrypt(nonce, content, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        try:
            return self._key.decrypt(sealed[:12], sealed[12:], bound_to)
        except InvalidTag as error:
            raise CorruptRecordError("does not open") from error


def receipts(*leaves: Leaf, sequence: int = 7) -> list[Receipt]:
    """Gives the receipts of one signed commit."""
    root, paths = tree_of([leaf_digest(each, sm3) for each in leaves], sm3)
    at = "2026-11-24T04:00:00.000+00:00"
    unsigned = SignedRoot(sequence, root, len(leaves), at, "SM3", SIGNER.algorithm, SIGNER.key_id, b"")
    signed = unsigned._replace(signature=SIGNER.sign(root_message(unsigned)))
    return [Receipt(leaf, at, path, signed) for at, (leaf, path) in enumerate(zip(leaves, paths, strict=True))]


def leaf_of(view: bytes, *, answer_id: str = "a-1", bank: str = "bank-a", request: bytes = b"question") -> Leaf:
    """Gives the leaf of a view."""
    return Leaf(answer_id, "v-1", sm3(view), sm3(request), bank, "2026-11-24T04:00:00.000+00:00")


def archived(view: bytes = VIEW, *, bank: str = "bank-a", answer_id: str = "a-1", **more: Any) -> ArchivedView:
    """Gives a copy whose receipt is of it alone."""
    (receipt,) = receipts(leaf_of(view, answer_id=answer_id, bank=bank))
    copy = ArchivedView(bank, answer_id, DEMO, view, receipt, "enterprise", NOON + timedelta(days=1826))
    return copy._replace(**more)
