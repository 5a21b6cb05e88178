"""`xinyidai repairs …`: repairs of records at a running gateway (信用修复), and whom to tell of stale copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from google.protobuf import json_format
from google.type.date_pb2 import Date
from rich.table import Table

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import PenaltyDomain, Severity
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.gateway.v1 import repair_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import repair_service_pb2_grpc
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import asked
from gateway.cli.deciding import DAY, Decline, Operator, Version, day_of
from gateway.cli.joint_list_text import as_json_text
from gateway.cli.options import AsJson, console, fail
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

if TYPE_CHECKING:
    Stub = repair_service_pb2_grpc.RepairServiceAsyncStub  # there for types only

T = TypeVar("T")
_STATES: Final = {
    pb.REPAIR_STATE_PROPOSED: ("proposed", "待复核"),
    pb.REPAIR_STATE_IN_FORCE: ("in force", "已生效"),
    pb.REPAIR_STATE_DISCARDED: ("discarded", "已退回"),
    pb.REPAIR_STATE_LIFTED: ("lifted", "已撤销"),
}

repairs = typer.Typer(name="repairs", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="REPAIR", help=say("Id of the repair.", "修复记录标识。"))]
Uscc = Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))]
Because = Annotated[str, typer.Option(help=say("Why: the decision on the repair.", "理由：信用修复决定及文号。"))]


@repairs.command(help=say("Propose that a record is repaired.", "提交一条记录的信用修复，待他人复核。"))
@connecting(Kind.OPERATOR)
def propose(
    uscc: Uscc,
    because: Because,
    on: Annotated[
        datetime, typer.Option(formats=DAY, help=say("Day of the repair, China time.", "修复日期（北京时间）。"))
    ],
    document: Annotated[
        str, typer.Option(help=say("A penalty: number of its document.", "行政处罚：决定书文号。"))
    ] = "",
    authority: Annotated[
        str, typer.Option(help=say("A penalty: who decided it, name or code.", "行政处罚：处罚机关名称或代码。"))
    ] = "",
    decided_on: Annotated[
        datetime | None, typer.Option(formats=DAY, help=say("A penalty: day of the decision.", "行政处罚：决定日期。"))
    ] = None,
    severity: Annotated[
        str,
        typer.Option(
            help=say("A penalty: MINOR, GENERAL, SERIOUS.", "行政处罚： MINOR 轻微、 GENERAL 一般、 SERIOUS 严重。")
        ),
    ] = "",
    domain: Annotated[
        str,
        typer.Option(
            help=say(
                "A penalty: ENVIRONMENT, TOURISM, FOOD_AND_DRUG, QUALITY, TAX, SAFETY, OTHER.",
                "行政处罚领域： ENVIRONMENT、 TOURISM、 FOOD_AND_DRUG、 QUALITY、 TAX、 SAFETY、 OTHER。",
            )
        ),
    ] = "",
    record: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=say(
                'Another record: a file of JSON such as {"abnormal_operations": [{…}]}, as views have it.',
                '其他记录：JSON 文件，格式同视图中的 records，如 {"abnormal_operations": [{…}]}。',
            ),
        ),
    ] = None,
    record_key: Annotated[
        str,
        typer.Option(
            help=say(
                "Key of the record in views, hexadecimal, where it has no document number.",
                "视图中的记录键（十六进制），用于无文号的记录。",
            )
        ),
    ] = "",
    operator: Operator = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the proposal; exits 1 when it is refused, saying from when it may be, 2 for a wrong option."""
    try:
        key = bytes.fromhex(record_key)
    except ValueError as error:
        raise fail([say("--record-key: state hexadecimal digits", "--record-key：应为十六进制数字")], 2) from error
    stated = _read(record) if record is not None else _penalty(document, authority, decided_on, severity, domain)
    request = pb.ProposeRepairRequest(
        uscc=uscc, record=stated, record_key=key, repaired_on=day_of(on), because=because, operator=operator
    )
    _decided(at, lambda stub, more: stub.ProposeRepair(request, **more), as_json=as_json)


