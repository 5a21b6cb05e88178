"""Questions that policies cannot tell apart are decided once: no caller makes the engine decide anew by inventing names."""

from __future__ import annotations

import itertools

import pytest

from gateway.adapters.rights.alike import comparisons
from gateway.adapters.rights.cedar import CedarRights, decide
from gateway.adapters.rights.policies import Policies, compile_policies
from gateway.adapters.rights.sources import PolicySources
from gateway.domain.caller import Caller, Role
from gateway.domain.rights import Resource
from tests.adapters.policies import CERTIFICATE, CONFIG, caller, rights

GET = "CreditService/GetCreditView"
QUERY = caller(Role.BANK_QUERY)
CONDITIONS = (
    'resource.branch == "north"',
    '!(["north", "south"].contains(resource.branch))',
    "resource.branch == principal.branch",
    "principal.operator == resource.branch || principal.province == resource.province",
    'resource.branch like "n*"',
    'resource.branch like "*o*t*" && !(resource.branch like "*uth")',
    'resource.branch like "a*ba"',
    'resource.branch like "\\*"',
    '{where: resource.branch, who: principal.operator} == {where: "north", who: "teller"}',
    'if principal.branch == "" then resource.branch != "" else principal["branch"] == "south"',
)
NAMES = ("", "north", "south", "notsouth", "aba", "abba", "*", "\u5317", "31")


def of(condition: str) -> Policies:
    text = f'@id("own") permit (principal, action, resource is Credit) when {{ {condition} }};'
    schema = (CONFIG / "policies" / "schema.cedarschema").read_text(encoding="utf-8")
    return compile_policies(PolicySources(schema, {"own.cedar": text}))


def asked_for(branch: str, province: str = "31") -> Resource:
    return Resource("PRE_LOAN", "PENALTY", province, branch)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_is_decided_alike_is_decided_as_each_would_be_by_itself(condition: str) -> None:
    policies = of(condition)
    decided = CedarRights(policies)
    questions = [
        (Caller("bank-a", frozenset(), operator, branch, "31", CERTIFICATE), GET, asked_for(asked, province))
        for operator, branch, asked in itertools.product(("", "teller", "north"), ("", "south", "aba"), NAMES)
        for province in ("31", "north")
    ]

    kept = [decided.decide(*question) for question in questions]

    assert kept == [decide(policies, *question) for question in questions]
    assert len(set(kept)) == 2  # else the condition would tell nothing apart


def test_a_branch_that_no_policy_speaks_of_is_decided_like_any_other_such() -> None:
    decided = rights()
    first = decided.decide(QUERY, GET, asked_for("branch-1"))

    others = [decided.decide(QUERY, GET, asked_for(f"made-up-{number}")) for number in range(20)]
    together = decided.decide_each(QUERY, GET, (asked_for("another"), asked_for("one more", "99")))

    assert all(other is first for other in (*others, *together))


def test_so_is_a_branch_or_operator_that_a_token_states() -> None:
    decided = CedarRights(of('principal.branch != "north" && principal.operator like "t*"'))
    first = decided.decide(caller(Role.BANK_QUERY, branch="b-1", operator="t-1"), GET, asked_for("x"))

    other = decided.decide(caller(Role.BANK_QUERY, branch="b-2", operator="t-2"), GET, asked_for("y"))
    with_same_name = decided.decide(caller(Role.BANK_QUERY, branch="b-3", operator="t-3"), GET, asked_for("b-3"))

    assert other is first
    assert with_same_name is not first  # a policy may compare them


def test_a_bank_with_more_questions_than_are_kept_makes_no_others_be_forgotten() -> None:
    names = [f"branch-{number}" for number in range(40)]
    listed = ", ".join(f'"{name}"' for name in names)
    decided = CedarRights(of(f"[{listed}].contains(resource.branch)"), most_kept=10)
    modest = caller(Role.BANK_QUERY, bank="bank-b")
    first = decided.decide_each(modest, GET, (asked_for("branch-1"),))

    for name in names:
        decided.decide(QUERY, GET, asked_for(name))
    again = decided.decide_each(modest, GET, (asked_for("branch-1"), asked_for("branch-1")))

    assert again[0] is first[0]


def test_a_policy_is_searched_for_texts_wherever_it_has_them() -> None:
    policies = of('{a: ["x"], b: if resource.branch like "p*q" then "y" else "z"} == {a: ["w"], b: "y"}')

    found = comparisons([policy.parsed for policy in policies.by_id.values()])

    assert found.stated == {"x", "y", "z", "w"}
    assert found.patterns == (("p", "q"),)
