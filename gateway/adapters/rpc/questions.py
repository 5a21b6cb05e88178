"""Credit queries read off requests: the rules are checked once for all requests of one shape.

Whether a request breaks a rule, and what it asks, follows from the request and from whose user asks, and from nothing else.
A bank's requests differ in the enterprise and in references of their own; what is left is their shape, and there are few.

A shape is told by the request's bytes, without a message: each field that is read of one costs as much as all this does. That
holds for bytes as every library writes them, in the fields' order; any others are read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway._pb.buf.validate import validate_pb2
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.requests import NUL, check_annotations, credit_query
from gateway.adapters.rpc.unreadable import UNREADABLE
from gateway.domain.caller import Caller
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.domain.wire import tag_of

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

_FIELDS: Final = pb.CreditQuery.DESCRIPTOR.fields_by_name
_USCC, _REQUEST_ID, _LOAN, _APPLICATION = [tag_of(_FIELDS[name]) for name in TEXTS]
_CONSENT_ID: Final = tag_of(_FIELDS["consent_ids"])
_QUERY: Final = tag_of(pb.GetCreditViewRequest.DESCRIPTOR.fields_by_name["query"])
_DELIMITED: Final = 2


_CODE: Final = bytes((_USCC, 18))
"""Tag and length of a code that has its 18 characters, first of all fields."""
_CODE_ENDS: Final = 20
_Texts: TypeAlias = tuple[str, str, str, str]
_Parted: TypeAlias = tuple[bytes, _Texts, tuple[str, ...]]
"""A query's shape, the texts that differ, and its consents."""
_Asked: TypeAlias = tuple[bytes, tuple[str, str, str]]
"""A shape, and whose user asks: bank, operator and branch."""


class Questions:
    """Reads requests; `platforms` are those configured, `unknown_fields` is told how many fields a newer client states."""

    def __init__(self, platforms: Collection[str], unknown_fields: Callable[[int], None]) -> None:
        self._platforms = tuple(sorted(platforms))
        self._unknown_fields = unknown_fields
        self._seen: dict[_Asked, CreditQuery] = {}
        self._seen_consented: dict[_Asked, CreditQuery] = {}
        """Those shapes that one consent followed, and nothing after it."""
        self._consent_begins: dict[int, int] = {}
        """Where that consent begins in a query so long, as the last one had it."""

    def read(self, request: Request, caller: Caller) -> CreditQuery:
        """Gives the checked query of a request; raises what `check_annotations` and `credit_query` do."""
        if isinstance(request, (pb.GetCreditViewRequest, pb.StreamCreditViewRequest)):
            return self._read(request.SerializeToString(deterministic=True), request, caller)
        return self._checked(request, caller)[0]  # a batch's items have ids of their own

    def read_bytes(self, request: bytes, caller: Caller) -> CreditQuery:
        """Gives the checked query of a GetCreditViewRequest as it came."""
        return self._read(request, None, caller)

    def _read(self, raw: bytes, request: Request | None, caller: Caller) -> CreditQuery:
        who = caller.bank, caller.operator, caller.branch
        sent = _query_in(raw)
        parted = None
        if sent is not None:
            found = self._at_once(sent, who)
            if found is not None:
                return found
            parted = _parted(sent)
            if parted is not None:
                shape, (uscc, request_id, loan, application), consents = parted
                seen = self._seen.get((shape, who))
                if seen is not None and _keep_the_rules(parted[1], consents):
                    self._note_consented(sent, parted, who, seen)
                    return seen.again(Uscc.parse(uscc), request_id, consents, loan, application, sent)
        query, unknown = self._checked(_message(raw) if request is None else request, caller)
        # Other bytes of that shape and in that order are as canonical as these, so that they are the question's own too.
        if parted is not None and not unknown and sent == query.sent:
            if len(self._seen) >= _MOST:
                self._seen.clear()
                self._seen_consented.clear()
            self._seen[parted[0], who] = query
            self._note_consented(sent, parted, who, query)
        return query

    def _note_consented(self, sent: bytes, parted: _Parted, who: tuple[str, str, str], query: CreditQuery) -> None:
        """Remembers a shape that one consent follows, and nothing else, for `_at_once`."""
        shape, texts, consents = parted
        begins = _CODE_ENDS + len(shape)
        if len(consents) == 1 and not any(texts[1:]) and sent[_CODE_ENDS:begins] == shape:
            self._seen_consented[shape, who] = query
            self._consent_begins[len(sent)] = begins

    def _at_once(self, sent: bytes, who: tuple[str, str, str]) -> CreditQuery | None:
        """Gives the query of bytes with nothing beside the code and a shape that was seen, but maybe one consent at the end.

        Most are so, and need not be walked through. None for others.
        """
        code = sent[2:_CODE_ENDS]
        if not (_IS_CODE_ENOUGH and sent.startswith(_CODE) and code.isascii()):
            return None
        seen = self._seen.get((sent[_CODE_ENDS:], who))
        if seen is not None:
            return seen.again(Uscc.parse(code.decode()), "", (), "", "", sent)
        begins = self._consent_begins.get(len(sent))
        if begins is None:
            return None
        seen = self._seen_consented.get((sent[_CODE_ENDS:begins], who))
        head, consent = sent[begins : begins + 2], sent[begins + 2 :]
        least, most = _CONSENT
        if seen is None or head != bytes((_CONSENT_ID, len(consent))) or not least <= len(consent) <= most:
            return None
        if not consent.isascii() or NUL in consent:
            return None
        return seen.again(Uscc.parse(code.decode()), "", (consent.decode(),), "", "", sent)

    def _checked(self, request: Request, caller: Caller) -> tuple[CreditQuery, int]:
        check_annotations(request)
        unknown = len(UnknownFieldSet(request)) + len(UnknownFieldSet(request.query))
        if unknown:  # what this gateway does not know is ignored
            self._unknown_fields(unknown)
        is_batch = isinstance(request, pb.BatchGetCreditViewsRequest)
        return credit_query(request.query, caller, self._platforms, is_batch=is_batch), unknown


