"""Credit queries read off requests: the rules are checked once for all requests of one shape.

Whether a request breaks a rule, and what it asks, follows from the request and from whose user asks, and from nothing else.
A bank's requests differ in the enterprise and in references of their own; what is left is their shape, and there are few.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf.unknown_fields import UnknownFieldSet

from gateway._pb.buf.validate import validate_pb2
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.requests import check_annotations, credit_query
from gateway.domain.caller import Caller
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery

Request: TypeAlias = pb.GetCreditViewRequest | pb.StreamCreditViewRequest | pb.BatchGetCreditViewsRequest

TEXTS: Final = ("uscc", "request_id", "loan_reference", "application_reference")
"""Texts that differ from request to request of one shape, as `consent_ids` do."""
_MOST: Final = 1_024
_LONGEST: Final = 256
"""Bytes of a shape that is remembered: more than purpose, categories and platforms take."""


def rules_of(field: str) -> Any:
    """Gives the annotated rules of a field of a query."""
    return pb.CreditQuery.DESCRIPTOR.fields_by_name[field].GetOptions().Extensions[validate_pb2.field]


_TEXT_RULES: Final = [(rules_of(name).string.min_len, rules_of(name).string.max_len) for name in TEXTS]
_CONSENTS: Final = rules_of("consent_ids").repeated
_CONSENT: Final = (_CONSENTS.items.string.min_len, _CONSENTS.items.string.max_len)


class Questions:
    """Reads requests; `platforms` are those configured, `unknown_fields` is told how many fields a newer client states."""

    def __init__(self, platforms: Collection[str], unknown_fields: Callable[[int], None]) -> None:
        self._platforms = tuple(sorted(platforms))
        self._unknown_fields = unknown_fields
        self._seen: dict[tuple[type, bytes, str, str, str], CreditQuery] = {}

    def read(self, request: Request, caller: Caller) -> CreditQuery:
        """Gives the checked query of a request; raises what `check_annotations` and `credit_query` do."""
        kind = request.__class__
        if kind not in (pb.GetCreditViewRequest, pb.StreamCreditViewRequest):  # a batch's items have ids of their own
            return self._checked(request, caller)[0]
        key = (kind, _shape(request), caller.bank, caller.operator, caller.branch)
        seen = self._seen.get(key)
        if seen is not None:
            asked = request.query
            texts, consents = [getattr(asked, name) for name in TEXTS], tuple(asked.consent_ids)
            if _keep_the_rules(texts, consents):
                uscc, request_id, loan, application = texts
                sent = asked.SerializeToString(deterministic=True)
                return seen.again(Uscc.parse(uscc), request_id, consents, loan, application, sent)
        query, unknown = self._checked(request, caller)
        if not unknown and len(key[1]) <= _LONGEST:
            if len(self._seen) >= _MOST:
                self._seen.clear()
            self._seen[key] = query
        return query

    def _checked(self, request: Request, caller: Caller) -> tuple[CreditQuery, int]:
        check_annotations(request)
        unknown = len(UnknownFieldSet(request)) + len(UnknownFieldSet(request.query))
        if unknown:  # what this gateway does not know is ignored
            self._unknown_fields(unknown)
        is_batch = isinstance(request, pb.BatchGetCreditViewsRequest)
        return credit_query(request.query, caller, self._platforms, is_batch=is_batch), unknown


def _shape(request: Any) -> bytes:
    """Gives the bytes of a request without what differs from one to the next."""
    rest = request.__class__()
    rest.CopyFrom(request)
    query = rest.query
    for name in TEXTS:
        query.ClearField(name)
    query.ClearField("consent_ids")
    shape: bytes = rest.SerializeToString(deterministic=True)
    return shape


def _keep_the_rules(texts: Sequence[str], consents: Sequence[str]) -> bool:
    """Whether the annotations hold for what differs; where not, the annotations themselves say what is wrong."""
    for text, (least, most) in zip(texts, _TEXT_RULES, strict=True):
        if not least <= len(text) <= most:
            return False
    if not consents:
        return True
    least, most = _CONSENT
    if len(consents) > _CONSENTS.max_items or len(set(consents)) < len(consents):
        return False
    return all(least <= len(consent) <= most for consent in consents)
