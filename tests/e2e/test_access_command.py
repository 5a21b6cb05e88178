"""`xinyidai access check`, and policies in `xinyidai check-config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.access import access
from gateway.cli.check import app as check
from tests.adapters.policies import write
from tests.e2e.test_command import run

ASK = ("access", "check", "--method", "CreditService/GetCreditView", "--bank", "bank-a")


async def test_a_decision_is_explained_for_machines(tmp_path: Path) -> None:
    write(
        tmp_path,
        own='@id("no-tax") @en("Not taxes.") @zh("不含纳税。") forbid (principal in Bank::"bank-a", action, resource is Credit)'
        ' when { resource.category == Category::"TAX_PAYMENT" && resource.branch == "branch-1" };',
    )
    asked = ("--role", "bank-query", "--purpose", "pre-loan", "--category", "TAX_PAYMENT", "--province", "31")

    code, out, _ = await run(*ASK, *asked, "--branch", "branch-1", "--config", str(tmp_path), "--json")
    elsewhere, _, _ = await run(*ASK, *asked, "--branch", "branch-2", "--config", str(tmp_path), "--json")

    said = json.loads(out)
    assert (code, elsewhere, said["is_allowed"]) == (1, 0, False)
    method, category = said["decisions"]
    assert (method["is_allowed"], method["policy"]) == (True, "query-call")
    assert category["deciding"] == [
        {"id": "no-tax", "file": "policies/own.cedar", "effect": "forbid", "en": "Not taxes.", "zh": "不含纳税。"}
    ]


@pytest.mark.parametrize(
    ("language", "words"),
    [("C.UTF-8", ("denied", "needed: principal in")), ("zh_CN.UTF-8", ("拒绝", "尚需：principal in"))],
)
async def test_a_decision_is_explained_for_people(language: str, words: tuple[str, str]) -> None:
    code, out, _ = await run(*ASK, "--role", "platform-operator", "--role", "bank-query", language=language)
    near, told, _ = await run(
        "access", "check", "--method", "AdminService/PurgeAnswers", "--role", "bank-query", language=language
    )

    assert (code, near) == (1, 1)
    assert "separate-operators" in out
    assert all(word in told for word in words)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "No/Such"), "use one of"),
        (("--category", "PENALTY"), "--purpose"),
        (("--purpose", "FUN"), "PRE_LOAN, IN_LOAN"),
        (("--purpose", "PRE_LOAN", "--category", "DNA"), "TAX_PAYMENT"),
        (("--method", "AdminService/ShowPlatform", "--purpose", "PRE_LOAN"), "only credit methods"),
    ],
)
async def test_a_question_that_makes_no_sense_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = await run(*ASK, "--role", "bank-query", *arguments)

    assert (code, said in err) == (2, True)


BANKS = """
[banks.bank-a]
name_zh = "甲银行"
name_en = "Bank A"
province = "31"
certificates = [
  { san = "URI:a", roles = ["bank-query"] },
  { san = "DNS:a.example", roles = ["bank-query"] },
  { san = "URI:a-green", roles = ["bank-green-reviewer"] },
]
[banks.bank-b]
name_zh = "乙银行"
name_en = "Bank B"
[operators.ops]
name_zh = "运维"
name_en = "Operations"
certificates = [{ san = "URI:ops", roles = ["platform-operator"] }]
"""


def checked(folder: Path, *options: str) -> tuple[int, str]:
    """Asks in this process about the callers of banks.toml; gives the exit code and what was printed."""
    (folder / "banks.toml").write_text(BANKS, encoding="utf-8")
    shown = CliRunner().invoke(
        access, ["check", "--method", "CreditService/GetCreditView", *options, "--config", str(folder)]
    )
    return shown.exit_code, shown.output


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (("--bank", "bank-a"), 0, [("bank-a", ["bank-query"], True), ("bank-a", ["bank-green-reviewer"], True)]),
        (
            ("--bank", "bank-a", "--purpose", "GREEN_REVIEW", "--category", "PENALTY"),
            0,
            [("bank-a", ["bank-green-reviewer"], True), ("bank-a", ["bank-query"], False)],
        ),
        (
            ("--san", "URI:a-green", "--purpose", "PRE_LOAN", "--category", "PENALTY"),
            1,
            [("bank-a", ["bank-green-reviewer"], False)],
        ),
        (("--san", "URI:ops"), 1, [("", ["platform-operator"], False)]),
        (("--bank", "bank-a", "--role", "bank-auditor"), 1, [("bank-a", ["bank-auditor"], False)]),
        (("--role", "bank-query"), 0, [("", ["bank-query"], True)]),
    ],
)
def test_roles_are_those_of_banks_toml_where_none_are_supposed(
    tmp_path: Path, options: tuple[str, ...], code: int, expected: list[tuple[str, list[str], bool]]
) -> None:
    ended, out = checked(tmp_path, *options, "--json")

    said = json.loads(out)
    assert ended == code
    assert [(one["bank"], one["roles"], one["is_allowed"]) for one in (said, *said["others"])] == expected


def test_names_and_province_come_with_the_roles(tmp_path: Path) -> None:
    write(tmp_path, own='@id("home") forbid (principal, action, resource) when { principal.province == "31" };')

    _, here = checked(tmp_path, "--san", "URI:a", "--json")
    _, elsewhere = checked(tmp_path, "--san", "URI:a", "--caller-province", "32", "--json")
    _, both = checked(tmp_path, "--bank", "bank-a", "--caller-province", "32", "--json")

    assert [json.loads(each)["decisions"][0]["policy"] for each in (here, elsewhere)] == ["home", "query-call"]
    assert json.loads(both)["names"] == ["URI:a", "DNS:a.example"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--bank or --san"),
        (("--bank", "bnak-a"), "bank-a, bank-b"),
        (("--bank", "bank-b"), "no certificate"),
        (("--san", "URI:x"), "URI:a-green"),
        (("--san", "URI:a", "--bank", "bank-b"), "leave --bank out"),
        (("--san", "URI:a", "--role", "bank-query"), "--role or --san"),
    ],
)
def test_a_caller_that_banks_toml_does_not_have_ends_with_2(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, out = checked(tmp_path, *options)

    assert (code, said in out) == (2, True), out


def test_check_config_names_a_bank_that_is_misspelt_in_a_policy(tmp_path: Path) -> None:
    (tmp_path / "banks.toml").write_text(BANKS, encoding="utf-8")
    write(tmp_path, own='@id("shut-out") forbid (principal in Bank::"bnak-a", action, resource);')

    shown = CliRunner().invoke(check, ["--config", str(tmp_path)])

    assert shown.exit_code == 2
    assert "policies/own.cedar: shut-out: Bank::\"bnak-a\" is no bank of banks.toml; is 'bank-a' meant?" in shown.output


async def test_check_config_lists_broken_policies_by_file_and_id(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="permit (",
        b='@id("teller") permit (principal in Role::"teller", action, resource);',
        c="permit (principal, action, resource);",
    )

    code, _, err = await run("check-config", "--config", str(tmp_path))

    named = ("policies/a.cedar: ", "policies/b.cedar: teller: ", "policies/c.cedar: policy 1: ")
    assert (code, [name for name in named if name not in err]) == (2, [])
