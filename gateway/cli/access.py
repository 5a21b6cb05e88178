"""`xinyidai access check`: a decision of the policies explained, from the configuration alone, without a running gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway.adapters.rights.explain import Explanation, explain
from gateway.adapters.rights.policies import Policies, Policy, compile_policies
from gateway.cli.options import AsJson, console, fail
from gateway.cli.supposed import Supposed, supposed_callers
from gateway.cli.words import is_chinese, say
from gateway.domain.caller import Caller, Role
from gateway.domain.errors import ConfigError
from gateway.domain.rights import METHOD, Resource, broken_separations
from gateway.settings import load_settings

_CREDIT: Final = "CreditService/"

access = typer.Typer(name="access", no_args_is_help=True, add_completion=False)


@dataclass(frozen=True, slots=True)
class _Report:
    """What was decided of one caller, question by question."""

    who: Supposed
    answers: Sequence[tuple[Resource, Explanation]]

    @property
    def is_allowed(self) -> bool:
        return all(answer.decision.is_allowed for _, answer in self.answers)


@access.callback()
def _group() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@access.command(
    help=say(
        "Explain whether a caller may call a method and ask for a category; exits 1 when it may not.",
        "说明某调用方可否调用某方法、查询某类目； 不可则以 1 退出。",
    )
)
def check(
    method: Annotated[
        str, typer.Option(help=say("Such as CreditService/GetCreditView.", "方法，如 CreditService/GetCreditView。"))
    ],
    role: Annotated[
        list[Role] | None,
        typer.Option(help=say("A role to suppose; may be repeated.", "假设的调用方角色，可重复。")),
    ] = None,
    bank: Annotated[
        str,
        typer.Option(help=say("The bank; its roles are those in banks.toml.", "银行；未给出角色时取 banks.toml。")),
    ] = "",
    san: Annotated[
        str,
        typer.Option(help=say("Name of a certificate in banks.toml.", "banks.toml 中的证书名称。")),
    ] = "",
    operator: Annotated[str, typer.Option(help=say("The bank's own user.", "银行经办人。"))] = "",
    purpose: Annotated[str, typer.Option(help=say("Why: PRE_LOAN, IN_LOAN, …", "用途：PRE_LOAN、IN_LOAN 等。"))] = "",
    category: Annotated[
        list[str] | None,
        typer.Option(help=say("Only these categories; all by default.", "仅限这些类目，默认全部。")),
    ] = None,
    province: Annotated[
        str,
        typer.Option(help=say("Of the enterprise's code, two digits.", "企业代码所属省份（两位）。")),
    ] = "",
    branch: Annotated[str, typer.Option(help=say("In whose name is asked.", "以哪一分支机构名义查询。"))] = "",
    caller_branch: Annotated[
        str, typer.Option("--caller-branch", help=say("The user's own branch.", "经办人所属分支机构。"))
    ] = "",
    caller_province: Annotated[
        str, typer.Option("--caller-province", help=say("The bank's province.", "银行所属省份。"))
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help=say("Folder whose files override the shipped ones.", "配置目录，逐文件覆盖内置配置。")
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prints the decision on the method, and with a purpose those on the categories; for each duty that a bank has."""
    try:
        settings = load_settings(config)
        policies = compile_policies(settings.policies.read())
    except ConfigError as error:
        raise fail([say("The configuration has faults:", "配置有误："), *error.faults], 2) from error
    try:
        questions = _questions(policies, method, purpose, category or [], province, branch)
        stated = Caller(bank, frozenset(role or ()), operator, caller_branch, caller_province)
        callers = supposed_callers(settings.banks, stated, san)
    except ValueError as error:
        raise fail([str(error)], 2) from error
    reports = [
        _Report(one, [(resource, explain(policies, one.caller, method, resource)) for resource in questions])
        for one in callers
    ]
    reports.sort(key=lambda report: not report.is_allowed)  # of a bank's duties, first the one that may
    if as_json:
        first, *others = (_as_json(policies, method, report) for report in reports)
        typer.echo(json.dumps({**first, "others": others}, ensure_ascii=False, indent=2))
    else:
        for report in reports:
            _show(method, report)
    if not reports[0].is_allowed:
        raise typer.Exit(1)


