"""The command's own gRPC client: asks a running gateway, and turns a refused call into lines a person can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome, Purpose
from gateway._pb.xinyidai.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    archive_service_pb2,
    archive_service_pb2_grpc,
    credit_service_pb2,
    platform_service_pb2,
    platform_service_pb2_grpc,
)
from gateway.adapters.identity.kinds import BANK_KEY
from gateway.cli.reach import Reach, who_asked, who_must_be_named
from gateway.cli.reason_text import REASONS_ZH
from gateway.cli.words import is_chinese, say

_LINE: Final = re.compile(r"^line (\d+)$")
_GET_VIEW: Final = "/xinyidai.gateway.v1.CreditService/GetCreditView"
_GET_ARCHIVED: Final = "/xinyidai.gateway.v1.ArchiveService/GetArchivedView"


def query_message(
    uscc: str,
    purpose: str,
    platforms: Sequence[str],
    categories: Sequence[str],
    *,
    oldest_s: float | None = None,
    is_stale_acceptable: bool = False,
    consents: Sequence[str] = (),
    loan_reference: str = "",
    application_reference: str = "",
) -> credit_service_pb2.CreditQuery:
    """Gives the query; raises ValueError naming an unknown purpose or category and what is known.

    `oldest_s` is the oldest acceptable age of a kept answer: None leaves it to the categories, 0 accepts none.
    """
    message = credit_service_pb2.CreditQuery(
        uscc=uscc,
        purpose=Purpose.Value(_known(purpose, "PURPOSE_", Purpose.keys())),
        platforms=platforms,
        categories=[Category.Value(_known(category, "CATEGORY_", Category.keys())) for category in categories],
        is_stale_acceptable=is_stale_acceptable,
        consent_ids=consents,
        loan_reference=loan_reference,
        application_reference=application_reference,
    )
    if oldest_s is not None:
        message.oldest_acceptable_age.FromNanoseconds(round(oldest_s * 1e9))
    return message


def _known(name: str, prefix: str, known: Sequence[str]) -> str:
    full = prefix + name.upper().replace("-", "_").removeprefix(prefix)
    if full not in known or full.endswith("_UNSPECIFIED"):
        choices = ", ".join(k.removeprefix(prefix) for k in known[1:])
        raise ValueError(f"{name!r} is unknown; use one of {choices}")
    return full


async def get_view(
    at: Reach, query: credit_service_pb2.CreditQuery, timeout_s: float
) -> credit_service_pb2.GetCreditViewResponse:
    """Asks for one view; raises grpc.aio.AioRpcError."""
    return credit_service_pb2.GetCreditViewResponse.FromString(await get_view_bytes(at, query, timeout_s))


async def get_view_bytes(at: Reach, query: credit_service_pb2.CreditQuery, timeout_s: float) -> bytes:
    """Asks for one view and gives the response as it came, for its evidence to be checked; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        ask: Any = channel.unary_unary(
            _GET_VIEW, request_serializer=credit_service_pb2.GetCreditViewRequest.SerializeToString
        )
        request = credit_service_pb2.GetCreditViewRequest(query=query)
        return bytes(await ask(request, timeout=timeout_s))


async def get_archived_view_bytes(at: Reach, answer_id: str, bank: str) -> bytes:
    """Asks for one archived view and gives the response as it came; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        ask: Any = channel.unary_unary(
            _GET_ARCHIVED, request_serializer=archive_service_pb2.GetArchivedViewRequest.SerializeToString
        )
        request = archive_service_pb2.GetArchivedViewRequest(answer_id=answer_id)
        return bytes(await ask(request, timeout=10, metadata=((BANK_KEY, bank),) if bank else ()))


async def seal_views(at: Reach, uscc: str, reason: archive_service_pb2.SealReason.ValueType) -> int:
    """Has every archived copy about an enterprise sealed; gives how many that were. Raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = archive_service_pb2_grpc.ArchiveServiceStub(channel)
        request = archive_service_pb2.SealViewsRequest(uscc=uscc, reason=reason)
        response: archive_service_pb2.SealViewsResponse = await stub.SealViews(request, timeout=30)
        return response.view_count


