"""Decisions by policies: denied by default, forbidden before permitted, and nothing half understood is in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.rights.cedar import CedarRights, decide
from gateway.adapters.rights.policies import compile_policies, unknown_banks
from gateway.adapters.rights.sources import PolicySources
from gateway.application.rights import permitted_categories
from gateway.domain.caller import Caller, Role, development_caller
from gateway.domain.errors import ConfigError
from gateway.domain.rights import DENY_BY_DEFAULT, METHOD, NOT_DECIDABLE, Decision, Resource
from tests.adapters.policies import CERTIFICATE, CONFIG, caller, compiled, rights
from tests.adapters.rpc_methods import METHODS
from tests.adapters.simulated import COVERED, asking

GET = "CreditService/GetCreditView"
TAX = Resource("PRE_LOAN", "TAX_PAYMENT", "31", "branch-1")
QUERY = caller(Role.BANK_QUERY)


def schema() -> str:
    return (CONFIG / "policies" / "schema.cedarschema").read_text(encoding="utf-8")


def only(text: str) -> CedarRights:
    return CedarRights(compile_policies(PolicySources(schema(), {"own.cedar": text})))


def test_what_no_policy_permits_is_denied() -> None:
    decided = rights().decide(QUERY, "AdminService/PurgeAnswers", METHOD)

    assert decided == Decision(False, DENY_BY_DEFAULT)


def test_a_forbid_beats_every_permit_and_is_named(tmp_path: Path) -> None:
    own = '@id("no-tax") forbid (principal in Bank::"bank-a", action, resource) when { resource is Credit && resource.category == Category::"TAX_PAYMENT" };'

    decided = rights(tmp_path, own=own)

    assert decided.decide(QUERY, GET, TAX) == Decision(False, "no-tax")
    assert decided.decide(caller(Role.BANK_QUERY, bank="bank-b"), GET, TAX) == Decision(True, "query-ask")
    assert decided.decide(QUERY, GET, Resource("PRE_LOAN", "PENALTY")) == Decision(True, "query-ask")


def test_policies_see_bank_province_branch_and_operator() -> None:
    decided = only(
        '@id("ours") permit (principal in Bank::"bank-a", action, resource is Credit) when {'
        ' resource.province == principal.province && resource.branch == principal.branch && principal.operator like "teller-*" };'
    )
    one = {"branch": "branch-1", "operator": "teller-7", "province": "31"}

    def may(**other: str) -> bool:
        return decided.decide(caller(**{**one, **other}), GET, TAX).is_allowed

    assert may()
    assert not may(bank="bank-b")
    assert not may(province="32")
    assert not may(branch="branch-2")
    assert not may(operator="guest-1")


def test_a_caller_of_one_branch_does_not_ask_in_the_name_of_another() -> None:
    decided = rights().decide(caller(Role.BANK_QUERY, branch="branch-2"), GET, TAX)

    assert decided == Decision(False, "branch-of-the-caller")


def test_a_development_caller_has_every_role_of_a_bank_and_no_operators() -> None:
    decided, somebody = rights(), development_caller("bank-a")

    assert decided.decide(somebody, GET, TAX).is_allowed
    assert decided.decide(somebody, GET, Resource("GREEN_REVIEW", "PENALTY")).is_allowed
    assert not decided.decide(somebody, "AdminService/PurgeAnswers", METHOD).is_allowed


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("No/Such", METHOD),
        (GET, Resource("PRE_LOAN")),
        (GET, Resource("", "PENALTY")),
        (GET, Resource("PRE_LOAN", "NO_SUCH")),
        ("AdminService/ShowPlatform", TAX),
        (GET, Resource("PRE_LOAN", "PENALTY", branch="\ud800")),
    ],
)
def test_what_fits_no_policys_terms_is_denied_even_where_all_is_permitted(action: str, resource: Resource) -> None:
    decided = only('@id("all") permit (principal, action, resource);').decide(QUERY, action, resource)

    assert decided == Decision(False, NOT_DECIDABLE)


def test_a_policy_that_cannot_be_evaluated_denies_though_it_forbids_only() -> None:
    decided = only(
        '@id("all") permit (principal, action, resource);'
        '@id("odd") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };'
    )

    assert decided.decide(QUERY, GET, TAX) == Decision(False, NOT_DECIDABLE)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_is_served_has_an_action(method: str) -> None:
    decided = only('@id("all") permit (principal, action, resource);').decide(QUERY, method, METHOD)

    assert decided == Decision(True, "all")


def test_a_decision_is_kept_until_the_policies_change() -> None:
    decided = rights()
    before = decided.decide(QUERY, GET, TAX)
    again = decided.decide(Caller("bank-a", frozenset({Role.BANK_QUERY}), "teller-9", certificate="cd" * 32), GET, TAX)

    decided.use(
        compile_policies(PolicySources(schema(), {"own.cedar": '@id("none") forbid (principal, action, resource);'}))
    )

    assert again is before  # neither the certificate nor an operator no policy asks about makes another question
    assert decided.decide(QUERY, GET, TAX) == Decision(False, "none")


def test_kept_decisions_are_those_made_anew() -> None:
    policies = compiled()
    decided = CedarRights(policies)
    questions = [
        (Caller(bank, frozenset({role}), branch=branch, certificate=CERTIFICATE), method, resource)
        for bank in ("bank-a", "bank-b")
        for role in Role
        for branch in ("", "branch-1", "branch-2")
        for method in (GET, "AdminService/ShowPlatform")
        for resource in (METHOD, TAX, Resource("GREEN_REVIEW", "PENALTY"))
    ]

    for _ in range(2):
        assert [decided.decide(*question) for question in questions] == [decide(policies, *q) for q in questions]


def test_categories_are_told_apart_by_what_policies_say(tmp_path: Path) -> None:
    own = '@id("no-tax") forbid (principal, action, resource is Credit) when { resource.category == Category::"TAX_PAYMENT" };'

    found = permitted_categories(rights(tmp_path, own=own), QUERY, asking(categories=COVERED))

    licence, penalty, tax_payment = COVERED
    assert found == ((licence, penalty), (tax_payment,), "no-tax,query-ask", "no-tax")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("permit (", "policies/own.cedar: unexpected end of input"),
        ("permit (principal, action, resource);", "policies/own.cedar: policy 1: give it an @id"),
        ('@id("deny-by-default") permit (principal, action, resource);', "is none, or is reserved"),
        ('@id("query-ask") permit (principal, action, resource);', "query-ask: policies/bank.cedar has a policy of that id"),
        ('@id("x") permit (principal == ?principal, action, resource);', "has a template"),
        ('@id("x") permit (principal in Role::"teller", action, resource);', 'policies/own.cedar: x: entity `Role::"teller"`'),
        ('@id("x") permit (principal, action, resource is Credit) when { resource.purpose == Purpose::"FUN" };', 'own.cedar: x: entity `Purpose::"FUN"`'),
        ('@id("x") permit (principal, action, resource is Credit) when { resource.category == Category::"DNA" };', 'own.cedar: x: entity `Category::"DNA"`'),
        ('@id("x") permit (principal, action == Action::"CreditService/Get", resource);', 'own.cedar: x: unrecognized action `Action::"CreditService/Get"`'),
        ('@id("x") permit (principal, action, resource) when { principal.age > 3 };', "own.cedar: x: attribute `age`"),
        ('@id("x") permit (principal, action, resource is Credit) when { resource.branch == 3 };', "own.cedar: x: "),
    ],
)  # fmt: skip
def test_a_broken_policy_is_named_by_file_and_id(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compiled(tmp_path, own=text)

    assert any(said in fault for fault in raised.value.faults), raised.value.faults


def test_a_bank_that_nobody_has_is_named_by_file_and_policy_wherever_it_stands(tmp_path: Path) -> None:
    policies = compiled(
        tmp_path,
        scope='@id("shut-out") forbid (principal in Bank::"bnak-a", action, resource);',
        either='@id("either") forbid (principal, action, resource)'
        ' when { principal.bank == Bank::"bank-a" || [Bank::"bank-b", Bank::"x\\"y"].contains(principal.bank) };',
        operators='@id("operators") forbid (principal, action, resource) unless { principal.bank != Bank::"" };',
        text='@id("text") forbid (principal, action, resource) when { principal.branch == "Bank::nobody" };',
    )

    assert unknown_banks(policies, {"bank-a", "bank-b"}) == (
        'policies/either.cedar: either: Bank::"x\\"y" is no bank of banks.toml; add it there, or take it out of the policy',
        "policies/scope.cedar: shut-out: Bank::\"bnak-a\" is no bank of banks.toml; is 'bank-a' meant?",
    )
    assert unknown_banks(compiled(), ()) == ()


def test_all_faults_of_all_files_are_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "latin.cedar").write_bytes(b"// \xff")

    with pytest.raises(ConfigError) as raised:
        compiled(tmp_path, a="permit (", b='@id("b") permit (principal in Role::"x", action, resource);')

    assert [fault.partition(": ")[0] for fault in raised.value.faults] == [
        "policies/latin.cedar",
        "policies/a.cedar",
        "policies/b.cedar",
    ]


def test_a_file_of_the_deployment_takes_its_namesakes_place_and_the_shipped_schema_stays(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "schema.cedarschema").write_text("entity Nothing;")

    policies = compiled(
        tmp_path, operator='@id("nobody-runs") forbid (principal, action in Action::"operation", resource);'
    )

    assert "operator-run" not in policies.by_id
    assert {"nobody-runs", "query-ask", "separate-auditors"} <= policies.by_id.keys()


def test_every_shipped_policy_says_in_both_languages_what_it_is_for() -> None:
    wordless = [policy.id for policy in compiled().by_id.values() if not (policy.en and policy.zh)]

    assert wordless == []