def _questions(
    policies: Policies, method: str, purpose: str, categories: Sequence[str], province: str, branch: str
) -> list[Resource]:
    if method not in policies.methods:
        known = "\n  ".join(policies.methods)
        raise ValueError(say(f"no method {method!r}; use one of\n  {known}", f"没有方法 {method!r}；可用：\n  {known}"))
    if not purpose and not categories:
        return [METHOD]
    if not method.startswith(_CREDIT):
        raise ValueError(say("only credit methods have a purpose and categories", "仅信用查询方法有用途和类目"))
    if not purpose:
        raise ValueError(say("state a --purpose with the categories", "请同时给出 --purpose"))
    asked = [_known(each, "CATEGORY_", Category.keys()) for each in categories]
    every = [name.removeprefix("CATEGORY_") for name in Category.keys()[1:]]
    stated = _known(purpose, "PURPOSE_", Purpose.keys())
    return [METHOD, *(Resource(stated, each, province, branch) for each in asked or every)]


def _known(name: str, prefix: str, known: Sequence[str]) -> str:
    stated = name.upper().replace("-", "_").removeprefix(prefix)
    if prefix + stated not in known or stated == "UNSPECIFIED":
        choices = ", ".join(each.removeprefix(prefix) for each in known[1:])
        raise ValueError(say(f"{name!r} is unknown; use one of {choices}", f"未知的 {name!r}；可用：{choices}"))
    return stated


def _as_json(policies: Policies, method: str, report: _Report) -> dict[str, Any]:
    caller = report.who.caller
    return {
        "is_allowed": report.is_allowed,
        "bank": caller.bank,
        "names": report.who.names,
        "roles": sorted(caller.roles),
        "method": method,
        "policies_version": policies.version,
        "separations_broken": [
            {"roles": [pair.one, pair.other], "en": pair.why_en, "zh": pair.why_zh}
            for pair in broken_separations(caller.roles)
        ],
        "decisions": [
            {
                **({} if resource is METHOD else resource._asdict()),
                "is_allowed": answer.decision.is_allowed,
                "policy": answer.decision.policy,
                "deciding": [_policy(policy) for policy in answer.deciding],
                "nearest": [{**_policy(near.policy), "unmet": near.unmet} for near in answer.nearest],
            }
            for resource, answer in report.answers
        ],
    }


def _policy(policy: Policy) -> dict[str, str]:
    effect = "permit" if policy.is_permit else "forbid"
    return {"id": policy.id, "file": policy.file, "effect": effect, "en": policy.en, "zh": policy.zh}


def _show(method: str, report: _Report) -> None:
    out, caller = console(), report.who.caller
    for pair in broken_separations(caller.roles):
        why = pair.why_zh if is_chinese() else pair.why_en
        out.print(
            say(
                f"No entry may hold {pair.one} and {pair.other}: {why}.",
                f"{pair.one} 与 {pair.other} 不得兼任：{why}。",
            )
        )
    whose = "   ".join(part for part in (method, caller.bank, ", ".join(sorted(caller.roles))) if part)
    table = Table(title=escape(whose), expand=True, show_lines=True)
    columns = ("问题 question", "结论 decision", "依据 why")
    for column, ratio in zip(columns, (3, 2, 7), strict=True):
        table.add_column(column, ratio=ratio, overflow="fold")
    for resource, answer in report.answers:
        asked = say("the method", "方法") if resource is METHOD else f"{resource.purpose} {resource.category}"
        decided = say("allowed", "允许") if answer.decision.is_allowed else say("denied", "拒绝")
        table.add_row(asked, decided, escape(_why(answer)))
    out.print(table)


def _why(answer: Explanation) -> str:
    if answer.deciding:
        return "\n".join(f"{policy.id} ({policy.file})\n{_words(policy)}" for policy in answer.deciding)
    lines = [say("No policy permits it. Nearest:", "没有策略允许。最接近者：")]
    for near in answer.nearest:
        lines.append(f"{near.policy.id} ({near.policy.file})  {_words(near.policy)}")
        lines += [say(f"  it would have needed: {demand}", f"  尚需：{demand}") for demand in near.unmet]
    return "\n".join(lines)


def _words(policy: Policy) -> str:
    return (policy.zh or policy.en) if is_chinese() else (policy.en or policy.zh)
