"""A decision explained: who decided, and what the nearest permit would have needed."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.rights.explain import explain
from gateway.domain.caller import Role
from gateway.domain.rights import METHOD, Resource
from tests.adapters.policies import caller, compiled

GET = "CreditService/GetCreditView"


def test_what_is_allowed_names_the_policies_that_permitted() -> None:
    found = explain(compiled(), caller(Role.BANK_QUERY), GET, METHOD)

    assert found.decision.is_allowed
    assert [policy.id for policy in found.deciding] == ["query-call"]
    assert found.nearest == ()


def test_what_is_forbidden_names_what_forbids_it_and_no_permit() -> None:
    found = explain(compiled(), caller(Role.BANK_AUDITOR), GET, METHOD)

    assert [(policy.id, policy.file) for policy in found.deciding] == [
        ("separate-auditors", "policies/separation.cedar")
    ]
    assert found.nearest == ()


def test_another_role_is_nearer_than_another_question() -> None:
    found = explain(compiled(), caller(Role.BANK_QUERY), "AdminService/ShowPlatform", METHOD)

    assert {near.policy.id: near.unmet for near in found.nearest} == {
        "operator-run": ('principal in Role::"platform-operator"',),
        "admin-look": ('principal in Role::"gateway-admin"',),
    }


def test_each_unmet_part_of_a_condition_is_told_by_itself(tmp_path: Path) -> None:
    bank = (
        '@id("near") permit (principal in Bank::"bank-a", action, resource is Credit) when {'
        ' resource.purpose == Purpose::"IN_LOAN" && resource.province == "31" } unless { resource.branch == "shut" };'
    )
    policies = compiled(tmp_path, bank=bank)  # in place of the shipped file of that name

    found = explain(policies, caller(Role.BANK_QUERY), GET, Resource("PRE_LOAN", "PENALTY", "32", "open"))

    assert [(near.policy.id, near.unmet) for near in found.nearest] == [
        ("near", ('when { (resource.purpose) == Purpose::"IN_LOAN" }', 'when { (resource.province) == "31" }'))
    ]
