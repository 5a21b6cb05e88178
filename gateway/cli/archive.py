"""`xinyidai archive …`: a bank's own answers as they were sent, and the operator's sealing of copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import CreditView
from gateway._pb.xinyidai.gateway.v1.archive_service_pb2 import GetArchivedViewResponse, SealReason
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import called
from gateway.cli.client import get_archived_view_bytes, seal_views
from gateway.cli.consents import Bank
from gateway.cli.loop import run
from gateway.cli.options import AsJson, Config, fail, save
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say
from gateway.domain.errors import ConfigError, StoreError

archive = typer.Typer(
    name="archive",
    help=say("Answers as they were sent, kept as evidence.", "已归档的应答，作为证据留存。"),
    no_args_is_help=True,
)


@archive.command(help=say("Get back what the bank was answered.", "调阅本行当时所得的应答。"))
@connecting(Kind.BANK)
def get(
    answer_id: Annotated[str, typer.Argument(help=say("Id of the answer.", "应答标识（回执）。"))],
    output: Annotated[
        Path | None,
        typer.Option(help=say("File for the response as it came, for verify.", "保存原始应答，供 verify 核验。")),
    ] = None,
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the copy's facts, the whole view with --json; exits 1 when there is none for this caller."""
    raw = called(get_archived_view_bytes(at, answer_id, bank), at)
    if output is not None:
        save(output, raw)
    response = GetArchivedViewResponse.FromString(raw)
    if as_json:
        table = json_format.MessageToDict(response, preserving_proto_field_name=True)
        view = CreditView.FromString(response.view)
        table["view"] = json_format.MessageToDict(view, preserving_proto_field_name=True)
        typer.echo(_json(table))
        return
    leaf = response.evidence.leaf
    sealed = SealReason.Name(response.sealed_because).removeprefix("SEAL_REASON_") if response.sealed_because else "-"
    for name, value in (
        (say("answer", "应答"), leaf.answer_id),
        (say("view", "视图"), leaf.view_id),
        (say("answered at", "应答时间"), leaf.at),
        (say("kept until", "留存至"), response.kept_until.ToJsonString()),
        (say("sealed", "封存"), sealed),
    ):
        typer.echo(f"{name:12} {value}")


@archive.command(help=say("Seal every copy about an enterprise, for good.", "封存某企业的全部归档应答（不可恢复）。"))
@connecting(Kind.OPERATOR)
def seal(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))],
    reason: Annotated[
        str, typer.Option(help=say("REPAIR or LEGAL_DELETION.", "REPAIR 信用修复、 LEGAL_DELETION 依法删除。"))
    ],
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints how many were sealed; for the gateway's operator, on its own machine."""
    name = "SEAL_REASON_" + reason.upper().replace("-", "_")
    if name not in SealReason.keys()[1:]:
        raise fail([say(f"{reason!r} is unknown; use REPAIR or LEGAL_DELETION", f"未知原因 {reason!r}")], 2)
    count = called(seal_views(at, uscc, SealReason.Value(name)), at)
    typer.echo(_json({"view_count": count}) if as_json else say(f"{count} sealed", f"已封存 {count} 份"))


@archive.command(
    help=say(
        "Hold archive and trail against each other: every copy, every answer.",
        "归档与留痕互相核对：每份副本，每份应答。",
    )
)
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Prints how many copies there are and what is not sound; exits 1 when something is not, 2 when it cannot be told.

    On the gateway's machine, with its keys and trails; the gateway may run meanwhile.
    """
    from gateway.cli.archive_check import as_table, checked, counts, faults
    from gateway.settings import load_settings

    try:
        found = run(checked(load_settings(config)))
    except ConfigError as error:
        raise fail(list(error.faults), 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error
    typer.echo(_json(as_table(found)) if as_json else "\n".join(counts(found)))
    if not found.is_sound:
        raise fail(faults(found), 1)


def _json(table: Any) -> str:
    return json.dumps(table, indent=2, ensure_ascii=False)
