"""What the shipped policies permit, as a table written by hand: role × method × purpose × category."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway.domain.caller import Role
from gateway.domain.rights import METHOD, Resource
from tests.adapters.policies import caller, compiled, rights
from tests.adapters.rpc_methods import METHODS

_LOAN: Final = "PRE_LOAN IN_LOAN POST_LOAN GUARANTEE OBJECTION SELF"
_ALL: Final = (
    "SUBJECT REGISTRATION HOLDER LICENCE PENALTY LIST_ENTRY ABNORMAL_OPERATION HONOUR EVALUATION TAX_PAYMENT "
    "SOCIAL_INSURANCE HOUSING_FUND UTILITY JUDICIAL_CASE ENCUMBRANCE QUALIFICATION TRADE INSPECTION COMMITMENT"
)
_GREEN: Final = "SUBJECT REGISTRATION LICENCE PENALTY LIST_ENTRY ABNORMAL_OPERATION HONOUR EVALUATION"

# method, the roles that may call it
CALLS: Final = """
CreditService/GetCreditView             bank-query bank-green-reviewer
CreditService/StreamCreditView          bank-query bank-green-reviewer
CreditService/BatchGetCreditViews       bank-query bank-green-reviewer
GreenCreditService/AssessEnterprise     bank-green-reviewer
GreenCreditService/AssessEnterprises    bank-green-reviewer
GreenCreditService/RecogniseEnterprise  bank-green-reviewer
ConsentService/RegisterConsent          bank-query
ConsentService/GetConsent               bank-query bank-green-reviewer
ConsentService/ListConsents             bank-query bank-green-reviewer
ConsentService/RevokeConsent            bank-query
ConsentService/PauseConsent             bank-query
ConsentService/ResumeConsent            bank-query
CatalogueService/DescribeCatalogue      bank-query bank-green-reviewer platform-operator gateway-admin
PlatformService/ListPlatforms           bank-query bank-green-reviewer platform-operator gateway-admin
PlatformService/GetPlatform             bank-query bank-green-reviewer platform-operator gateway-admin
AuditService/ExportEntries              bank-auditor
AdminService/ShowPlatform               platform-operator gateway-admin
AdminService/PurgeAnswers               platform-operator
ArchiveService/GetArchivedView          bank-query bank-auditor
ArchiveService/GetSealedView            bank-auditor
ArchiveService/SealViews                platform-operator gateway-admin
JointListService/ListJointLists         bank-query bank-green-reviewer platform-operator
JointListService/GetEntries             bank-query bank-green-reviewer platform-operator
JointListService/SearchEntries          bank-query bank-green-reviewer platform-operator
JointListService/WatchEntries           bank-query bank-green-reviewer platform-operator
JointListService/ScreenEnterprises      bank-query bank-green-reviewer platform-operator
JointListService/GetListStatistics      bank-query bank-green-reviewer platform-operator
JointListService/PublishEntry           platform-operator
JointListService/ConfirmEntry           platform-operator
JointListService/AmendEntry             platform-operator
JointListService/DisputeEntry           platform-operator
JointListService/WithdrawEntry          platform-operator
JointListService/RepairEntry            platform-operator
JointListService/LoadListFile           platform-operator
JointListService/DrawInspectionSample   platform-operator
RepairService/ProposeRepair             platform-operator
RepairService/ConfirmRepair             platform-operator
RepairService/LiftRepair                platform-operator
RepairService/ListRepairs               platform-operator
RepairService/ListStaleCopies           platform-operator
"""
# role: purposes, categories it may ask by the methods of CreditService
ASKS: Final = {
    Role.BANK_QUERY: (_LOAN, _ALL),
    Role.BANK_GREEN_REVIEWER: ("GREEN_REVIEW", _GREEN),
}
MAY_CALL: Final = {line.split()[0]: set(line.split()[1:]) for line in CALLS.strip().splitlines()}
PURPOSES: Final = [name.removeprefix("PURPOSE_") for name in Purpose.keys()[1:]]
CATEGORIES: Final = [name.removeprefix("CATEGORY_") for name in Category.keys()[1:]]


def test_the_table_has_every_method_that_is_served_and_every_one_of_the_schema() -> None:
    assert set(METHODS) <= MAY_CALL.keys()
    assert sorted(compiled().methods) == sorted(MAY_CALL)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_call_what_the_table_says_and_nothing_else(role: Role) -> None:
    decided = rights()

    may = {method for method in MAY_CALL if decided.decide(caller(role), method, METHOD).is_allowed}

    assert may == {method for method, roles in MAY_CALL.items() if role in roles}


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_ask_what_the_table_says_and_nothing_else(role: Role) -> None:
    decided = rights()
    purposes, categories = ASKS.get(role, ("", ""))

    cases = list(product(MAY_CALL, PURPOSES, CATEGORIES))
    may = {
        (method, purpose, category)
        for method, purpose, category in cases
        if decided.decide(caller(role), method, Resource(purpose, category)).is_allowed
    }

    credit = [method for method in MAY_CALL if method.startswith("CreditService/")]
    assert len(cases) == len(MAY_CALL) * 7 * 19
    assert may == set(product(credit, purposes.split(), categories.split()))


def test_no_role_at_all_may_do_nothing() -> None:
    decided = rights()

    may = [method for method in MAY_CALL if decided.decide(caller(), method, METHOD).is_allowed]

    assert may == []


@pytest.mark.parametrize("role", [Role.BANK_AUDITOR, Role.PLATFORM_OPERATOR, Role.GATEWAY_ADMIN])
def test_duties_stay_apart_even_where_an_entry_holds_them_together(role: Role) -> None:
    decided = rights().decide(caller(role, Role.BANK_QUERY), "CreditService/GetCreditView", METHOD)

    assert not decided.is_allowed
    assert decided.policy.startswith("separate-")
