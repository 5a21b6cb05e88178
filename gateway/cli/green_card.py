"""A green assessment for the terminal: the measure first, then why, on what, what is missing, and what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway.domain.dates import iso

_MEASURES: Final = {
    pb.GREEN_MEASURE_NONE: ("无需措施", "no measure", "green"),
    pb.GREEN_MEASURE_RECTIFY: ("督促整改", "urge rectification", "yellow"),
    pb.GREEN_MEASURE_REDUCE: ("逐年压缩贷款额度", "reduce the line year by year", "dark_orange"),
    pb.GREEN_MEASURE_EXIT: ("次年退出不再续贷", "leave next year, no renewal", "red"),
    pb.GREEN_MEASURE_INCOMPLETE: ("数据不完整，须人工判定", "data incomplete: a person decides", "magenta"),
}
_ADMISSIONS: Final = {
    pb.GREEN_ADMISSION_GREEN_CHANNEL: ("绿色通道", "green channel"),
    pb.GREEN_ADMISSION_OPEN: ("无环境障碍", "no environmental objection"),
    pb.GREEN_ADMISSION_HOLD: ("暂缓，待补充证明或人工判定", "hold until evidence or a person's decision"),
    pb.GREEN_ADMISSION_TREATMENT_ONLY: ("仅限污染治理贷款", "pollution-treatment loans only"),
    pb.GREEN_ADMISSION_CLOSED: ("不予新增授信", "no new credit"),
}
_MISSING: Final = {
    pb.GREEN_MISSING_KIND_PLATFORM: ("未应答", "not heard"),
    pb.GREEN_MISSING_KIND_PARTIAL: ("仅部分应答", "answered in part"),
    pb.GREEN_MISSING_KIND_CATEGORY: ("无平台覆盖", "covered by nobody"),
    pb.GREEN_MISSING_KIND_NOT_COVERED: ("登记地平台未覆盖", "not covered by the home province's platform"),
    pb.GREEN_MISSING_KIND_LIST_YEAR: ("名单年度未提供", "list years not provided"),
    pb.GREEN_MISSING_KIND_STALE: ("数据超过时限（天）", "data older than the limit, days"),
    pb.GREEN_MISSING_KIND_UNCLEAR: ("无法识别", "cannot be told"),
    pb.GREEN_MISSING_KIND_UNKNOWN: ("无人提供", "stated by nobody"),
}
_RECOGNISED: Final = {
    pb.RECOGNISED_YES: ("认定", "recognised", "red"),
    pb.RECOGNISED_NO: ("不认定", "not recognised", "green"),
    pb.RECOGNISED_UNDECIDED: ("无法判定", "undecided", "magenta"),
}
_DETAILS: Final = {
    "not_asked": ("未查询", "not asked"),
    "nobody_covers_it": ("无平台覆盖", "nobody covers it"),
    "home_province": ("登记地", "home province"),
    "industry_code": ("行业代码", "industry code"),
    "a list of unknown code and field": ("名单代码与领域均不明", "a list of unknown code and field"),
    "a penalty of unknown field": ("处罚所属领域不明", "a penalty of unknown field"),
    "a kind of penalty nobody here can read": ("处罚种类无法识别", "a kind of penalty nobody here can read"),
    "a discharge licence whose status nobody here can read": (
        "排污许可证状态无法识别", "a discharge licence whose status nobody here can read"
    ),
    "a grade nobody here can read, or without its day": (
        "等级无法识别或缺评定日期", "a grade nobody here can read, or without its day"
    ),
}  # fmt: skip
_CERTAINTIES: Final = {"sure": "确定 sure", "likely": "较可能 likely", "unsure": "不确定 unsure"}
_CATEGORIES: Final = {
    "REGISTRATION": "登记 registration",
    "LICENCE": "许可 licence",
    "PENALTY": "处罚 penalty",
    "LIST_ENTRY": "名单 list entry",
    "EVALUATION": "评价 evaluation",
}
_SEVERITY: Final = {
    pb.GREEN_MEASURE_NONE: 0,
    pb.GREEN_MEASURE_RECTIFY: 1,
    pb.GREEN_MEASURE_REDUCE: 2,
    pb.GREEN_MEASURE_INCOMPLETE: 3,
    pb.GREEN_MEASURE_EXIT: 4,
}
_GAP: Final = "V7"
"""The rule of incomplete data: what it is short of stands in the coverage panel."""
_PROVINCES: Final = {"31": "上海 SH", "32": "江苏 JS", "33": "浙江 ZJ", "34": "安徽 AH"}


def show_assessment(console: Console, found: pb.GreenAssessment) -> None:
    """Prints the card."""
    console.print(_header(found))
    console.print(_reasons(found))
    if found.evidence:
        console.print(_evidence(found.evidence))
    console.print(_coverage(found))
    if found.changes:
        console.print(_changes(found))
    if nearly := _nearly(found):
        console.print(nearly)
    used = [f"{rules.name} {rules.version} {rules.digest[:12]}" for rules in (found.policy, *found.rules)]
    said = f"规则 rules {' · '.join(used)}\n视图 view {found.view_id}\n决定 decision {found.decision_digest}"
    console.print(Text(said, style="dim"))


def show_recognition(console: Console, found: pb.RecogniseEnterpriseResponse) -> None:
    """Prints what each province's criterion says."""
    said = "各地标准结论不一 criteria differ" if found.differs else "各地标准无分歧 no difference"
    of_list = f"{found.list_title_zh} {found.list_title_en}".strip()
    title = f"{found.name or '—'}  {found.uscc}\n{found.list_code} {of_list}: {said}"
    table = Table(title=title, title_justify="left", expand=True)
    for column in ("省市 province", "结论 result", "标准 criterion", "依据事实 facts", "确定性 certainty"):
        table.add_column(column, overflow="fold")
    for each in found.provinces:
        zh, en, style = _RECOGNISED[each.recognised]
        facts = [line for fact in each.because for line in _lines(fact)]
        facts += [
            f"{mark}{line}" for fact in each.undecided for mark, line in zip(("? ", "  "), _lines(fact), strict=True)
        ]
        table.add_row(
            _PROVINCES.get(each.province, each.province),
            Text(f"{zh} {en}", style=style),
            f"{each.row} {each.title_zh}\n{each.title_en}".strip(),
            "\n".join(facts),
            _CERTAINTIES.get(each.certainty, each.certainty),
        )
    console.print(table)
    if found.evidence:
        console.print(_evidence(found.evidence))
    console.print(_gaps(found.missing, ()))


