"""`xinyidai lists …`: joint lists at a running gateway; what changes entries one by one stands in `list_keeping`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JointField
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.adapters.identity.kinds import Kind
from gateway.cli.joint_list_text import (
    as_json_text,
    entry_table,
    is_waiting,
    line_of,
    list_table,
    statistics_table,
)
from gateway.cli.list_asking import Stub, asked
from gateway.cli.list_keeping import keeping, tell
from gateway.cli.options import AsJson, console, fail
from gateway.cli.reach import Reach, connecting
from gateway.cli.words import say

_LOAD_S: Final = 600.0
_PIECE: Final = 512 * 1024
_LARGE: Final = 2_000_000
"""Of a file of so many bytes the keeper is told that it takes a while."""
_SM3_HEX: Final = 64

lists = typer.Typer(name="lists", no_args_is_help=True, add_completion=False)

Bank = Annotated[
    str,
    typer.Option(envvar="XINYIDAI_BANK", help=say("The bank that asks (development mode).", "查询银行（开发模式）。")),
]
Lists = Annotated[
    list[str] | None, typer.Option("--list", help=say("Only this list; may be repeated.", "仅限该名单，可重复。"))
]
Field = Annotated[
    str,
    typer.Option(
        help=say(
            "Only of this field: ENVIRONMENT, TOURISM, FOOD_AND_DRUG, QUALITY.",
            "仅限该领域： ENVIRONMENT 生态环境、 TOURISM 旅游、 FOOD_AND_DRUG 食品药品、 QUALITY 产品质量。",
        )
    ),
]


@lists.command(help=say("Show all lists, or an enterprise's entries.", "查看全部名单，或某企业的名单条目。"))
@connecting(Kind.BANK)
def show(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))] = "",
    person_ref: Annotated[str, typer.Option(help=say("A related person's entries.", "关联个人的内部编号。"))] = "",
    consent: Annotated[str, typer.Option(help=say("That person's consent.", "该个人的授权标识。"))] = "",
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints them; that an enterprise has none is no proof of innocence, and it says so."""
    if not uscc:
        all_lists = asked(at, bank, lambda stub, more: stub.ListJointLists(pb.ListJointListsRequest(), **more))
        if as_json:
            typer.echo(as_json_text(all_lists))
        else:
            console().print(list_table(all_lists.lists))
        return
    request = pb.GetEntriesRequest(uscc=uscc, person_ref=person_ref, consent_id=consent)
    found = asked(at, bank, lambda stub, more: stub.GetEntries(request, **more))
    if as_json:
        typer.echo(as_json_text(found))
        return
    if found.entries:
        console().print(entry_table(found.entries))
        tell([entry for entry in found.entries if entry.origin])  # a bank is told no origin
        return
    typer.echo(
        say(
            "on no list that is known here; `xinyidai lists stats` says which provinces and years are covered",
            "未见于本网关已知名单；各省各年度报送情况见 xinyidai lists stats",
        )
    )


