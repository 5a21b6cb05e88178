"""Joint lists in and out: messages become checked values, or an error that names the field, and values messages."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import ListBasis
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.domain.dates import proto_date
from gateway.domain.errors import InvalidRequestError
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import EntryContent, JointEntry, JointList

_FILTER_BYTES: Final = 8
_LAST_MARK: Final = 2**63 - 1
"""The largest number of a store."""


def list_message(one: JointList) -> pb.JointList:
    """Gives the message of a list."""
    message = pb.JointList(
        list_code=one.code,
        title_zh=one.title_zh,
        title_en=one.title_en,
        lister=one.lister,
        basis=ListBasis.Value(f"LIST_BASIS_{one.basis}"),
        joint_field=one.field,  # type: ignore[arg-type]  # a number of the enum
        is_reward=one.is_reward,
        stay_months=one.stay_months,
        early_exit_months=one.early_exit_months,
        measures=one.measures,
        criteria=[pb.RecognitionCriteria(place=place, table=table) for place, table in one.criteria],
        is_mutually_recognised=one.is_mutually_recognised,
        version=one.version,
        source=one.source,
        certainty=one.certainty,
    )
    _set_days(message, {"valid_from": one.valid_from, "valid_to": one.valid_to})
    return message


def entry_message(entry: JointEntry, today: date, *, is_for_bank: bool) -> pb.JointEntry:
    """Gives the message of an entry as it stands on a day; a bank is not told who decided and what waits."""
    message = pb.JointEntry(
        entry_id=entry.entry_id,
        list_code=entry.list_code,
        uscc=entry.uscc,
        person_ref=entry.person_ref,
        province=entry.province,
        list_year=entry.list_year,
        content=_content_message(entry.content),
        state=pb.EntryState.Value(f"ENTRY_STATE_{entry.state_at(today)}"),
        version=entry.version,
    )
    message.change_time.FromDatetime(entry.changed_at)
    _set_days(message, {"listed_on": entry.listed_on, "published_from": entry.published_from})
    if is_for_bank:
        return message
    message.proposed_by, message.confirmed_by, message.origin = entry.proposed_by, entry.confirmed_by, entry.origin
    if entry.pending is not None:
        message.pending.event = entry.pending.event
        message.pending.proposed_by = entry.pending.proposed_by
        message.pending.because = entry.pending.because
        if entry.pending.content is not None:
            message.pending.content.CopyFrom(_content_message(entry.pending.content))
    return message


def entry_of(request: pb.PublishEntryRequest, now: datetime) -> JointEntry:
    """Gives what is proposed, without an id; raises InvalidIdentifierError or InvalidRequestError naming the field."""
    listed_on = day_of(request.listed_on, "listed_on")
    begins = day_of(request.published_from, "published_from") if request.HasField("published_from") else None
    return JointEntry(
        entry_id="",
        list_code=request.list_code,
        uscc=Uscc.parse(request.uscc).value,
        person_ref=request.person_ref,
        province=request.province,
        list_year=request.list_year if request.HasField("list_year") else None,
        listed_on=listed_on,
        published_from=begins,
        changed_at=now,
        **content_of(request.content)._asdict(),
    )


def content_of(message: pb.EntryContent) -> EntryContent:
    """Gives what an entry shall say."""
    days = {
        name: day_of(getattr(message, name), f"content.{name}") if message.HasField(name) else None
        for name in ("due_off", "published_to")
    }
    return EntryContent(
        subject_name=message.subject_name,
        list_version=message.list_version,
        authority=message.authority,
        document_number=message.document_number,
        reason=message.reason,
        evidence=tuple(message.evidence),
        **days,
    )


def day_of(message: Date, field: str) -> date:
    """Gives a whole day; raises InvalidRequestError for a part of one, or one that is none."""
    try:
        return date(message.year, message.month, message.day)
    except ValueError as error:
        raise InvalidRequestError(field, "must be a whole day with year, month and day") from error


def page_token(mark: int, asked: Sequence[object]) -> str:
    """Gives what asks for the page after a mark, of the same question only."""
    return base64.urlsafe_b64encode(_filter(asked) + str(mark).encode()).decode()


def after_of(token: str, asked: Sequence[object]) -> int:
    """Gives the mark a page begins after; raises InvalidRequestError for a token of another question, or an invented one."""
    if not token:
        return 0
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        stated = raw[_FILTER_BYTES:]
        if raw[:_FILTER_BYTES] == _filter(asked) and stated.isdigit() and (mark := int(stated)) <= _LAST_MARK:
            return mark
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequestError("page_token", "is no token of this question; begin with an empty one")


def _filter(asked: Sequence[object]) -> bytes:
    return hashlib.sha256(repr(tuple(asked)).encode()).digest()[:_FILTER_BYTES]


def _content_message(content: EntryContent) -> pb.EntryContent:
    message = pb.EntryContent(
        subject_name=content.subject_name,
        list_version=content.list_version,
        authority=content.authority,
        document_number=content.document_number,
        reason=content.reason,
        evidence=content.evidence,
    )
    _set_days(message, {"due_off": content.due_off, "published_to": content.published_to})
    return message


def _set_days(message: Any, days: dict[str, date | None]) -> None:
    for name, day in days.items():
        if day is not None:
            getattr(message, name).CopyFrom(proto_date(day))