def _header(found: pb.GreenAssessment) -> Panel:
    zh, en, style = _MEASURES[found.measure]
    admitted_zh, admitted_en = _ADMISSIONS[found.admission]
    lines = [
        Text(f"{found.name or '—'}  {found.uscc}", style="bold"),
        Text(f"存量授信 existing line   {zh} {en}", style=f"bold {style}"),
        Text(f"新增授信 new credit      {admitted_zh} {admitted_en}", style="bold"),
    ]
    if found.measure == pb.GREEN_MEASURE_INCOMPLETE and found.at_least != pb.GREEN_MEASURE_NONE:
        zh, en, style = _MEASURES[found.at_least]
        lines.append(Text(f"已知事实至少要求 what is known demands at least: {zh} {en}", style=style))
    if found.measure == pb.GREEN_MEASURE_EXIT and found.missing:
        lines.append(Text("缺失信息不影响本结论 what is missing could not soften this", style="dim"))
    lines.append(Text("以上为建议，由人员决定 a proposal: people decide", style="dim"))
    lines.append(Text(f"日期 as of {iso(found.as_of)} · 回执 answer {found.answer_id}", style="dim"))
    return Panel(Text("\n").join(lines), title="绿色信贷评估 Green credit assessment", border_style=style, expand=True)


def _reasons(found: pb.GreenAssessment) -> Panel:
    lines = []
    for reason in found.reasons:
        zh, en, style = _MEASURES[reason.measure]
        admitted_zh, admitted_en = _ADMISSIONS[reason.admission]
        facts = [_lines(fact) for fact in reason.because]
        lines.append(Text(f"▸ {reason.rule:3} {reason.title_zh} — {reason.title_en}", style=style))
        if reason.rule != _GAP:
            lines.append(Text(f"      → {zh} {en} · {admitted_zh} {admitted_en}"))
            lines += _by_policy(reason)
        lines.append(Text(f"      {'；'.join(zh for zh, _ in facts)}", style="dim"))
        lines.append(Text(f"      {'; '.join(en for _, en in facts)}", style="dim"))
    if not lines:
        lines.append(Text("无规则触发 no rule fired"))
    return Panel(Text("\n").join(lines), title="理由 Reasons", expand=True)


def _lines(fact: pb.GreenFact) -> tuple[str, str]:
    """Gives a fact with its value in Chinese and in English."""
    return f"{fact.title_zh}：{fact.said_zh}", f"{fact.title_en}: {fact.said_en}"


def _detail(detail: str) -> str:
    """Gives what is missing in both languages, after the number of the document where it names one; codes stay."""
    document, colon, what = detail.rpartition(": ")
    zh, en = _DETAILS.get(what, ("", what))
    return f"{document}{colon}{zh} {en}" if zh else detail


def _by_policy(reason: pb.GreenReason) -> list[Text]:
    """Gives the line that tells a bank's own measure from the table's; none where they are the same."""
    tables = []
    if reason.table_measure:
        code = pb.GreenMeasure.Name(reason.table_measure).removeprefix("GREEN_MEASURE_")
        tables.append((_MEASURES[reason.table_measure][0], code))
    if reason.table_admission:
        code = pb.GreenAdmission.Name(reason.table_admission).removeprefix("GREEN_ADMISSION_")
        tables.append((_ADMISSIONS[reason.table_admission][0], code))
    if not tables:
        return []
    zh, en = "、".join(zh for zh, _ in tables), ", ".join(code for _, code in tables)
    return [Text(f"        按本行政策；决策表为{zh} by this bank's policy; the table says {en}", style="bold")]


