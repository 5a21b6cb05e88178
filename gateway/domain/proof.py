"""What an answer's evidence proves, step by step, offline: from the view's bytes up to the signature of the root.

    view's bytes ─H─► leaf ◄─H─ question's bytes          leaf ─path─► root ─signature─► whose key it is

Whoever checks needs the response as it was received, the digest that the root names, and a public key that came by another
way than the response.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from gateway.domain.evidence import Receipt, SignedRoot
from gateway.domain.merkle import is_included
from gateway.domain.trail import DIGESTS


class Step(StrEnum):
    """What is checked, in this order."""

    DIGEST = "digest"
    """The root names a digest that is known here."""
    ANSWER = "answer"
    """The evidence is of this answer and this view, by their ids."""
    VIEW = "view"
    """The view's bytes are those of which the evidence speaks."""
    REQUEST = "request"
    """The question is the one that was answered."""
    INCLUSION = "inclusion"
    """The answer stands under the root."""
    SIGNATURE = "signature"
    """The root is signed by the key."""


class Delivered(NamedTuple):
    """A response as it was received: the view's own bytes, its ids as stated beside them, and its evidence."""

    view: bytes
    view_id: str
    answer_id: str
    receipt: Receipt


class Checked(NamedTuple):
    """The steps that hold, in order, and the first that does not; None where all do."""

    held: tuple[Step, ...]
    failed: Step | None


def check(
    delivered: Delivered, is_signed: Callable[[SignedRoot], bool], *, questions: tuple[bytes, ...] = ()
) -> Checked:
    """Checks a response; `questions` are the forms in which the question may be at hand, none where it is not."""
    view, view_id, answer_id, receipt = delivered
    leaf = receipt.leaf
    digest = DIGESTS.get(receipt.root.digest)
    if digest is None:
        return Checked((), Step.DIGEST)
    steps: list[tuple[Step, Callable[[], bool]]] = [
        (Step.ANSWER, lambda: (leaf.answer_id, leaf.view_id) == (answer_id, view_id)),
        (Step.VIEW, lambda: digest(view) == leaf.view_digest),
        (Step.INCLUSION, lambda: is_included(receipt, digest)),
        (Step.SIGNATURE, lambda: is_signed(receipt.root)),
    ]
    if questions:
        steps.insert(2, (Step.REQUEST, lambda: leaf.request_digest in map(digest, questions)))
    held = [Step.DIGEST]
    for step, holds in steps:
        if not holds():
            return Checked(tuple(held), step)
        held.append(step)
    return Checked(tuple(held), None)
