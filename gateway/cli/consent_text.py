"""Consents as text: one whole, a row of a list, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta, timezone
from typing import Any, Final

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.table import Table

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway.cli.words import say

CHINA: Final = timezone(timedelta(hours=8))


def tell(consent: pb.Consent, *, as_json: bool) -> None:
    """Prints one consent."""
    if as_json:
        typer.echo(as_json_text(consent))
        return
    terms = consent.terms
    categories = ", ".join(Category.Name(one).removeprefix("CATEGORY_") for one in terms.categories)
    whose = say("of a person", "个人授权") if terms.person_ref else say("of the enterprise", "企业授权")
    for name, value in (
        ("授权 consent", f"{consent.consent_id}  v{consent.version}  {whose}"),
        *((("个人 person", terms.person_ref),) if terms.person_ref else ()),
        ("状态 state", f"{_state(consent)} {consent.revocation_reason}".rstrip()),
        ("企业 uscc", terms.uscc),
        ("用途 purposes", _purposes(consent)),
        ("类目 categories", categories),
        ("平台 platforms", ", ".join(terms.platforms) or say("all", "全部")),
        ("有效期 valid", f"{_minute(terms.valid_from)} – {_minute(terms.valid_to)}"),
        ("次数 uses", _uses(consent)),
        ("渠道 channel", pb.ConsentChannel.Name(terms.channel).removeprefix("CONSENT_CHANNEL_")),
        ("摘要 SM3", terms.document_digest.hex()),
        *((("存放 document", terms.document_ref),) if terms.document_ref else ()),
        *((("机构 institution", terms.institution_code),) if terms.institution_code else ()),
        *((("签署 signed", _minute(terms.sign_time)),) if terms.HasField("sign_time") else ()),
    ):
        typer.echo(f"{name}: {value}")


def table_of(consents: Sequence[pb.Consent]) -> Table:
    """Gives a list of consents, a line each."""
    table = Table(expand=True)
    for column in ("标识 consent", "企业 uscc", "状态 state", "用途 purposes", "有效至 until", "次数 uses"):
        table.add_column(column, overflow="fold")
    for one in consents:
        table.add_row(one.consent_id, one.terms.uscc, _state(one), _purposes(one), _day(one.terms.valid_to), _uses(one))
    return table


def line_of(change: pb.ConsentChange) -> str:
    """Gives one change as a line."""
    event = pb.ConsentEvent.Name(change.event).removeprefix("CONSENT_EVENT_")
    return f"{_minute(change.change_time)}  v{change.version}  {event}"


def as_json_text(message: Message, indent: int | None = 2) -> str:
    """Gives a message as JSON, on one line where there is no indent."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False, indent=indent)


def _state(consent: pb.Consent) -> str:
    return pb.ConsentState.Name(consent.state).removeprefix("CONSENT_STATE_")


def _purposes(consent: pb.Consent) -> str:
    return ", ".join(Purpose.Name(one).removeprefix("PURPOSE_") for one in consent.terms.purposes)


def _uses(consent: pb.Consent) -> str:
    return f"{consent.use_count} / {consent.terms.max_uses or '∞'}"


def _day(stamp: Any) -> str:
    return f"{stamp.ToDatetime(tzinfo=UTC).astimezone(CHINA):%Y-%m-%d}"


def _minute(stamp: Any) -> str:
    return f"{stamp.ToDatetime(tzinfo=UTC).astimezone(CHINA):%Y-%m-%d %H:%M}"