def _evidence(evidence: Iterable[pb.GreenEvidence]) -> Table:
    """Gives one line for each record: the facts that it bears on stand together."""
    table = Table(title="依据 Evidence", title_justify="left", expand=True)
    for column in ("类目 category", "记录 record", "日期 date", "省市 province", "来源 said by"):
        table.add_column(column, overflow="fold")
    seen: set[tuple[str, str, str]] = set()
    for each in evidence:
        key = (each.category, each.text, each.on)
        if key in seen:
            continue
        seen.add(key)
        mark = "  异议中 disputed" if each.is_disputed else ""
        sources = "\n".join(f"{source.platform} {source.as_of[:10]}".strip() for source in each.sources)
        province = _PROVINCES.get(each.province, each.province)
        text = f"行业 industry {each.text}" if each.fact == "permit_required" else each.text
        category = _CATEGORIES.get(each.category, each.category)
        table.add_row(category, text + mark, each.on or "—", province, sources)
    return table


def _coverage(found: pb.GreenAssessment) -> Panel:
    return _gaps(found.missing, found.waived)


def _gaps(missing: Sequence[pb.GreenMissing], waived: Sequence[str]) -> Panel:
    lines: dict[tuple[int, str, str], list[str]] = {}
    for each in missing:
        lines.setdefault((each.kind, each.platform, each.detail), []).append(each.category)
    said = []
    for (kind, platform, detail), categories in lines.items():
        zh, en = _MISSING.get(kind, ("缺失", "missing"))  # type: ignore[call-overload]  # enums are ints at run time
        named = ", ".join(_CATEGORIES.get(category, category) for category in categories if category)
        where = " ".join(part for part in (platform, named) if part)
        said.append(f"✗ {where}: {zh} {en}{f' ({_detail(detail)})' if detail else ''}")
    said += [f"○ 本行已决定不予要求 waived by the bank: {each}" for each in waived]
    text = "\n".join(said) or "✓ 必需来源、类目与名单年度齐全 every required source, category and list year is there"
    return Panel(Text(text), title="覆盖 Coverage", border_style="magenta" if missing else "green", expand=True)


def _nearly(found: pb.GreenAssessment) -> Panel | None:
    """Gives which rules are one fact short of firing, by fact.

    Left out is what other panels say: gaps, rules that fired, and what else a fact would do that fired one.
    """
    fired = {reason.rule for reason in found.reasons}
    read = {fact.name for reason in found.reasons for fact in reason.because}
    by_fact: dict[str, list[pb.GreenNearRule]] = {}
    for near in found.nearly:
        rule = near.row.partition(".")[0]
        if rule != _GAP and rule not in fired and near.actual.name not in read:
            by_fact.setdefault(near.actual.name, []).append(near)
    lines: list[Text] = []
    for rules in by_fact.values():
        actual = rules[0].actual
        zh = "；".join(f"若 {near.wanted_zh} 则 {near.row.partition('.')[0]}" for near in rules)
        en = "; ".join(f"{near.row.partition('.')[0]} if {near.wanted_en}" for near in rules)
        lines.append(Text(f"▹ {actual.title_zh}：{actual.said_zh}；{zh}"))
        lines.append(Text(f"  {actual.title_en}: {actual.said_en}; {en}", style="dim"))
    if not lines:
        return None
    return Panel(Text("\n").join(lines), title="差一项事实即触发的规则 Rules one fact short of firing", expand=True)


def _changes(found: pb.GreenAssessment) -> Panel:
    is_better = _rank(found.changes[0].measure, found.changes[0].admission) < _rank(found.measure, found.admission)
    lines = []
    if not is_better:
        lines.append(Text("结论不会因少数事实变化而转好，只会如下变化 nothing small would better it; it would become:"))
        if found.missing:
            lines.append(Text("缺失信息补齐后重新评估 supply what is missing, then assess again", style="magenta"))
    for change in found.changes:
        zh = " 且 ".join(
            f"{each.actual.title_zh}：{each.actual.said_zh} → {each.other.said_zh}" for each in change.facts
        )
        en = " and ".join(
            f"{each.actual.title_en}: {each.actual.said_en} → {each.other.said_en}" for each in change.facts
        )
        measure, admission = _MEASURES[change.measure], _ADMISSIONS[change.admission]
        lines.append(Text(f"▸ 若 {zh}"))
        lines.append(Text(f"  if {en}", style="dim"))
        lines.append(Text(f"  则 then {measure[0]} {measure[1]} · {admission[0]} {admission[1]}", style=measure[2]))
    title = (
        "使结论转好的最小变化 The smallest change that would better it" if is_better else "最小变化 Smallest changes"
    )
    return Panel(Text("\n").join(lines), title=title, expand=True)


def _rank(measure: int, admission: int) -> tuple[int, int]:
    return _SEVERITY.get(measure, 0), admission  # type: ignore[call-overload]  # enums are ints at run time
