"""`xinyidai access check`, and policies in `xinyidai check-config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
