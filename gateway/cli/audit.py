"""`xinyidai audit …`: verifies a trail on this machine, and exports a bank's own entries from a running gateway."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final

import grpc
import msgspec
import typer

from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2_grpc
from gateway.adapters.crypto.verify import verifier
from gateway.adapters.identity.kinds import BANK_KEY, Kind
from gateway.adapters.stores.trail_check import Checkpoint, Verdict, verify_trail
from gateway.adapters.stores.trail_files import anchored_in, is_of_workers, trails_of
from gateway.cli.client import explain
from gateway.cli.consent_text import CHINA
from gateway.cli.loop import run
from gateway.cli.options import AsJson, Config, fail
from gateway.cli.public_keys import read_keys
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say
from gateway.domain.anchor import Verify, anchored_trails, heads_by_sequence
from gateway.domain.errors import ConfigError, StoreError
from gateway.domain.trail import Fault
from gateway.settings import load_settings

audit = typer.Typer(name="audit", no_args_is_help=True, add_completion=False)

_FAULTS: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.UNREADABLE: ("is no entry", "不是有效记录"),
    Fault.ALTERED: ("was altered", "内容被篡改"),
    Fault.MISSING: ("is missing: deleted or moved", "缺失：被删除或移动"),
    Fault.INSERTED: ("is not what stands there: inserted, repeated or moved", "此处记录为插入、重复或移动"),
    Fault.REPLACED: ("was replaced: the next is chained to another", "被替换：后一条链接的不是它"),
    Fault.ROOT: ("is a root that does not fit its answers", "批次根与其应答不符"),
    Fault.SIGNATURE: ("is not signed by the key", "签名不属于所给公钥"),
    Fault.CUT: ("was cut off with all after it", "及其后记录被截断"),
    Fault.REWRITTEN: ("is not the one that was anchored: the log was rewritten", "与锚定不符：日志被重写"),
}
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_FORMULA: Final = re.compile(r"\s*['=+\-@＝＋－＠]")  # full-width ones count in Chinese editions
_NUMBER: Final = re.compile(r"0[0-9]+|[0-9]{16,}|[0-9]+\.[0-9]*|[0-9]+(\.[0-9]*)?[Ee][+-]?[0-9]+")
_COLUMNS: Final = (
    "position",
    "time",
    "event",
    "answer_id",
    "uscc",
    "purpose",
    "operator",
    "branch",
    "reason",
    "method",
    "record",
)


@audit.command(help=say("Verify a trail: chain, roots, anchors.", "核验留痕：链、批次根与锚定。"))
def verify(
    trail: Annotated[
        Path | None, typer.Option(help=say("The trail; the configured one.", "留痕文件；默认取配置中的路径。"))
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help=say("File of signed heads.", "锚定文件（已签名的链头）。")),
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help=say("File of public keys (JSON, PEM, hex); may be repeated.", "验签公钥文件，可重复。")),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help=say(
                "File that keeps up to where it was found whole: only what is new is verified.",
                "断点文件：记录已核验到何处， 下次仅核验新增部分。",
            )
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Prints a verdict for each trail; exits 1 when one is damaged, 2 when it cannot be checked."""
    try:
        path = trail or load_settings(config).gateway.audit.path
        check = verifier([key for each in public_key for key in read_keys(each)]) if public_key else None
        known = _read_checkpoints(resume)
        trails = trails_of(path)
        if not trails:
            raise StoreError(say(f"there is no trail at {path}", f"{path} 处没有留痕"))
        trails = [*trails, *_gone(path, trails, anchors)]
        heads = {each.name: _heads(each, anchors, check) for each in trails}
        verdicts = [_verified(each, heads[each.name], check, known.get(each.name)) for each in trails]
        if resume is not None:
            kept = {**known, **{each.trail: each.checkpoint for each in verdicts if each.checkpoint is not None}}
            resume.write_bytes(msgspec.json.encode(kept))
    except ConfigError as error:
        raise fail(list(error.faults), 2) from error
    except (StoreError, ValueError, OSError) as error:
        raise fail([str(error)], 2) from error
    for verdict in verdicts:
        typer.echo(_as_json(verdict) if as_json else _sentence(verdict, has_keys=check is not None))
    unanchored = [each.trail for each in verdicts if anchors and each.end.sequence and not heads[each.trail]]
    for name in unanchored:
        typer.echo(
            say(
                f"{anchors} has no head of {name}: a copy must keep the trail's name",
                f"{anchors} 中没有 {name} 的链头：副本须保留留痕原名",
            ),
            err=True,
        )
    if any(verdict.finding is not None for verdict in verdicts):
        raise typer.Exit(1)
    if unanchored:
        raise typer.Exit(2)