@lists.command(help=say("Search entries by field, list, province, year.", "按领域、名单、省份、年度检索条目。"))
@connecting(Kind.BANK)
def search(
    field: Field = "",
    only: Lists = None,
    province: Annotated[str, typer.Option(help=say("Two digits.", "省份代码两位。"))] = "",
    year: Annotated[int, typer.Option(help=say("List year.", "名单年度。"))] = 0,
    most: Annotated[int, typer.Option(min=1, help=say("How many to print at most.", "最多显示条数。"))] = 100,
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints what is found, with --json one line each."""
    request = pb.SearchEntriesRequest(
        joint_field=_field(field), list_codes=only or [], province=province, list_year=year or None, page_size=200
    )

    async def pages(stub: Stub, more: Any) -> tuple[list[pb.JointEntry], bool]:
        found: list[pb.JointEntry] = []
        while True:
            page: pb.SearchEntriesResponse = await stub.SearchEntries(request, **more)
            found += page.entries
            request.page_token = page.next_page_token
            if len(found) >= most or not page.next_page_token:
                return found[:most], len(found) > most or bool(page.next_page_token)

    found, is_cut = asked(at, bank, pages)
    if is_cut:
        told = say(
            f"the first {most} only: --most shows more, `xinyidai lists stats` counts them all",
            f"仅显示前 {most} 条：可用 --most 显示更多，总数见 xinyidai lists stats",
        )
        typer.echo(told, err=True)
    if as_json:
        for one in found:
            typer.echo(as_json_text(one, indent=None))
        return
    console().print(entry_table(found))
    tell([entry for entry in found if is_waiting(entry)])


@lists.command(
    help=say("Count entries by list, year and province, with coverage.", "按名单、年度、省份统计，并标明是否报送。")
)
@connecting(Kind.BANK)
def stats(
    field: Field = "",
    only: Lists = None,
    from_year: Annotated[int, typer.Option(help=say("From this year.", "起始年度。"))] = 0,
    to_year: Annotated[int, typer.Option(help=say("To this year.", "截止年度。"))] = 0,
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints the counts; what was not provided is no zero."""
    request = pb.GetListStatisticsRequest(
        joint_field=_field(field), list_codes=only or [], from_year=from_year, to_year=to_year
    )
    told = asked(at, bank, lambda stub, more: stub.GetListStatistics(request, **more))
    if as_json:
        typer.echo(as_json_text(told))
        return
    console().print(statistics_table(told))


@lists.command(
    help=say("Load a list file of the hub, all of it or nothing.", "装载信用长三角名单文件，全部生效或全不生效。")
)
@connecting(Kind.OPERATOR)
def load(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help=say("JSON Lines or CSV, UTF-8.", "JSON Lines 或 CSV，UTF-8 编码。")
        ),
    ],
    digest: Annotated[
        str,
        typer.Option(
            help=say("Its SM3 digest as the hub states it, hexadecimal.", "信用长三角公布的 SM3 摘要（十六进制）。")
        ),
    ],
    operator: Annotated[str, typer.Option(help=say("Who loads it, for the trail.", "经办人，记入留痕。"))] = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints what changed; exits 1 with every fault when the file is refused, 2 for a digest that is none."""
    try:
        stated = bytes.fromhex(digest)
    except ValueError:
        stated = b""
    if len(digest) != _SM3_HEX or not stated:
        raise fail([say("--digest: state 64 hexadecimal digits", "--digest: 应为 64 位十六进制数字")], 2)

    def pieces() -> Iterator[pb.LoadListFileRequest]:
        yield pb.LoadListFileRequest(digest=stated, operator=operator)
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield pb.LoadListFileRequest(content=piece)

    async def upload(stub: Stub, more: Any) -> pb.LoadListFileResponse:
        async def told() -> AsyncIterator[pb.LoadListFileRequest]:
            for piece in pieces():
                yield piece
            if (size := file.stat().st_size) >= _LARGE:
                typer.echo(
                    say(
                        f"{size / 1e6:.0f} MB sent; the gateway checks and stores every line, which may take minutes …",
                        f"已发送 {size / 1e6:.0f} MB；网关正在逐行核对并写入，可能需要数分钟 …",
                    ),
                    err=True,
                )

        response: pb.LoadListFileResponse = await stub.LoadListFile(told(), **{**more, "timeout": _LOAD_S})
        return response

    done = asked(at, "", upload)
    if as_json:
        typer.echo(as_json_text(done))
        return
    where = f"{done.list_code} {done.list_year} ({', '.join(done.provinces)})"
    if done.is_repeated:
        typer.echo(say(f"{where}: this file was loaded before; nothing changed", f"{where}：该文件此前已装载，无变化"))
        return
    typer.echo(
        say(
            f"{where}: {done.added} added, {done.amended} amended, {done.removed} removed, {done.unchanged} unchanged",
            f"{where}：新增 {done.added}，变更 {done.amended}，移出 {done.removed}，不变 {done.unchanged}",
        )
    )
    if done.stale_lines:
        lines = ", ".join(map(str, done.stale_lines))
        typer.echo(
            say(
                f"stale in the file, ended here already: lines {lines}; tell the hub",
                f"文件中仍列示、本处已终止：第 {lines} 行，请通知信用长三角更新",
            )
        )


@lists.command(help=say("Watch entries until interrupted.", "持续订阅名单变更，直至中断。"))
@connecting(Kind.BANK)
def watch(
    only: Lists = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help=say(
                "File that keeps the resume token: nothing is missed, nothing comes twice.",
                "保存续传令牌的文件：不遗漏、不重复。",
            ),
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help=say("End when all is told.", "输出已有变更后结束。"))] = False,
    bank: Bank = "",
    *,
    at: Reach,
    as_json: AsJson = False,
) -> None:
    """Prints a line for each change, with --json the whole message."""
    token = resume.read_text("ascii").strip() if resume is not None and resume.exists() else ""
    request = pb.WatchEntriesRequest(list_codes=only or [], resume_token=token, ends_when_told=once)

    async def follow(stub: Stub, more: Any) -> None:
        async for one in stub.WatchEntries(request, metadata=more["metadata"]):
            typer.echo(as_json_text(one, indent=None) if as_json else line_of(one))
            if resume is not None:
                resume.write_text(one.resume_token, "ascii")

    try:
        asked(at, bank, follow)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _field(name: str) -> JointField.ValueType:
    if not name:
        return JointField.Value("JOINT_FIELD_UNSPECIFIED")
    full = "JOINT_FIELD_" + name.upper().replace("-", "_")
    if full not in JointField.keys()[1:-1]:
        known = ", ".join(one.removeprefix("JOINT_FIELD_") for one in JointField.keys()[1:-1])
        raise fail([f"--field: {name!r} is unknown; use one of {known}"], 2)
    return JointField.Value(full)


lists.add_typer(keeping)