def _message(raw: bytes) -> Any:
    try:
        return pb.GetCreditViewRequest.FromString(raw)
    except DecodeError:
        return UNREADABLE


def _query_in(raw: bytes) -> bytes | None:
    """Gives the bytes of the query of a request that holds nothing else; None for one that is to be read whole."""
    if len(raw) < 3 or raw[0] != _QUERY:
        return None
    length, start = raw[1], 2
    if length > 0x7F:
        length, start = length - 0x80 + (raw[2] << 7), 3
    return raw[start:] if start + length == len(raw) else None


def _parted(sent: bytes) -> _Parted | None:
    """Parts a query into its shape, the texts that differ, and its consents; None for one that is to be read whole."""
    texts = {_USCC: "", _REQUEST_ID: "", _LOAN: "", _APPLICATION: ""}
    consents: list[str] = []
    shape = b""
    last = place = 0
    try:
        while place < len(sent):
            tag, size, begin = sent[place], sent[place + 1], place
            if tag < last or tag > 0x7F or size > 0x7F or (tag == last and tag in texts):
                return None
            last = tag
            place += 2
            if tag & 7 == _DELIMITED:
                place += size
            elif tag & 7:  # of a type that no field has
                return None
            if tag == _CONSENT_ID:
                consents.append(sent[begin + 2 : place].decode())
            elif tag in texts:
                if not size:
                    return None  # said though empty, as no library does
                texts[tag] = sent[begin + 2 : place].decode()
            else:
                shape += sent[begin:place]
    except (IndexError, UnicodeDecodeError):
        return None
    if place != len(sent) or len(shape) > _LONGEST:
        return None
    return shape, tuple(texts.values()), tuple(consents)  # type: ignore[return-value]  # texts are four


def _keep_the_rules(texts: Sequence[str], consents: Sequence[str]) -> bool:
    """Whether the annotations hold for what differs; where not, the annotations themselves say what is wrong."""
    for text, (least, most) in zip(texts, _TEXT_RULES, strict=True):
        if not least <= len(text) <= most or "\0" in text:
            return False
    if not consents:
        return True
    least, most = _CONSENT
    if len(consents) > _CONSENTS.max_items or len(set(consents)) < len(consents):
        return False
    return all(least <= len(consent) <= most and "\0" not in consent for consent in consents)


_IS_CODE_ENOUGH: Final = _keep_the_rules(("x" * 18, "", "", ""), ())
"""Whether a code of the usual length breaks no rule, nor do the other texts by not being there."""
