"""`xinyidai consent …`: a bank's consents at a running gateway."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from cryptography.hazmat.primitives import hashes

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from gateway.adapters.identity.kinds import Kind
from gateway.cli.asking import asked
from gateway.cli.consent_text import CHINA, as_json_text, line_of, table_of, tell
from gateway.cli.options import AsJson, console, fail
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

T = TypeVar("T")
_CHUNK: Final = 1024 * 1024
_DAYS: Final = 365

consents = typer.Typer(name="consent", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(help=say("Id of the consent.", "授权标识。"))]
Bank = Annotated[
    str,
    typer.Option(
        envvar="XINYIDAI_BANK",
        help=say("The bank that asks (development mode).", "查询银行（开发模式）。"),
    ),
]
Operator = Annotated[str, typer.Option(help=say("Who decides, for the trail.", "经办人，记入留痕。"))]
Branch = Annotated[str, typer.Option(help=say("The branch, for the trail.", "经办机构，记入留痕。"))]
Version = Annotated[
    int,
    typer.Option(
        "--version", min=0, help=say("Only if it is of this version; 0: any.", "仅当为该版本时；0 为任意版本。")
    ),
]


@consents.command(help=say("Register a consent that was given.", "登记一份授权。"))
@connecting(Kind.BANK)
def register(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))],
    purpose: Annotated[list[str], typer.Option(help=say("For what: PRE_LOAN, …; may be repeated.", "用途，可重复。"))],
    category: Annotated[
        list[str], typer.Option(help=say("What may be asked: TAX_PAYMENT, …; may be repeated.", "类目，可重复。"))
    ],
    document: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=say("The signed document; its SM3 digest is registered.", "已签署的授权书；仅登记其 SM3 摘要。"),
        ),
    ],
    channel: Annotated[
        str,
        typer.Option(
            help=say(
                "PAPER_SCAN, E_SIGN, PLATFORM_CLICK or CREDIT_CODE_SCAN.",
                "PAPER_SCAN 纸质扫描、 E_SIGN 电子签名、 PLATFORM_CLICK 平台点选、 CREDIT_CODE_SCAN 扫码。",
            )
        ),
    ] = "PAPER_SCAN",
    platform: Annotated[
        list[str] | None, typer.Option(help=say("Only these platforms.", "仅限这些平台，可重复。"))
    ] = None,
    valid_from: Annotated[
        datetime | None, typer.Option("--from", help=say("Beginning, China time; now.", "生效时间，默认现在。"))
    ] = None,
    valid_to: Annotated[
        datetime | None, typer.Option("--to", help=say("End, China time; or by --days.", "失效时间，或用 --days。"))
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, help=say("How long it holds; 365 without --to.", "有效天数；未给 --to 时默认 365。")),
    ] = None,
    max_uses: Annotated[
        int | None, typer.Option(min=0, help=say("Uses; 0, as without: any number.", "使用次数；0 或省略为不限。"))
    ] = None,
    one_time: Annotated[bool, typer.Option("--one-time", help=say("One use only.", "一次性授权。"))] = False,
    person_ref: Annotated[
        str, typer.Option(help=say("The person's opaque reference, for a person's.", "个人授权：个人的内部编号。"))
    ] = "",
    person: Annotated[
        Path | None,
        typer.Option(  # read by name_in: what typer checks of a path knows no "-"
            help=say(
                "File with the person's name, - for standard input, for a person's; never kept.",
                "个人授权：载有个人姓名的文件，- 为标准输入；姓名不留存。",
            ),
        ),
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help=say("File of the signature.", "签名文件。"))
    ] = None,
    certificate_serial: Annotated[
        str, typer.Option(help=say("Serial of the signing certificate.", "签名证书序列号。"))
    ] = "",
    signatory_ref: Annotated[str, typer.Option(help=say("Opaque reference of who signed.", "签署人的内部编号。"))] = "",
    document_ref: Annotated[
        str, typer.Option(help=say("Opaque reference of where it is stored.", "授权书存放位置的内部编号。"))
    ] = "",
    institution_code: Annotated[
        str, typer.Option(help=say("Code of the bank in the document.", "授权书所载金融机构编码。"))
    ] = "",
    signed: Annotated[
        datetime | None, typer.Option(help=say("When it was signed, China time.", "签署时间（北京时间）。"))
    ] = None,
    request_id: Annotated[
        str, typer.Option(help=say("Repeat a request safely by its id.", "请求标识，用于安全重试。"))
    ] = "",
    bank: Bank = "",
    operator: Operator = "",
    branch: Branch = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the registered consent; exits 1 when it is refused, 2 for a wrong option."""
    for one, other, is_both in (
        ("--to", "--days", valid_to is not None and days is not None),
        ("--one-time", "--max-uses", one_time and max_uses is not None),
    ):
        if is_both:
            raise fail([say(f"{one} and {other} exclude each other", f"{one} 与 {other} 不能同时给出")], 2)
    begin = _moment(valid_from) or datetime.now(UTC)
    try:
        name = "" if person is None else name_in(person)
        terms = pb.ConsentTerms(
            uscc=uscc,
            person_ref=person_ref,
            purposes=[Purpose.Value(_known(one, "PURPOSE_", Purpose.keys())) for one in purpose],
            categories=[Category.Value(_known(one, "CATEGORY_", Category.keys())) for one in category],
            platforms=platform or [],
            max_uses=1 if one_time else max_uses or 0,
            channel=pb.ConsentChannel.Value(_known(channel, "CONSENT_CHANNEL_", pb.ConsentChannel.keys())),
            document_digest=sm3_of(document),
            signature=signature.read_bytes() if signature is not None else b"",
            certificate_serial=certificate_serial,
            signatory_ref=signatory_ref,
            document_ref=document_ref,
            institution_code=institution_code,
        )
    except ValueError as error:
        raise fail([str(error)], 2) from error
    terms.valid_from.FromDatetime(begin)
    terms.valid_to.FromDatetime(_moment(valid_to) or begin + timedelta(days=days or _DAYS))
    if (moment := _moment(signed)) is not None:
        terms.sign_time.FromDatetime(moment)
    request = pb.RegisterConsentRequest(
        terms=terms,
        request_id=request_id or str(uuid.uuid4()),
        operator=operator,
        branch=branch,
        person_name=name,
    )
    response = _asked(
        at,
        bank,
        lambda stub, more: stub.RegisterConsent(request, **more),
    )
    tell(response.consent, as_json=as_json)


