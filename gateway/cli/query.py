"""`xinyidai query`: asks a running gateway about one enterprise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import GetCreditViewResponse
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import called
from gateway.cli.client import get_view_bytes, query_message
from gateway.cli.options import AsJson, console, fail, save
from gateway.cli.reach import Reach, connecting
from gateway.cli.render import show
from gateway.cli.words import say

app = typer.Typer(add_completion=False)


@app.command()
@connecting(Kind.BANK)
def query(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))],
    purpose: Annotated[
        str, typer.Option(help=say("Why: PRE_LOAN, IN_LOAN, …", "用途：PRE_LOAN、IN_LOAN 等。"))
    ] = "PRE_LOAN",
    platform: Annotated[list[str] | None, typer.Option(help=say("Only these platforms.", "仅限这些平台。"))] = None,
    category: Annotated[list[str] | None, typer.Option(help=say("Only these categories.", "仅限这些类目。"))] = None,
    timeout: Annotated[float, typer.Option(min=0.05, help=say("Deadline in seconds.", "时限（秒）。"))] = 10.0,
    oldest: Annotated[
        float | None,
        typer.Option(
            "--oldest",
            min=0,
            help=say(
                "Oldest acceptable age of a kept answer, in seconds; 0 asks anew.",
                "可接受的缓存最长时间（秒）；0 为重新查询。",
            ),
        ),
    ] = None,
    stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help=say(
                "Of a platform that fails take a kept answer past its lifetime.", "平台查询失败时 接受更早的缓存应答。"
            ),
        ),
    ] = False,
    consent: Annotated[
        list[str] | None, typer.Option(help=say("Id of a consent; may be repeated.", "授权标识，可重复。"))
    ] = None,
    loan: Annotated[str, typer.Option(help=say("The loan, for POST_LOAN.", "贷款编号（贷后必填）。"))] = "",
    application: Annotated[str, typer.Option(help=say("The application.", "贷款申请编号。"))] = "",
    output: Annotated[
        Path | None,
        typer.Option(help=say("File for the response as it came, for verify.", "保存原始应答，供 verify 核验。")),
    ] = None,
    request_output: Annotated[
        Path | None, typer.Option(help=say("File for the question as sent.", "保存所发送的查询。"))
    ] = None,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the view; exits 1 when the gateway refuses or cannot answer, 2 for a wrong option."""
    try:
        message = query_message(
            uscc,
            purpose,
            platform or [],
            category or [],
            oldest_s=oldest,
            is_stale_acceptable=stale,
            consents=consent or [],
            loan_reference=loan,
            application_reference=application,
        )
    except ValueError as error:
        raise fail([str(error)], 2) from error
    raw = called(get_view_bytes(at, message, timeout), at)
    if output is not None:
        save(output, raw)
    if request_output is not None:
        save(request_output, message.SerializeToString(deterministic=True))
    response = GetCreditViewResponse.FromString(raw)
    if as_json:
        typer.echo(json_format.MessageToJson(response, preserving_proto_field_name=True, ensure_ascii=False))
    else:
        show(console(), response)