@repairs.command(help=say("Confirm what another person proposed, or decline it.", "复核他人提交的修复，或予以退回。"))
@connecting(Kind.OPERATOR)
def confirm(
    repair_id: Id,
    decline: Decline = False,
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the repair as it stands then."""
    request = pb.ConfirmRepairRequest(
        repair_id=repair_id, expected_version=version, is_declined=decline, operator=operator
    )
    _decided(at, lambda stub, more: stub.ConfirmRepair(request, **more), as_json=as_json)


@repairs.command(help=say("Propose to lift a repair stated in error.", "提交撤销误登的修复，待他人复核。"))
@connecting(Kind.OPERATOR)
def lift(
    repair_id: Id,
    because: Because,
    operator: Operator = "",
    version: Version = 0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the repair with its lifting waiting; it holds until then."""
    request = pb.LiftRepairRequest(repair_id=repair_id, expected_version=version, because=because, operator=operator)
    _decided(at, lambda stub, more: stub.LiftRepair(request, **more), as_json=as_json)


@repairs.command(name="list", help=say("List repairs, heard ones too.", "列出修复记录，包括平台应答中得知的。"))
@connecting(Kind.OPERATOR)
def list_(
    uscc: Uscc = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints them, those changed last at the end; with --json one line each."""
    request = pb.ListRepairsRequest(uscc=uscc, page_size=500)

    async def pages(stub: Stub, more: Any) -> list[pb.RecordRepair]:
        found: list[pb.RecordRepair] = []
        while True:
            page: pb.ListRepairsResponse = await stub.ListRepairs(request, **more)
            found += page.repairs
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    found = asked(at, repair_service_pb2_grpc.RepairServiceStub, pages)
    if as_json:
        _lines(found)
        return
    table = _table(
        "修复 repair", "企业 enterprise", "类目 category", "文号 document", "修复日 on", "状态 state", "来源 origin"
    )
    for one in found:
        table.add_row(
            one.repair_id, one.uscc, _category(one.category), one.document_number or one.record_key.hex(),
            _text(one.repaired_on), say(*_STATES.get(one.state, ("–", "–"))), one.origin,
        )  # fmt: skip
    console().print(table)


@repairs.command(help=say("List stale copies: which platform to tell.", "列出过期副本：应通知更新的平台。"))
@connecting(Kind.OPERATOR)
def stale(
    platform: Annotated[str, typer.Option(help=say("Only of this platform.", "仅限该平台。"))] = "",
    uscc: Annotated[str, typer.Option(help=say("Only about this enterprise.", "仅限该企业。"))] = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints where platforms still show what its recogniser has repaired or revoked; with --json one line each."""
    request = pb.ListStaleCopiesRequest(platform=platform, uscc=uscc, page_size=500)

    async def pages(stub: Stub, more: Any) -> list[pb.StaleCopy]:
        found: list[pb.StaleCopy] = []
        while True:
            page: pb.ListStaleCopiesResponse = await stub.ListStaleCopies(request, **more)
            found += page.copies
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    found = asked(at, repair_service_pb2_grpc.RepairServiceStub, pages)
    if as_json:
        _lines(found)
        return
    table = _table("平台 platform", "企业 enterprise", "类目 category", "记录 record", "首次 first", "最近 last")
    for one in found:
        seen = [moment.ToJsonString()[:10] for moment in (one.first_seen_time, one.last_seen_time)]
        table.add_row(one.platform, one.uscc, _category(one.category), one.record_key.hex(), *seen)
    console().print(table)


def _penalty(
    document: str, authority: str, decided_on: datetime | None, severity: str, domain: str
) -> view_pb2.Records:
    if not document or not authority or decided_on is None:
        lines = say(
            "state --document, --authority and --decided-on of the penalty, or another record by --record",
            "请给出行政处罚的 --document、--authority 与 --decided-on，或以 --record 给出其他记录",
        )
        raise fail([lines], 2)
    found = view_pb2.Records()
    penalty = found.penalties.add(document_number=document, decided_on=day_of(decided_on))
    is_code = authority.isascii() and authority.isalnum()
    setattr(penalty.authority, "code" if is_code else "name", authority)
    penalty.severity = _value(Severity, "SEVERITY_", severity, "--severity")
    penalty.domain = _value(PenaltyDomain, "PENALTY_DOMAIN_", domain, "--domain")
    return found


def _value(enum: Any, prefix: str, name: str, option: str) -> Any:
    full = prefix + (name.upper() or "UNSPECIFIED")
    names = list(enum.keys())
    if full not in names:
        known = ", ".join(one.removeprefix(prefix) for one in names[1:])
        raise fail([f"{option}: {name!r} is unknown; use one of {known}"], 2)
    return enum.Value(full)


def _read(path: Path) -> view_pb2.Records:
    try:
        return json_format.Parse(path.read_text("utf-8"), view_pb2.Records())
    except (json_format.ParseError, UnicodeDecodeError) as error:
        lines = say(f"{path}: is no JSON of records: {error}", f"{path}：不是 records 的 JSON：{error}")
        raise fail([lines], 2) from error


def _decided(at: Reach, ask: Callable[[Stub, Any], Any], *, as_json: bool) -> None:
    one: pb.RecordRepair = asked(at, repair_service_pb2_grpc.RepairServiceStub, ask).repair
    if as_json:
        typer.echo(as_json_text(one))
        return
    typer.echo(f"{one.repair_id}  {one.uscc}  {say(*_STATES.get(one.state, ('–', '–')))}  v{one.version}")
    waiting = one.proposed_by if one.state == pb.REPAIR_STATE_PROPOSED else one.lift_proposed_by
    if waiting and one.state in (pb.REPAIR_STATE_PROPOSED, pb.REPAIR_STATE_IN_FORCE):
        typer.echo(
            say(
                f"it waits for somebody else than {waiting}: xinyidai repairs confirm {one.repair_id} --operator …",
                f"待 {waiting} 以外的人复核： xinyidai repairs confirm {one.repair_id} --operator …",
            )
        )


def _lines(messages: Iterable[Any]) -> None:
    for one in messages:
        typer.echo(as_json_text(one, indent=None))


def _category(category: Category.ValueType) -> str:
    return Category.Name(category).removeprefix("CATEGORY_")


def _text(day: Date) -> str:
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def _table(*columns: str) -> Table:
    table = Table(expand=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
