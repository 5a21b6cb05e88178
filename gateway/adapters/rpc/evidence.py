"""A receipt as the contract's message, and back.

It is written as bytes: one is made for each answer, and the root's once for each commit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2, credit_service_pb2
from gateway._pb.xinyidai.gateway.v1 import evidence_pb2 as pb
from gateway.domain.evidence import Leaf, Receipt, SignedRoot
from gateway.domain.proof import Delivered
from gateway.domain.wire import delimited, encoder, split_fields, take_delimited

_LEAF_FIELDS: Final = pb.EvidenceLeaf.DESCRIPTOR.fields_by_name
_LEAF: Final = [encoder(_LEAF_FIELDS[name]) for name in Leaf._fields]
_FIELDS: Final = pb.Evidence.DESCRIPTOR.fields_by_name
_WRAPPED_LEAF: Final = delimited(_FIELDS["leaf"])
_POSITION: Final = encoder(_FIELDS["position"])
_SIBLING: Final = delimited(_FIELDS["path"])
_ROOT: Final = delimited(_FIELDS["root"])
_VIEW: Final = 1
"""The field of the view's bytes, in both responses that hold them."""


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


def delivered_of(raw: bytes) -> Delivered:
    """Gives what a GetCreditViewResponse or a GetArchivedViewResponse holds; raises ValueError, saying what is wrong.

    The view's bytes are taken as they stand, not written anew. A response with two views is refused: a library would show
    both as one.
    """
    try:
        archived = archive_service_pb2.GetArchivedViewResponse.FromString(raw) if raw else None
        if archived is not None and archived.HasField("evidence"):
            evidence, answer_id = archived.evidence, archived.evidence.leaf.answer_id
        else:
            delivery = credit_service_pb2.GetCreditViewResponse.FromString(raw).delivery
            evidence, answer_id = delivery.evidence, delivery.answer_id
        field = split_fields(raw).get(_VIEW, b"")
        start, end = take_delimited(field, 0)
        view = field[start:end]
        view_id = view_pb2.CreditView.FromString(view).view_id
    except (DecodeError, IndexError, KeyError) as error:
        raise ValueError("the file is no GetCreditViewResponse and no GetArchivedViewResponse") from error
    if end != len(field):
        raise ValueError("the response holds more than one view")
    if not evidence.HasField("root"):
        raise ValueError("the response carries no evidence: the gateway does not sign its answers")
    return Delivered(view, view_id, answer_id, receipt_of(evidence))


def questions_of(raw: bytes) -> tuple[bytes, ...]:
    """Gives the forms of a question that a file may hold: a CreditQuery, or a request with one in its first field.

    Both as they stand and as the gateway writes them: a library may write repeated enums one by one, or fields in any order.
    """
    forms = [raw]
    try:
        credit_service_pb2.GetCreditViewRequest.FromString(raw)
        start, end = take_delimited(raw, 0)
        forms.append(raw[start:end])
    except (DecodeError, IndexError):
        pass
    for form in tuple(forms):
        try:
            forms.append(credit_service_pb2.CreditQuery.FromString(form).SerializeToString(deterministic=True))
        except DecodeError:
            continue
    return tuple(forms)