@audit.command(help=say("Export the bank's own entries.", "导出本行留痕记录。"))
@connecting(Kind.AUDITOR)
def export(
    format: Annotated[str, typer.Option(help=say("jsonl or csv.", "jsonl 或 csv。"))] = "jsonl",
    since: Annotated[
        datetime | None, typer.Option("--from", help=say("Since, China time.", "起始时间（北京时间，含）。"))
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            help=say(
                "Before it, China time; a day is its midnight.", "截止时间（北京时间，不含；仅写日期即当日零时）。"
            ),
        ),
    ] = None,
    uscc: Annotated[str, typer.Option(help=say("Only about this enterprise.", "仅限该企业。"))] = "",
    operator: Annotated[str, typer.Option(help=say("Only of this employee.", "仅限该经办人。"))] = "",
    after: Annotated[str, typer.Option(help=say("Go on after this position.", "从该位置之后继续。"))] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            help=say("File; else printed. With --after it is added to.", "输出文件；默认打印。与 --after 同用时追加。")
        ),
    ] = None,
    bank: Annotated[
        str, typer.Option(envvar="XINYIDAI_BANK", help=say("The bank (development mode).", "银行（开发模式）。"))
    ] = "",
    *,
    at: Reach,
) -> None:
    """Writes the entries as they stand in the trail, or as a table; exits 1 when refused, 2 for a wrong option."""
    if format not in ("jsonl", "csv"):
        raise fail([say(f"--format {format}: use jsonl or csv", f"--format {format}：请用 jsonl 或 csv")], 2)
    request = pb.ExportEntriesRequest(uscc=uscc, operator=operator, after_position=after)
    if since is not None:
        request.from_time.FromDatetime(since.replace(tzinfo=since.tzinfo or CHINA).astimezone(UTC))
    if until is not None:
        request.to_time.FromDatetime(until.replace(tzinfo=until.tzinfo or CHINA).astimezone(UTC))
    last = ""
    was_there = output is not None and output.exists()
    with ExitStack() as stack:
        try:
            target = stack.enter_context(output.open("a", encoding="utf-8", newline="")) if output else sys.stdout
        except OSError as error:
            raise fail([f"{output}: {error.strerror}"], 2) from error

        def begin() -> Callable[[pb.AuditRecord], None]:
            # Only now: an export that is refused leaves an earlier one as it is, one that goes on adds to it.
            if output is not None and not after:
                target.truncate(0)
            is_going_on = output is not None and target.tell() > 0
            if output is not None and format == "csv" and not is_going_on:
                target.write("\ufeff")  # else a spreadsheet reads it in the machine's own charset
            return _table(target, has_header=not is_going_on) if format == "csv" else _lines(target)

        async def main() -> None:
            nonlocal last
            write = None
            async for record in _entries(at, request, bank):
                write = write or begin()
                write(record)
                last = record.position
            if write is None:
                begin()

        try:
            run(main())
        except grpc.aio.AioRpcError as error:
            told = explain(error, at)
            if last:
                told.append(say(f"go on with --after {last}", f"可用 --after {last} 继续"))
            elif output is not None and not was_there:
                output.unlink()
            raise fail(told, 1) from error


async def _entries(at: Reach, request: pb.ExportEntriesRequest, bank: str) -> AsyncIterator[pb.AuditRecord]:
    async with at.channel() as channel:
        stub = audit_service_pb2_grpc.AuditServiceStub(channel)
        async for response in stub.ExportEntries(request, metadata=((BANK_KEY, bank),) if bank else ()):
            for record in response.entries:
                yield record


def _lines(target: IO[str]) -> Callable[[pb.AuditRecord], None]:
    def write(record: pb.AuditRecord) -> None:
        target.write(record.record.decode() + "\n")

    return write