async def list_platforms(at: Reach) -> Sequence[platform_service_pb2.Platform]:
    """Asks for all platforms; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = platform_service_pb2_grpc.PlatformServiceStub(channel)
        response: platform_service_pb2.ListPlatformsResponse = await stub.ListPlatforms(
            platform_service_pb2.ListPlatformsRequest(), timeout=10
        )
        return response.platforms


async def show_platform(at: Reach, platform: str) -> admin_service_pb2.ShowPlatformResponse:
    """Asks what is in force around one platform; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = admin_service_pb2_grpc.AdminServiceStub(channel)
        response: admin_service_pb2.ShowPlatformResponse = await stub.ShowPlatform(
            admin_service_pb2.ShowPlatformRequest(platform=platform), timeout=10
        )
        return response


async def purge_answers(at: Reach, uscc: str, platform: str) -> int:
    """Has the kept answers about an enterprise forgotten and gives their number; raises grpc.aio.AioRpcError."""
    async with at.channel() as channel:
        stub = admin_service_pb2_grpc.AdminServiceStub(channel)
        response: admin_service_pb2.PurgeAnswersResponse = await stub.PurgeAnswers(
            admin_service_pb2.PurgeAnswersRequest(uscc=uscc, platform=platform), timeout=10
        )
        return response.answer_count


def explain(error: grpc.aio.AioRpcError, at: Reach) -> list[str]:
    """Gives the lines that tell a person what went wrong and what to do."""
    code, text = error.code().name, error.details() or ""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    if status is None:
        return [f"{code}: {text}", *(_unheard(at) if error.code() == grpc.StatusCode.UNAVAILABLE else ())]
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    outcomes = credit_service_pb2.PlatformOutcomes()
    for detail in status.details:
        for known in (info, bad, retry, outcomes):
            detail.Unpack(known)
    faults = [_fault(each) for each in bad.field_violations]
    if len(faults) == 1 and text in faults[0]:  # the text is the field's fault: once is enough
        text = faults.pop()[0]
    lines = [f"{code} ({info.reason}): {text}" if info.reason else f"{code}: {text}"]
    if is_chinese() and info.reason in REASONS_ZH:
        lines.append(f"  {REASONS_ZH[info.reason]}")
    lines += [f"  {fault}" for fault, _ in faults]
    lines += [
        f"  {a.platform}: {Outcome.Name(a.outcome).removeprefix('OUTCOME_')} {a.reason}".rstrip()
        for a in outcomes.answers
    ]
    if info.reason in ("POLICY_DENIED", "CALLER_UNKNOWN"):
        lines.append(f"  {who_asked(at)}")
    if info.reason == "CALLER_UNKNOWN" and at.credentials is not None:
        lines.append(f"  {who_must_be_named(at)}")
    if retry.HasField("retry_delay"):
        seconds = f"{retry.retry_delay.ToTimedelta().total_seconds():g}"
        lines.append(say(f"  ask again in {seconds} s", f"  请于 {seconds} 秒后重试"))
    if trace := info.metadata.get("trace_id"):
        lines.append(say(f"  trace {trace}", f"  追踪号 {trace}"))
    return lines


def _fault(violation: error_details_pb2.BadRequest.FieldViolation) -> tuple[str, str]:
    """Gives a fault with its place, and alone; in Chinese where the gateway says it so too."""
    if is_chinese() and violation.localized_message.locale == "zh":
        said = violation.localized_message.message
        where = _LINE.sub(r"第 \1 行", violation.field)
        return f"{where}：{said}", said
    return f"{violation.field}: {violation.description}", violation.description


def _unheard(at: Reach) -> list[str]:
    lines = [
        say(
            f"no gateway answers at {at.address}; start one with `xinyidai up` or `make run`",
            f"{at.address} 没有网关应答；可用 `xinyidai up` 或 `make run` 启动",
        )
    ]
    if at.credentials is None:
        return [
            *lines,
            say(
                "if one is there, it may want a certificate: state --cert, --key and --ca",
                "若网关已启动，可能须出示证书：请给出 --cert、--key 与 --ca",
            ),
        ]
    return [
        *lines,
        say(
            "if one is there, it may not know the authority of this certificate, or serve --development:",
            "若网关已启动，可能不信任该证书的签发机构，或以 --development 启动：",
        ),
        say("see `xinyidai certs list`, or add --plaintext", "见 `xinyidai certs list`，或加 --plaintext"),
    ]
