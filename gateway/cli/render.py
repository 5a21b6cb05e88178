"""A credit view for the terminal: what is said, who said it, where platforms disagree, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.type.date_pb2 import Date
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, value_pb2, view_pb2
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2
from gateway.domain.answer import HEARD
from gateway.domain.catalogue import CATALOGUE, FieldPlan, RecordPlan
from gateway.domain.dates import CHINA, iso

_SAID_BY = 19
"""The width of the longest platform of ours with its day: broken lines read as two."""
_SINGLE = ("subjects", "registrations")
_COLUMNS = {
    "holders": ("holder_name", "holder_kind", "subscribed", "ratio_bp"),
    "licences": ("document_number", "document_name", "authority", "decided_on", "valid_to"),
    "penalties": ("document_number", "authority", "violation_type", "kinds", "fine", "decided_on"),
    "list_entries": ("list_code", "list_year", "basis", "authority", "listed_on"),
    "evaluations": ("scheme_id", "period", "raw_grade", "raw_score", "canonical_grade"),
    "tax_payments": ("period", "region", "vat_payable", "vat_paid", "arrears"),
    "social_insurances": ("period", "region", "insured_count", "paid", "arrears"),
    "judicial_cases": ("case_number", "court", "role", "amount", "filed_on"),
}


def show(console: Console, response: credit_service_pb2.GetCreditViewResponse) -> None:
    """Prints a whole view with its delivery."""
    view = response.view
    console.print(_header(view, response.delivery))
    for plan in CATALOGUE.plans:
        records = getattr(view.records, plan.records_field)
        if records:
            console.print(_section(plan, records))
    if view.totals:
        console.print(_totals(view))
    console.print(_answers(view, response.delivery))
    console.print(_missing(view))


def _title(plan: RecordPlan) -> str:
    return f"{plan.options.title_zh} {plan.message.DESCRIPTOR.name}"


def _header(view: view_pb2.CreditView, delivery: credit_service_pb2.ViewDelivery) -> Panel:
    name = view.records.subjects[0].name if view.records.subjects else "—"
    known = f"{view.completeness_bp / 100:.2f} %" if view.HasField("completeness_bp") else "unset 无"
    purpose = view_pb2.Purpose.Name(view.query.purpose).removeprefix("PURPOSE_")
    lines = [
        f"  {view.query.uscc}",
        f"用途 purpose {purpose} · 视图日期 as of {iso(view.as_of)} · 登记所在省 home province {view.home_province or '—'}",
        f"完整度 completeness {known} · 冲突 conflicts {view.conflict_count} · 许可 permit {view.permit.kind}",
        f"回执 answer {delivery.answer_id}",
        f"视图 view {view.view_id}",
    ]
    return Panel(Text.assemble((name, "bold"), "\n".join(lines)), title="统一信用视图 Merged credit view", expand=True)


def _section(plan: RecordPlan, records: Sequence[Any]) -> RenderableType:
    if plan.records_field in _SINGLE:
        return _single(plan, records[0])
    names = _COLUMNS.get(plan.records_field)
    fields = [plan.field(name) for name in names] if names else _stated(plan, records)[:5]
    table = Table(title=f"{_title(plan)} ({len(records)})", title_justify="left", expand=True)
    for field in fields:
        table.add_column(field.options.title_zh, overflow="fold")
    table.add_column("来源 said by", overflow="fold", min_width=_SAID_BY)
    notes = []
    for record in _newest_first(fields, records):
        table.add_row(*(text_of(field, record) for field in fields), _said_by(record.envelope))
        notes += [conflict_line(plan, conflict) for conflict in record.envelope.conflicts]
        if record.envelope.possible_duplicate_of:
            notes.append(Text("  ≈ 可能重复 possible duplicate of another record", style="yellow"))
    return Group(table, *notes)


def _newest_first(fields: Sequence[FieldPlan], records: Sequence[Any]) -> list[Any]:
    """Gives the records as a reader looks for them: by the period or the last of the days shown, the newest first.

    In a view they stand in the order of their keys, which are digests. Records without a day stay in that order, last.
    """
    dated = [field for field in fields if field.name == "period" or field.name.endswith("_on")][-1:]
    return sorted(
        records, key=lambda record: [text_of(f, record) if f.is_set(record) else "" for f in dated], reverse=True
    )


def _single(plan: RecordPlan, record: Any) -> RenderableType:
    conflicts = {conflict.field: conflict for conflict in record.envelope.conflicts}
    table = Table(title=_title(plan), title_justify="left", expand=True, show_header=False)
    table.add_column("", ratio=2)
    table.add_column("", ratio=5, overflow="fold")
    for field in _stated(plan, [record]):
        if field.name.endswith("_raw"):
            continue
        value = text_of(field, record)
        if field.name in conflicts:
            value += "\n" + conflict_line(plan, conflicts[field.name]).plain.strip()
        style = "yellow" if field.name in conflicts else ""
        table.add_row(f"{field.options.title_zh} {field.name}", value, style=style)
    table.add_row("来源 said by", _said_by(record.envelope))
    return table


def _stated(plan: RecordPlan, records: Sequence[Any]) -> list[FieldPlan]:
    return [f for f in plan.fields if any(f.is_set(record) for record in records)]


def conflict_line(plan: RecordPlan, conflict: envelope_pb2.Conflict) -> Text:
    """Gives one conflict with every value, the chosen one first, and the rule that chose."""
    rule = envelope_pb2.ChoiceRule.Name(conflict.rule).removeprefix("CHOICE_RULE_").lower()
    values = "; ".join(f"{v.platform}: {_value(v.value)}" for v in conflict.values)
    return Text(f"  ⚠ 冲突 {conflict.field} — {values} → {conflict.chosen_platform} by {rule}", style="yellow")


def _value(value: envelope_pb2.FieldValue) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return "—"
    return _text(getattr(value, kind))


def text_of(field: FieldPlan, record: Any) -> str:
    """Gives a field's value for reading; a dash where it is not stated."""
    if not field.is_set(record):
        return "—"
    value = getattr(record, field.name)
    if field.enum_names is not None:
        values = value if field.is_repeated else [value]
        return ", ".join(_short(field.enum_names, number) for number in values)
    if field.is_repeated:
        return ", ".join(value)
    if field.is_authority:
        return str(value.name or value.code)
    if field.options.unit == "bp":
        return f"{value / 100:.2f} %"
    return _text(value)


