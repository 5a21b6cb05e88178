"""What a consent is worth at a moment, what a permit says of itself, and under what an answer is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_HOLDER, CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NOT_CONSENTED,
    OUTCOME_OK,
    PURPOSE_PRE_LOAN,
    PURPOSE_SELF,
    Answer,
)
from gateway.domain import answer as answers
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Consent, ConsentState, Withheld, permit_scope
from gateway.domain.errors import PermissionRefusedError, Reason
from gateway.domain.keeping import Keeping, KeepingPolicy
from gateway.domain.permission import Decision, Rules, refusal
from gateway.domain.query import CreditQuery
from gateway.domain.reach import NEAREST, why_not, withdrawn, within
from gateway.domain.type_masks import masked_fields
from tests.adapters.simulated import NOON, platform
from tests.application.consenting import MATRIX, REGISTRATION, RULES, asking, consent

ENDS = NOON + timedelta(days=1)
TAX, PENALTY, HOLDER = CATEGORY_TAX_PAYMENT, CATEGORY_PENALTY, CATEGORY_HOLDER


def decided(query: CreditQuery, *consents: Consent, at: datetime = NOON) -> Decision:
    return RULES.decide(query, consents, at)


@pytest.mark.parametrize(
    ("stated", "at", "state"),
    [
        ({}, NOON, ConsentState.ACTIVE),
        ({}, ENDS - timedelta(microseconds=1), ConsentState.ACTIVE),
        ({}, ENDS, ConsentState.EXPIRED),
        ({"max_uses": 2, "uses": 1}, NOON, ConsentState.ACTIVE),
        ({"max_uses": 2, "uses": 2}, NOON, ConsentState.EXHAUSTED),
        ({"max_uses": 2, "uses": 2}, ENDS, ConsentState.EXPIRED),
        ({"state": ConsentState.PAUSED}, NOON, ConsentState.PAUSED),
        ({"state": ConsentState.PAUSED}, ENDS, ConsentState.EXPIRED),
        ({"state": ConsentState.REVOKED}, ENDS, ConsentState.REVOKED),
        ({"uses": 9}, NOON, ConsentState.ACTIVE),
    ],
)
def test_exhaustion_and_expiry_follow_by_themselves_and_a_revocation_is_final(
    stated: dict[str, Any], at: datetime, state: ConsentState
) -> None:
    assert consent(**stated).state_at(at) is state


def test_before_its_first_moment_a_consent_does_not_hold() -> None:
    given = consent()

    assert why_not(given, PURPOSE_PRE_LOAN, given.valid_from) is None
    assert why_not(given, PURPOSE_PRE_LOAN, given.valid_from - timedelta(seconds=1)) is Reason.CONSENT_EXPIRED
    assert why_not(given, PURPOSE_SELF, NOON) is Reason.CONSENT_PURPOSE


def test_what_was_used_up_meanwhile_is_released_and_what_is_gone_or_withdrawn_is_not() -> None:
    assert withdrawn(consent(max_uses=1, uses=1), NOON) is None
    assert withdrawn(None, NOON) is Reason.CONSENT_MISSING
    assert withdrawn(consent(state=ConsentState.PAUSED), NOON) is Reason.CONSENT_PAUSED
    assert withdrawn(consent(), ENDS) is Reason.CONSENT_EXPIRED


def test_what_was_decided_under_one_consent_is_decided_alike_under_the_next_in_its_own_name() -> None:
    others: list[dict[str, Any]] = [
        {},
        {"platforms": ("anhui",)},
        {"categories": (TAX,)},
        {"categories": (PENALTY,)},
        {"state": ConsentState.PAUSED},
        {"max_uses": 1, "uses": 1},
        {"purposes": (PURPOSE_SELF,)},
        {"valid_to": NOON},
        {"person_ref": "p-1"},
    ]
    questions = [asking(TAX, PENALTY, HOLDER, REGISTRATION, is_all_or_nothing=strict) for strict in (False, True)]

    def said(rules: Rules, query: CreditQuery, given: Consent) -> Decision | Reason:
        try:
            return rules.decide(query, (given,), NOON)
        except PermissionRefusedError as error:
            return error.reason

    for query in questions:
        for one in others:
            warm, given = Rules(CATALOGUE, MATRIX, masked_fields(CATALOGUE)), consent("c-2", version=3, **one)
            for other in (*others, one):  # every other kind first, then its own under another id
                said(warm, query, consent("c-1", **other))
            assert said(warm, query, given) == said(Rules(CATALOGUE, MATRIX, masked_fields(CATALOGUE)), query, given)


def test_two_consents_that_name_different_platforms_are_relied_on_together() -> None:
    given = (consent("c-1", platforms=("anhui",)), consent("c-2", platforms=("jiangsu", "shanghai")))

    both = decided(asking(TAX), *given)
    whole = decided(asking(TAX), *given, consent("c-3"))

    assert (both.permit.outside, both.permit.consents) == ((), ("c-1@1", "c-2@1"))
    assert whole.permit.consents == ("c-3@1",)


def test_every_refusal_of_a_consent_says_what_to_do() -> None:
    reasons = [*NEAREST, Reason.PURPOSE_NOT_ALLOWED]

    told = {reason: str(refusal([reason])).partition("; ")[2].split(" ")[0] for reason in reasons}

    assert told == {
        Reason.CONSENT_MISSING: "register",
        Reason.CONSENT_PURPOSE: "state",
        Reason.CONSENT_PAUSED: "resume",
        Reason.CONSENT_EXPIRED: "state",
        Reason.CONSENT_EXHAUSTED: "register",
        Reason.CONSENT_REVOKED: "register",
        Reason.PURPOSE_NOT_ALLOWED: "ask",
    }


def test_the_reason_named_is_the_one_most_easily_mended() -> None:
    given = (consent("c-1", state=ConsentState.REVOKED), consent("c-2", state=ConsentState.PAUSED))

    with pytest.raises(PermissionRefusedError) as refused:
        decided(asking(TAX), *given)

    assert refused.value.reason is Reason.CONSENT_PAUSED
    assert refusal([Reason.POLICY_DENIED, Reason.PURPOSE_NOT_ALLOWED]).reason is Reason.PURPOSE_NOT_ALLOWED
    assert refusal([Reason.POLICY_DENIED]).reason is Reason.POLICY_DENIED


def test_a_persons_consent_permits_no_category_and_the_enterprises_lifts_no_mask() -> None:
    company, person = consent("c-1"), consent("c-2", person_ref="p-1")

    alone = decided(asking(HOLDER), company).permit
    both = decided(asking(HOLDER), company, person).permit

    assert alone.persons == frozenset()
    assert alone.is_masked
    assert both.persons == {(HOLDER, "p-1")}
    with pytest.raises(PermissionRefusedError):
        decided(asking(HOLDER), person)


def test_a_persons_consent_for_some_platforms_lifts_nothing_where_others_are_asked() -> None:
    person = consent("c-2", person_ref="p-1", platforms=("anhui",))

    asked_widely = decided(asking(HOLDER), consent(), person)
    asked_there = decided(asking(HOLDER, platforms=("anhui",)), consent(), person)

    assert (asked_widely.permit.persons, len(asked_widely.relied_on)) == (frozenset(), 1)
    assert (asked_there.permit.persons, len(asked_there.relied_on)) == (frozenset({(HOLDER, "p-1")}), 2)


def test_a_new_version_of_a_consent_is_not_given_what_was_kept_under_the_old_one() -> None:
    rules = Keeping(platform(), KeepingPolicy())
    query = asking(TAX)
    old, new = (decided(query, consent(version=version)).permit for version in (1, 2))
    public = (decided(asking(PENALTY), consent(version=version)).permit for version in (1, 2))

    assert rules.key(query, old) != rules.key(query, new)
    assert rules.key(query, old) == rules.key(query, decided(query, consent()).permit)
    assert len({rules.key(asking(PENALTY), permit) for permit in public}) == 1


def test_the_scope_in_the_view_lists_what_is_left_out() -> None:
    left_out = (Withheld(5, "masked", field="facts"), Withheld(10, "platform", ("anhui",)))

    scope = permit_scope("consent", (5,), left_out)

    assert [(w.category, w.field, list(w.platforms), w.reason) for w in scope.withheld] == [
        (5, "facts", [], "masked"),
        (10, "", ["anhui"], "platform"),
    ]
    assert not permit_scope("development", (TAX,), ()).withheld


def test_of_a_platforms_answer_nothing_outside_the_permit_goes_on_and_the_answer_itself_stays() -> None:
    permit = replace(decided(asking(TAX, PENALTY), consent(platforms=("anhui",))).permit)
    said = Answer(platform="jiangsu", outcome=OUTCOME_OK)
    said.records.tax_payments.add(period="2026-01")
    said.records.penalties.add(document_number="1")
    said.categories.add(category=TAX, outcome=OUTCOME_OK, record_count=1)
    said.categories.add(category=PENALTY, outcome=OUTCOME_OK, record_count=1)
    before = said.SerializeToString()

    kept = within(answers.Answer(said), permit).said

    assert not kept.records.tax_payments
    assert len(kept.records.penalties) == 1
    assert {c.category: (c.outcome, c.record_count) for c in kept.categories} == {
        TAX: (OUTCOME_NOT_CONSENTED, 0),
        PENALTY: (OUTCOME_OK, 1),
    }
    assert said.SerializeToString() == before
    assert permit.at("anhui") is permit
    assert permit.at("jiangsu").categories == (PENALTY,)
