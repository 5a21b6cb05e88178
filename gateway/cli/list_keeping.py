"""`xinyidai lists publish`, `confirm`, `amend`, …: what operators of listers do with entries; two persons for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

import typer

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.adapters.identity.kinds import Kind
from gateway.cli.deciding import DAY, Decline, Operator, Version, day_of
from gateway.cli.joint_list_text import as_json_text, decision_lines
from gateway.cli.list_asking import Stub, asked
from gateway.cli.options import AsJson, console, fail
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

keeping = typer.Typer(add_completion=False)

Id = Annotated[str, typer.Argument(metavar="ENTRY", help=say("Id of the entry.", "名单条目标识。"))]
Code = Annotated[str, typer.Argument(metavar="USCC", help=say("Unified social credit code.", "统一社会信用代码。"))]
Because = Annotated[str, typer.Option(help=say("Why; it is kept with the entry.", "理由，随条目留存。"))]
Name = Annotated[str | None, typer.Option("--name", help=say("Name of the listed.", "被列入主体名称。"))]
Authority = Annotated[str | None, typer.Option(help=say("Who recognised it.", "认定单位。"))]
Document = Annotated[str | None, typer.Option(help=say("Number of the document.", "认定文号。"))]
Reason = Annotated[str | None, typer.Option(help=say("Why it is listed.", "列入事由。"))]
Evidence = Annotated[
    list[str] | None,
    typer.Option(help=say("Reference of evidence; may be repeated.", "证据编号（文号、摘要），可重复。")),
]
ListVersion = Annotated[str | None, typer.Option(help=say("Version of the list.", "名单版本。"))]
DueOff = Annotated[
    datetime | None, typer.Option(formats=DAY, help=say("First day it is off by itself.", "到期移出日。"))
]
PublishedTo = Annotated[
    datetime | None, typer.Option(formats=DAY, help=say("First day it is published no more.", "公示截止后首日。"))
]


@keeping.command(help=say("Propose an entry of a list.", "提交一条名单条目，待他人复核。"))
@connecting(Kind.OPERATOR)
def publish(
    list_code: Annotated[str, typer.Argument(metavar="LIST", help=say("Code of the list.", "名单代码。"))],
    uscc: Code,
    province: Annotated[str, typer.Option(help=say("The lister's province, two digits.", "列入省份代码，两位。"))],
    listed_on: Annotated[datetime, typer.Option(formats=DAY, help=say("Day of the listing.", "列入日期。"))],
    year: Annotated[int, typer.Option(help=say("List year; 0: none.", "名单年度；0 为无。"))] = 0,
    published_from: Annotated[
        datetime | None, typer.Option(formats=DAY, help=say("First day it is published.", "公示起始日。"))
    ] = None,
    person_ref: Annotated[
        str, typer.Option(help=say("A related person's opaque reference.", "关联个人的内部编号。"))
    ] = "",
    name: Name = None,
    authority: Authority = None,
    document: Document = None,
    reason: Reason = None,
    evidence: Evidence = None,
    list_version: ListVersion = None,
    due_off: DueOff = None,
    published_to: PublishedTo = None,
    operator: Operator = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the proposal with its id; exits 1 when it is refused, 2 for a wrong option."""
    request = pb.PublishEntryRequest(
        list_code=list_code, uscc=uscc, person_ref=person_ref, province=province, list_year=year or None,
        listed_on=day_of(listed_on), content=pb.EntryContent(), operator=operator,
    )  # fmt: skip
    if published_from is not None:
        request.published_from.CopyFrom(day_of(published_from))
    _state(
        request.content, name=name, authority=authority, document=document, reason=reason, evidence=evidence,
        list_version=list_version, due_off=due_off, published_to=published_to,
    )  # fmt: skip
    _decided(at, lambda stub, more: stub.PublishEntry(request, **more), as_json=as_json)


