"""Joint lists as text: lists, entries, counts with coverage, a line for each change, JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from rich.table import Table

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JointField, ListBasis
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway.cli.words import say

_PROVINCES: Final = {"31": "上海", "32": "江苏", "33": "浙江", "34": "安徽"}
_STATES: Final = {
    pb.ENTRY_STATE_PROPOSED: ("proposed", "待确认"),
    pb.ENTRY_STATE_PUBLISHED: ("published", "公示中"),
    pb.ENTRY_STATE_DISPUTED: ("disputed", "异议中"),
    pb.ENTRY_STATE_WITHDRAWN: ("withdrawn", "已撤销"),
    pb.ENTRY_STATE_REPAIRED: ("repaired", "已修复"),
    pb.ENTRY_STATE_REMOVED: ("removed", "已移出"),
    pb.ENTRY_STATE_EXPIRED: ("expired", "已到期"),
}
_EVENTS: Final = {
    "AMENDED": ("amendment", "变更"),
    "WITHDRAWN": ("withdrawal", "撤销"),
    "REPAIRED": ("repair", "信用修复"),
}


def as_json_text(message: Message, *, indent: int | None = 2) -> str:
    """Gives a message as JSON."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False, indent=indent)


def list_table(lists: Iterable[pb.JointList]) -> Table:
    """Gives the lists, a line each."""
    table = _table(
        "名单 list", "名称 title", "认定 lister", "依据 basis", "领域 field", "期限 months", "确定性 certainty"
    )
    for one in lists:
        months = str(one.stay_months) if one.HasField("stay_months") else "–"
        table.add_row(
            one.list_code,
            f"{one.title_zh}\n{one.title_en}".strip(),
            one.lister,
            ListBasis.Name(one.basis).removeprefix("LIST_BASIS_"),
            JointField.Name(one.joint_field).removeprefix("JOINT_FIELD_") if one.joint_field else "–",
            months,
            one.certainty,
        )
    return table


def entry_table(entries: Iterable[pb.JointEntry]) -> Table:
    """Gives entries, a line each."""
    table = _table(
        "名单 list", "企业 enterprise", "年度 year", "省 province", "列入 listed", "状态 state", "文号 document"
    )
    for one in entries:
        table.add_row(
            one.list_code,
            f"{one.uscc}\n{one.content.subject_name}".strip(),
            str(one.list_year) if one.HasField("list_year") else "–",
            _PROVINCES.get(one.province, one.province),
            _day(one.listed_on),
            _state(one.state),
            one.content.document_number,
        )
    return table


def statistics_table(told: pb.GetListStatisticsResponse) -> Table:
    """Gives counts by list and year, a column for each province; what was not provided reads so, never as 0."""
    provinces = sorted({cell.province for cell in told.cells})
    table = _table(
        "名单 list", "年度 year", *(_PROVINCES.get(one, one) for one in provinces), "合计 total", "未报送 not covered"
    )
    cells = {(cell.list_code, cell.list_year, cell.province): cell for cell in told.cells}
    for year in told.years:
        row = [_count(cells[year.list_code, year.list_year, province]) for province in provinces]
        missing = "、".join(_PROVINCES.get(one, one) for one in year.not_covered)
        table.add_row(year.list_code, str(year.list_year), *row, str(year.entry_count), missing or "–")
    return table


def line_of(told: pb.WatchEntriesResponse) -> str:
    """Gives one change as a line."""
    entry = told.entry
    if told.change == pb.ENTRY_CHANGE_REMOVED:
        return f"- {entry.entry_id}  {say('removed', '移出')}"
    return f"+ {entry.entry_id}  {entry.list_code}  {entry.uscc}  {_state(entry.state)}  {_day(entry.listed_on)}"


def decision_lines(entry: pb.JointEntry) -> list[str]:
    """Gives an entry as an operator decides about it: its id, how it stands, what waits, and what to do about that."""
    lines = [f"{entry.entry_id}  {entry.list_code}  {entry.uscc}  {_state(entry.state)}  v{entry.version}"]
    waiting, pending = entry.pending.proposed_by, entry.pending
    if entry.state == pb.ENTRY_STATE_PROPOSED:
        waiting = entry.proposed_by
    if not waiting:
        return lines
    event = say(*_EVENTS[pending.event]) if pending.event in _EVENTS else say("publication", "公示")
    lines.append(
        say(
            f"{event} waits for somebody else than {waiting}: xinyidai lists confirm {entry.entry_id} --operator …",
            f"{event} 待 {waiting} 以外的人复核： xinyidai lists confirm {entry.entry_id} --operator …",
        )
    )
    if pending.because:
        lines.append(say(f"  because: {pending.because}", f"  理由：{pending.because}"))
    if pending.HasField("content"):
        before, after = _content(entry.content), _content(pending.content)
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        lines += [f"  {name}: {before.get(name, '–')} → {after.get(name, '–')}" for name in changed]
    return lines


def is_waiting(entry: pb.JointEntry) -> bool:
    """Whether something of it waits for a second person, as operators are told."""
    return entry.state == pb.ENTRY_STATE_PROPOSED or entry.HasField("pending")


def _content(content: pb.EntryContent) -> dict[str, str]:
    return {
        field.name: ", ".join(value) if field.name == "evidence" else _day(value) if field.message_type else value
        for field, value in content.ListFields()
    }


def _count(cell: pb.ListCell) -> str:
    if cell.coverage == pb.LIST_COVERAGE_NOT_COVERED:
        return say("not covered", "未报送")
    return f"≥ {cell.entry_count}" if cell.coverage == pb.LIST_COVERAGE_PARTIAL else str(cell.entry_count)


def _state(state: int) -> str:
    english, chinese = _STATES.get(state, (str(state), str(state)))  # type: ignore[call-overload]
    return say(english, chinese)


def _day(day: Any) -> str:
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def _table(*columns: str) -> Table:
    table = Table(expand=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