def _table(target: IO[str], *, has_header: bool = True) -> Callable[[pb.AuditRecord], None]:
    rows = csv.writer(target)
    if has_header:
        rows.writerow(_COLUMNS)

    def write(record: pb.AuditRecord) -> None:
        at = record.entry_time.ToDatetime(UTC).isoformat(timespec="milliseconds")
        named = {"time": at, "record": record.record.decode()}
        rows.writerow([_inert(named[name] if name in named else getattr(record, name)) for name in _COLUMNS])

    return write


def _inert(text: str) -> str:
    """Keeps a spreadsheet from taking what a caller stated for a formula, or for a number without its zeros and last digits.

    What is no character to be seen is marked: a line end would begin a row to whoever reads the table line by line.
    """
    text = _UNSEEN.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) or _NUMBER.fullmatch(text) else text


def _heads(path: Path, anchors: Path | None, check: Verify | None) -> Mapping[int, str]:
    return heads_by_sequence(anchored_in(anchors) if anchors is not None else (), path.name, check)


def _gone(path: Path, trails: Sequence[Path], anchors: Path | None) -> Sequence[Path]:
    """Gives the trails that should be here, by the heads of them that were anchored, and are not."""
    named = anchored_trails(anchored_in(anchors)) if anchors is not None else set()
    here = {each.name for each in trails}
    return [path.with_name(name) for name in sorted(named - here) if name == path.name or is_of_workers(path, name)]


def _verified(path: Path, heads: Mapping[int, str], check: Verify | None, since: Checkpoint | None) -> Verdict:
    def progress(count: int) -> None:
        typer.echo(say(f"{path.name}: {count:,} entries …", f"{path.name}：已核验 {count:,} 条 …"), err=True)

    if since is not None:
        heads = {sequence: said for sequence, said in heads.items() if sequence > since.sequence}
    return verify_trail(path, heads, check, since=since, progress=progress)


def _read_checkpoints(path: Path | None) -> dict[str, Checkpoint]:
    if path is None or not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Checkpoint])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def _as_json(verdict: Verdict) -> str:
    finding = verdict.finding
    return msgspec.json.encode(
        {
            "trail": verdict.trail,
            "entries": verdict.entry_count,
            "last": verdict.end.sequence,
            "roots": verdict.root_count,
            "uncovered": verdict.uncovered,
            "anchored": verdict.anchored,
            "anchored_to": verdict.anchored_to,
            "torn_bytes": verdict.torn_bytes,
            "first_bad": finding.sequence if finding is not None else None,
            "fault": finding.fault if finding is not None else "",
            "detail": finding.detail if finding is not None else "",
        }
    ).decode()


def _sentence(verdict: Verdict, *, has_keys: bool) -> str:
    finding = verdict.finding
    if finding is not None:
        english, chinese = _FAULTS[finding.fault]
        detail = f" ({finding.detail})" if finding.detail else ""
        return say(
            f"{verdict.trail}: entry {finding.sequence} {english}{detail}; {verdict.entry_count:,} before it are whole",
            f"{verdict.trail}：第 {finding.sequence} 条{chinese}{detail}；此前 {verdict.entry_count:,} 条完整",
        )
    name, count, last, roots = verdict.trail, verdict.entry_count, verdict.end.sequence, verdict.root_count
    told = say(
        f"{name}: whole; {count:,} entries to {last}, {roots:,} roots, ",
        f"{name}：完整；{count:,} 条，至第 {last} 条，{roots:,} 个批次根，",
    )
    told += (
        say(f"anchored up to {verdict.anchored_to}", f"已锚定至第 {verdict.anchored_to} 条")
        if verdict.anchored
        else say("no anchor looked at: a cut tail would not show", "未比对锚定：尾部截断无法发现")
    )
    if not has_keys:
        told += say("; signatures not checked: state --public-key", "；未验签名：请指定 --public-key")
    if verdict.torn_bytes:
        torn = verdict.torn_bytes
        told += say(f"; {torn:,} bytes of an unfinished line at the end", f"；末尾有 {torn:,} 字节的不完整记录")
    return told
