"""`xinyidai green`: the green review of one enterprise, at a running gateway."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf import json_format

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2_grpc
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import called
from gateway.cli.green_card import show_assessment, show_recognition
from gateway.cli.options import AsJson, console
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

green = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=say("The green review: assess an enterprise, compare criteria.", "绿色信贷审查：评估企业、比对认定标准。"),
)

Uscc = Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))]
Timeout = Annotated[float, typer.Option("--timeout", min=0.05, help=say("Deadline in seconds.", "时限（秒）。"))]


async def assess_at(at: Reach, request: pb.AssessEnterpriseRequest, timeout_s: float) -> pb.GreenAssessment:
    """Asks for one assessment; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = green_credit_service_pb2_grpc.GreenCreditServiceStub(channel)
        response: pb.AssessEnterpriseResponse = await stub.AssessEnterprise(request, timeout=timeout_s)
        return response.assessment


async def recognise_at(
    at: Reach, request: pb.RecogniseEnterpriseRequest, timeout_s: float
) -> pb.RecogniseEnterpriseResponse:
    """Asks what the criteria say; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = green_credit_service_pb2_grpc.GreenCreditServiceStub(channel)
        response: pb.RecogniseEnterpriseResponse = await stub.RecogniseEnterprise(request, timeout=timeout_s)
        return response


@green.command(
    help=say("Propose a measure for an enterprise, with its reasons.", "对企业提出授信措施建议，并说明理由。")
)
@connecting(Kind.REVIEWER)
def assess(
    uscc: Uscc,
    fresh: Annotated[
        bool, typer.Option("--fresh", help=say("Ask every platform anew.", "重新查询各平台，不用缓存。"))
    ] = False,
    loan: Annotated[str, typer.Option(help=say("An existing loan.", "已有贷款编号。"))] = "",
    operator: Annotated[str, typer.Option(help=say("Who asks, an id.", "经办人标识。"))] = "",
    branch: Annotated[str, typer.Option(help=say("Which branch asks, an id.", "分支机构标识。"))] = "",
    timeout: Timeout = 10.0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the assessment; exits 1 when the gateway refuses or cannot answer."""
    request = pb.AssessEnterpriseRequest(
        uscc=uscc, operator=operator, branch=branch, loan_reference=loan, is_fresh=fresh
    )
    found = called(assess_at(at, request, timeout), at)
    if as_json:
        typer.echo(json_format.MessageToJson(found, preserving_proto_field_name=True, ensure_ascii=False))
    else:
        show_assessment(console(), found)


@green.command(
    help=say(
        "Say by which province's criteria it would be recognised as dishonest.",
        "按各省市标准判断是否会被认定为严重失信，并显示差异。",
    )
)
@connecting(Kind.REVIEWER)
def recognise(
    uscc: Uscc,
    list_code: Annotated[
        str,
        typer.Option("--list", help=say("Whose criteria: the code of a joint list.", "按哪个名单的标准：名单代码。")),
    ] = "YRD_ENV",
    timeout: Timeout = 10.0,
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints what each criterion says; exits 1 when the gateway refuses or cannot answer."""
    found = called(recognise_at(at, pb.RecogniseEnterpriseRequest(uscc=uscc, list_code=list_code), timeout), at)
    if as_json:
        typer.echo(json_format.MessageToJson(found, preserving_proto_field_name=True, ensure_ascii=False))
    else:
        show_recognition(console(), found)
