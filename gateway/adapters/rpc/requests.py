"""Requests in: proto messages become checked queries, or an error that names the field."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2
from gateway.adapters.rpc.unreadable import Unreadable
from gateway.domain.caller import Caller
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.errors import CallerMismatchError, DeadlineError, InvalidRequestError, Reason
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery

_CATEGORIES: Final = frozenset(CATALOGUE.by_category)
NUL: Final = b"\0"
_WITH_TEXT: Final = frozenset({FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE})
_PURPOSES: Final = frozenset(Purpose.values()) - {0}


def check_annotations(request: Message | Unreadable) -> None:
    """Raises InvalidRequestError for the first broken rule of the proto annotations, or for bytes that were no message.

    One rule is every text's: the character NUL is none that a database or a log of any kind takes.
    """
    if isinstance(request, Unreadable):
        request.refuse()
    violations = protovalidate.collect_violations(request, fail_fast=True)
    if violations:
        proto = violations[0].proto
        raise InvalidRequestError(_path(proto), proto.message or "breaks its rule")
    if NUL in request.SerializeToString():  # mostly there is none, and nothing need be looked at
        _refuse_nul(request, "")


def _refuse_nul(message: Message, path: str) -> None:
    for field, value in message.ListFields():
        if field.cpp_type not in _WITH_TEXT or field.type == FieldDescriptor.TYPE_BYTES:
            continue
        for number, part in enumerate(value if field.is_repeated else (value,)):
            at = f"{path}{field.name}[{number}]" if field.is_repeated else f"{path}{field.name}"
            if isinstance(part, Message):
                _refuse_nul(part, "" if at == "query" else f"{at}.")
            elif "\0" in part:
                raise InvalidRequestError(at, "must not hold the character NUL (U+0000)")


def _path(violation: object) -> str:
    parts = []
    field = getattr(violation, "field", None)
    for element in field.elements if field is not None else ():
        subscript = element.subscript
        index = getattr(subscript, "value", None) if subscript is not None else None
        parts.append(f"{element.field_name}[{index}]" if index is not None else element.field_name)
    return ".".join(part for part in parts if part != "query") or "query"


def credit_query(
    message: credit_service_pb2.CreditQuery, caller: Caller, platforms: Collection[str], *, is_batch: bool = False
) -> CreditQuery:
    """Gives the checked query of a bank, `platforms` being those configured; annotations must have been checked.

    Raises InvalidIdentifierError or InvalidRequestError naming the field, CallerMismatchError where operator or branch is
    not the token's.
    """
    uscc = Uscc.parse(message.uscc)
    if message.purpose not in _PURPOSES:
        raise InvalidRequestError(
            "purpose",
            "state a purpose"
            if not message.purpose
            else f"{message.purpose} is no purpose; use one of {', '.join(Purpose.keys()[1:])}",
            Reason.UNKNOWN_PURPOSE,
        )
    for index, category in enumerate(message.categories):
        if category not in _CATEGORIES:
            known = category in Category.values()
            raise InvalidRequestError(
                f"categories[{index}]",
                f"{category} is no category; see CatalogueService.DescribeCatalogue"
                if not known
                else "state a category",
                Reason.UNKNOWN_CATEGORY,
            )
    asked = _known_platforms("platforms", message.platforms, platforms) or sorted(platforms)
    required = _known_platforms("required_platforms", message.required_platforms, platforms)
    for index, platform in enumerate(message.required_platforms):
        if platform not in asked:
            raise InvalidRequestError(
                f"required_platforms[{index}]",
                f"{platform!r} is not among the platforms asked: {', '.join(asked)}",
                Reason.UNKNOWN_PLATFORM,
            )
    if message.quorum > len(asked):
        raise InvalidRequestError(
            "quorum",
            f"{message.quorum} is more than the {len(asked)} platforms asked",
            Reason.QUORUM_TOO_LARGE,
        )
    age = message.oldest_acceptable_age
    return CreditQuery(
        uscc=uscc,
        purpose=message.purpose,
        categories=tuple(sorted(message.categories)) or CATALOGUE.default_categories,
        platforms=tuple(asked),
        bank=caller.bank,
        required=frozenset(required),
        quorum=message.quorum,
        oldest_acceptable_age_s=age.seconds + age.nanos / 1e9 if message.HasField("oldest_acceptable_age") else None,
        request_id=message.request_id,
        consent_ids=tuple(message.consent_ids),
        loan_reference=message.loan_reference,
        application_reference=message.application_reference,
        operator=proven("operator", message.operator, caller.operator),
        branch=proven("branch", message.branch, caller.branch),
        is_all_or_nothing=message.is_all_or_nothing,
        is_stale_acceptable=message.is_stale_acceptable,
        is_batch=is_batch,
        sent=message.SerializeToString(deterministic=True),
    )


def proven(field: str, stated: str, proven: str) -> str:
    """Gives what the token says, or the query where it says nothing; the query may repeat the token, not contradict it."""
    if proven and stated and stated != proven:
        raise CallerMismatchError(f"{field}: is not the token's; leave it out")
    return proven or stated


def _known_platforms(field: str, stated: Sequence[str], known: Collection[str]) -> list[str]:
    for index, platform in enumerate(stated):
        if platform not in known:
            raise InvalidRequestError(
                f"{field}[{index}]",
                f"no platform {platform!r} among {', '.join(sorted(known))}; see PlatformService.ListPlatforms",
                Reason.UNKNOWN_PLATFORM,
            )
    return sorted(stated)


def deadline_s(time_remaining: float | None, *, default_s: float, longest_s: float) -> float:
    """Gives the seconds a query may take: the caller's, the default without one, never more than the longest.

    Raises DeadlineError when the caller's deadline is past.
    """
    if time_remaining is None:
        return default_s
    if time_remaining <= 0:
        raise DeadlineError("the deadline was past on arrival")
    return min(time_remaining, longest_s)