@consents.command("list", help=say("List the bank's consents.", "列出本行的授权。"))
@connecting(Kind.BANK)
def list_(
    uscc: Annotated[str, typer.Argument(help=say("Only about this enterprise.", "仅限该企业。"))] = "",
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints all of them, the oldest first; with --json one line each."""

    async def pages(stub: consent_service_pb2_grpc.ConsentServiceAsyncStub, more: Any) -> Sequence[pb.Consent]:
        found: list[pb.Consent] = []
        token = ""
        while True:
            page: pb.ListConsentsResponse = await stub.ListConsents(
                pb.ListConsentsRequest(uscc=uscc, page_size=200, page_token=token), **more
            )
            found += page.consents
            token = page.next_page_token
            if not token:
                return found

    found = _asked(at, bank, pages)
    if as_json:
        for one in found:
            typer.echo(as_json_text(one, indent=None))
        return
    console().print(table_of(found))


@consents.command(help=say("Show one consent and what happened to it.", "查看一份授权及其变更记录。"))
@connecting(Kind.BANK)
def show(
    consent_id: Id,
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints it."""
    response = _asked(
        at,
        bank,
        lambda stub, more: stub.GetConsent(pb.GetConsentRequest(consent_id=consent_id), **more),
    )
    if as_json:
        typer.echo(as_json_text(response))
        return
    tell(response.consent, as_json=False)
    for change in response.changes:
        typer.echo(f"  {line_of(change)}")


@consents.command(help=say("Revoke a consent for good.", "撤销一份授权（不可恢复）。"))
@connecting(Kind.BANK)
def revoke(
    consent_id: Id,
    reason: Annotated[str, typer.Option(help=say("Why; without personal data.", "原因，请勿填写个人信息。"))],
    version: Version = 0,
    bank: Bank = "",
    operator: Operator = "",
    branch: Branch = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the revoked consent; exits 1 when that is refused."""
    request = pb.RevokeConsentRequest(
        consent_id=consent_id, reason=reason, expected_version=version, operator=operator, branch=branch
    )
    decided = _asked(at, bank, lambda stub, more: stub.RevokeConsent(request, **more))
    tell(decided.consent, as_json=as_json)


@consents.command(help=say("Pause a consent until it is resumed.", "暂停一份授权。"))
@connecting(Kind.BANK)
def pause(
    consent_id: Id,
    version: Version = 0,
    bank: Bank = "",
    operator: Operator = "",
    branch: Branch = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the paused consent; exits 1 when that is refused."""
    request = pb.PauseConsentRequest(consent_id=consent_id, expected_version=version, operator=operator, branch=branch)
    decided = _asked(at, bank, lambda stub, more: stub.PauseConsent(request, **more))
    tell(decided.consent, as_json=as_json)


@consents.command(help=say("Resume a paused consent.", "恢复一份已暂停的授权。"))
@connecting(Kind.BANK)
def resume(
    consent_id: Id,
    version: Version = 0,
    bank: Bank = "",
    operator: Operator = "",
    branch: Branch = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the active consent; exits 1 when that is refused."""
    request = pb.ResumeConsentRequest(consent_id=consent_id, expected_version=version, operator=operator, branch=branch)
    decided = _asked(at, bank, lambda stub, more: stub.ResumeConsent(request, **more))
    tell(decided.consent, as_json=as_json)


def name_in(path: Path) -> str:
    """Gives a person's name from a file, or from standard input for -: arguments are seen by everybody who lists processes.

    Raises ValueError, which repeats nothing of what was read.
    """
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        name = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"--person {path}: is no UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"--person {path}: {error.strerror}") from None
    if not name or len(name.splitlines()) > 1:
        raise ValueError(f"--person {path}: must hold one line, the person's name")
    return name


def sm3_of(path: Path) -> bytes:
    """Gives the SM3 digest of a file, read piece by piece."""
    digest = hashes.Hash(hashes.SM3())
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.finalize()


def _known(name: str, prefix: str, known: Sequence[str]) -> str:
    full = prefix + name.upper().replace("-", "_").removeprefix(prefix)
    if full not in known or full.endswith("_UNSPECIFIED"):
        choices = ", ".join(one.removeprefix(prefix) for one in known if not one.endswith("_UNSPECIFIED"))
        raise ValueError(f"{name!r} is unknown; use one of {choices}")
    return full


def _moment(stated: datetime | None) -> datetime | None:
    return None if stated is None else stated.replace(tzinfo=stated.tzinfo or CHINA)


def _asked(
    at: Reach, bank: str, ask: Callable[[consent_service_pb2_grpc.ConsentServiceAsyncStub, Any], Awaitable[T]]
) -> T:
    return asked(at, consent_service_pb2_grpc.ConsentServiceStub, ask, bank)