def _short(names: Any, number: int) -> str:
    # Enum values share their enum's name as prefix; what is left is what differs.
    prefix = str(names[0]).removesuffix("UNSPECIFIED")
    return str(names.get(number, number)).removeprefix(prefix)


def _text(value: Any) -> str:
    if isinstance(value, value_pb2.Money):
        sign = "-" if value.minor_units < 0 else ""
        if value.currency == "JPY":  # ISO 4217: the yen is its own minor unit
            return f"{value.minor_units:,} {value.currency}"
        whole, part = divmod(abs(value.minor_units), 100)
        return f"{sign}{whole:,}.{part:02d} {value.currency}"
    if isinstance(value, Date):
        return iso(value)
    if isinstance(value, bool):
        return "是 yes" if value else "否 no"
    return str(value)


def _said_by(envelope: envelope_pb2.RecordEnvelope) -> str:
    parts = []
    for said in envelope.provenances:
        text = said.platform
        if said.HasField("as_of"):
            text += f" {said.as_of.ToDatetime(CHINA):%Y-%m-%d}"
        if said.match_method == envelope_pb2.MATCH_METHOD_REGISTRATION_NUMBER:
            text += " (注册号 reg. no.)"
        parts.append(text)
    return "\n".join(parts)


def _totals(view: view_pb2.CreditView) -> Table:
    table = Table(title="合计 Totals over regions", title_justify="left", expand=True)
    for column in ("类目 category", "字段 field", "周期 period", "地区 regions", "合计 sum"):
        table.add_column(column, overflow="fold")
    for total in view.totals:
        kind = total.WhichOneof("sum")
        value = _text(getattr(total, kind)) if kind else f"不合计 not summed: {total.not_summed_reason}"
        category = options_pb2.Category.Name(total.category).removeprefix("CATEGORY_")
        table.add_row(category, total.field, total.period, ", ".join(total.regions), value)
    return table