@keeping.command(
    help=say("Confirm what another person proposed, or decline it.", "复核他人提交的条目或变更，或予以退回。")
)
@connecting(Kind.OPERATOR)
def confirm(
    entry_id: Id,
    decline: Decline = False,
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the entry as it stands then; exits 1 when it is refused: by who proposed it, or where nothing waits."""
    request = pb.ConfirmEntryRequest(
        entry_id=entry_id, expected_version=version, is_declined=decline, operator=operator
    )
    _decided(at, lambda stub, more: stub.ConfirmEntry(request, **more), as_json=as_json)


@keeping.command(
    help=say("Propose to amend an entry: what is stated here, the rest stays.", "提交条目变更：仅变更所列各项。")
)
@connecting(Kind.OPERATOR)
def amend(
    entry_id: Id,
    uscc: Code,
    because: Because = "",
    name: Name = None,
    authority: Authority = None,
    document: Document = None,
    reason: Reason = None,
    evidence: Evidence = None,
    list_version: ListVersion = None,
    due_off: DueOff = None,
    published_to: PublishedTo = None,
    operator: Operator = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the entry with the amendment waiting; it is of the version that was read, so no other change is lost."""

    async def amended(stub: Stub, more: Any) -> pb.AmendEntryResponse:
        found: pb.GetEntriesResponse = await stub.GetEntries(pb.GetEntriesRequest(uscc=uscc), **more)
        entry = next((one for one in found.entries if one.entry_id == entry_id), None)
        if entry is None:
            raise fail([say(f"{uscc} has no entry {entry_id}", f"{uscc} 没有名单条目 {entry_id}")], 1)
        request = pb.AmendEntryRequest(
            entry_id=entry_id, expected_version=entry.version, content=entry.content, because=because,
            operator=operator,
        )  # fmt: skip
        _state(
            request.content, name=name, authority=authority, document=document, reason=reason, evidence=evidence,
            list_version=list_version, due_off=due_off, published_to=published_to,
        )  # fmt: skip
        response: pb.AmendEntryResponse = await stub.AmendEntry(request, **more)
        return response

    _decided(at, amended, as_json=as_json)


@keeping.command(
    help=say("Mark an entry as disputed, or the dispute as settled.", "标注条目处于异议中，或异议已处理完毕。")
)
@connecting(Kind.OPERATOR)
def dispute(
    entry_id: Id,
    settled: Annotated[
        bool, typer.Option("--settled", help=say("It was settled; the entry stands.", "异议已处理，条目维持。"))
    ] = False,
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the entry; a dispute is marked at once and hides nothing."""
    request = pb.DisputeEntryRequest(entry_id=entry_id, expected_version=version, is_settled=settled, operator=operator)
    _decided(at, lambda stub, more: stub.DisputeEntry(request, **more), as_json=as_json)


@keeping.command(help=say("Propose to withdraw an entry: it should not be listed.", "提交撤销：该条目本不应列入。"))
@connecting(Kind.OPERATOR)
def withdraw(
    entry_id: Id,
    because: Because,
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the entry with the withdrawal waiting."""
    request = pb.WithdrawEntryRequest(entry_id=entry_id, expected_version=version, because=because, operator=operator)
    _decided(at, lambda stub, more: stub.WithdrawEntry(request, **more), as_json=as_json)


@keeping.command(help=say("Propose that an entry is repaired.", "提交信用修复，待他人复核。"))
@connecting(Kind.OPERATOR)
def repair(
    entry_id: Id,
    because: Because,
    on: Annotated[
        datetime, typer.Option(formats=DAY, help=say("Day of the repair, China time.", "修复日期（北京时间）。"))
    ],
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the entry with the repair waiting; one that comes too early is refused, saying from when it may be."""
    request = pb.RepairEntryRequest(
        entry_id=entry_id, expected_version=version, repaired_on=day_of(on), because=because, operator=operator
    )
    _decided(at, lambda stub, more: stub.RepairEntry(request, **more), as_json=as_json)


def _decided(at: Reach, ask: Callable[[Stub, Any], Any], *, as_json: bool) -> None:
    entry: pb.JointEntry = asked(at, "", ask).entry
    if as_json:
        typer.echo(as_json_text(entry))
        return
    tell([entry])


def tell(entries: Iterable[pb.JointEntry]) -> None:
    """Prints entries as an operator decides about them; the texts are other people's."""
    out = console()
    for entry in entries:
        for line in decision_lines(entry):
            out.print(line, soft_wrap=True)  # a command in it is to be copied


def _state(content: pb.EntryContent, **stated: Any) -> None:
    """Puts what is stated into the content; None leaves it as it is."""
    fields = {"name": "subject_name", "document": "document_number"}
    for option, value in stated.items():
        field = fields.get(option, option)
        if value is None:
            continue
        if field == "evidence":
            content.ClearField("evidence")
            content.evidence.extend(value)
        elif field in ("due_off", "published_to"):
            getattr(content, field).CopyFrom(day_of(value))
        else:
            setattr(content, field, value)