def _answers(view: view_pb2.CreditView, delivery: credit_service_pb2.ViewDelivery) -> Table:
    table = Table(title="应答 Answers of the platforms", title_justify="left", expand=True)
    for column in (
        "平台 platform",
        "结果 outcome",
        "时延 latency",
        "记录 records",
        "数据龄 age",
        "覆盖 coverage",
        "一致 agreement",
    ):
        table.add_column(column, overflow="fold")
    fetched = {answer.platform: answer for answer in delivery.answers}
    for answer in view.answers:
        outcome = view_pb2.Outcome.Name(answer.outcome).removeprefix("OUTCOME_")
        if answer.reason:
            outcome += f" ({answer.reason})"
        sent = fetched.get(answer.platform)
        covered = sum(c.outcome != view_pb2.OUTCOME_NOT_COVERED for c in answer.categories)
        table.add_row(
            answer.platform,
            outcome,
            _fetched(sent) if sent is not None else "—",
            str(sum(c.record_count for c in answer.categories)),
            f"{answer.age_days} d" if answer.HasField("age_days") else "—",
            f"{covered}/{len(answer.categories)}",
            f"{answer.agreement_bp / 100:.0f} %" if answer.HasField("agreement_bp") else "—",
            style="" if answer.outcome in HEARD else "red",
        )
    return table


def _fetched(sent: credit_service_pb2.AnswerDelivery) -> str:
    """Gives how an answer was come by: in what time and how many attempts, or for how long it had been kept."""
    attempts = f" ×{sent.attempts}" if sent.attempts > 1 else ""
    asked = f"{sent.latency.seconds * 1000 + sent.latency.nanos / 1e6:.0f} ms{attempts}"
    if not sent.HasField("cache_age"):
        return asked
    kept = f"缓存 kept {sent.cache_age.seconds} s"
    if not sent.stale_because:
        return kept
    return f"{asked} {view_pb2.Outcome.Name(sent.stale_because).removeprefix('OUTCOME_')}, {kept}"


def _missing(view: view_pb2.CreditView) -> RenderableType:
    lines: list[str] = []
    unheard = [a for a in view.answers if a.outcome not in HEARD]
    for answer in unheard:
        outcome = view_pb2.Outcome.Name(answer.outcome).removeprefix("OUTCOME_")
        lines.append(
            f"✗ {answer.platform}: {outcome} — 其所掌握的信息未知，不等于没有记录。What it holds is unknown, not clean."
        )
    for coverage in view.coverage:
        category = options_pb2.Category.Name(coverage.category).removeprefix("CATEGORY_")
        if coverage.missing_years:
            years = _years(coverage.missing_years)
            lines.append(f"· {category}: 缺少名单年度 list years not provided: {years}")
        if not coverage.record_count and not coverage.is_known_empty and not coverage.missing_years:
            who = ", ".join(coverage.missing) or "nobody covers it 无平台覆盖"
            lines.append(f"· {category}: 无记录但不完整 no records seen, not known to be none (missing: {who})")
    empty = [options_pb2.Category.Name(c.category).removeprefix("CATEGORY_") for c in view.coverage if c.is_known_empty]
    if empty:
        lines.append(f"✓ 确认无记录 known to be none: {', '.join(empty)}")
    lines += _withheld(view.permit)
    return Panel("\n".join(lines) or "—", title="缺失 What is missing", expand=True)


def _withheld(permit: view_pb2.PermitScope) -> Iterable[str]:
    """Gives a line for everything the permit leaves out, and one for all that it masks."""
    masked = []
    for entry in permit.withheld:
        category = options_pb2.Category.Name(entry.category).removeprefix("CATEGORY_")
        if entry.field:
            masked.append(f"{category}.{entry.field}")
            continue
        where = f" at {', '.join(entry.platforms)}" if entry.platforms else ""
        yield f"⊘ {category}{where}: 未获授权，未查询 withheld, not asked ({entry.reason})"
    if masked:
        yield f"⊘ 已脱敏 masked: {', '.join(masked)}"


def _years(missing: Iterable[view_pb2.MissingYear]) -> str:
    by_platform: dict[str, list[str]] = {}
    for entry in missing:
        by_platform.setdefault(entry.platform, []).append(str(entry.year))
    return "; ".join(f"{platform} {', '.join(years)}" for platform, years in by_platform.items())
