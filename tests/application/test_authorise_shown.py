"""What of an answer its permit shows: what is left out is listed, platforms outside the consent say nothing, persons are masked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_CONSENTED, OUTCOME_OK
from gateway.application.query_credit import CreditAnswer, Landed
from gateway.domain.answer import Answer
from gateway.domain.caller import Caller
from gateway.domain.consent import ConsentState, Permit, development_permit
from gateway.domain.errors import PermissionRefusedError, Reason
from gateway.domain.merge import view_id
from gateway.domain.query import CreditQuery
from gateway.domain.rights import Decision, Resource
from tests.adapters.simulated import NOON
from tests.application.consenting import (
    HOLDER,
    MASKER,
    PENALTY,
    REGISTRATION,
    RULES,
    TAX,
    Talkative,
    asking,
    consent,
    house,
    in_simulated_time,
    outcomes,
    withheld,
)
from tests.domain.worlds import AS_OF, USCC


@in_simulated_time
async def test_A6_what_is_permitted_in_part_is_answered_in_part_and_the_rest_is_listed() -> None:
    async with house(consent(state=ConsentState.PAUSED)) as built:
        answered = await built.ask(TAX, PENALTY)

        view = answered.view
        assert set(outcomes(view, TAX).values()) == {OUTCOME_NOT_CONSENTED}
        assert set(outcomes(view, PENALTY).values()) == {OUTCOME_OK}
        assert {said.reason for answer in view.answers for said in answer.categories if said.category == TAX} == {
            "consent_paused"
        }
        assert (TAX, "", "consent_paused") in withheld(view)
        assert not view.records.tax_payments
        assert {asked for platform in built.platforms.values() for asked in platform.asked} == {(PENALTY,)}
        assert built.trail.entries[-1].refused == ("TAX_PAYMENT",)


@in_simulated_time
async def test_A8_a_platform_outside_the_consent_is_not_asked_for_it_and_its_word_on_it_is_dropped() -> None:
    async with house(consent(platforms=("anhui", "shanghai"))) as built:
        answered = await built.ask(TAX, PENALTY)

        view = answered.view
        assert outcomes(view, TAX) == {
            "anhui": OUTCOME_OK,
            "jiangsu": OUTCOME_NOT_CONSENTED,
            "shanghai": OUTCOME_OK,
        }
        assert built.platforms["jiangsu"].asked == [(PENALTY,)]
        assert {p.platform for r in view.records.tax_payments for p in r.envelope.provenances} == {"anhui", "shanghai"}
        assert [tuple(entry.platforms) for entry in view.permit.withheld if entry.reason == "platform"] == [
            ("jiangsu",)
        ]
        assert outcomes(view, PENALTY)["jiangsu"] == OUTCOME_OK


@in_simulated_time
async def test_a_platform_with_nothing_left_to_ask_is_not_asked_at_all() -> None:
    async with house(consent(platforms=("anhui",))) as built:
        view = (await built.ask(TAX)).view

        assert outcomes(view, TAX)["jiangsu"] == OUTCOME_NOT_CONSENTED
        assert built.platforms["jiangsu"].asked == []


@in_simulated_time
async def test_what_policies_deny_is_left_out_and_the_trail_alone_says_which() -> None:
    class NoTaxes:
        def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
            is_allowed = resource.category != Category.Name(TAX).removeprefix("CATEGORY_")
            return Decision(is_allowed, "policy-1" if is_allowed else "policy-7")

        def decide_each(self, caller: Caller, action: str, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
            return tuple(self.decide(caller, action, resource) for resource in resources)

    async with house(consent(), rights=NoTaxes()) as built:
        view = (await built.ask(TAX, PENALTY)).view
        with pytest.raises(PermissionRefusedError) as refused:
            await built.ask(TAX)

        assert (TAX, "", "policy") in withheld(view)
        assert refused.value.reason is Reason.POLICY_DENIED
        assert "policy-7" not in str(refused.value)
        assert [entry.policy for entry in built.trail.entries] == ["policy-1,policy-7", "policy-7"]


@in_simulated_time
async def test_persons_are_masked_in_view_and_stream_alike_and_the_view_id_is_that_of_what_is_shown() -> None:
    async with house(consent()) as built:
        answered = await built.ask(TAX, HOLDER, PENALTY, REGISTRATION)
        steps = await built.stream(TAX, HOLDER, PENALTY, REGISTRATION)

        shown = [answered.view.SerializeToString()]
        for step in steps:
            shown += [step.view.SerializeToString()] if isinstance(step, CreditAnswer) else _bytes_of(step)
        for hidden in ("李小四", "张shanghai", "310101199001011234", "13812345678"):
            assert not any(hidden.encode() in each for each in shown)
        view = answered.view
        assert {r.holder_name for r in view.records.holders} == {"李**"}
        assert {(HOLDER, "holder_name", "masked"), (PENALTY, "facts", "masked")} <= withheld(view)
        assert view.view_id == view_id(view)
        assert answered.view == steps[-1].view if isinstance(steps[-1], CreditAnswer) else False
        assert built.trail.entries[0].view_id == view.view_id


def _bytes_of(step: Landed) -> list[bytes]:
    return [step.answer.said.SerializeToString(), step.view_so_far.SerializeToString()]


@in_simulated_time
async def test_a_persons_own_consent_shows_that_person_and_no_other() -> None:
    person = consent("c-p", person_ref=MASKER.person(USCC.value, "李小四"), categories=(HOLDER, REGISTRATION))
    async with house(consent(), person) as built:
        view = (await built.ask(HOLDER, REGISTRATION, consents=("c-1", "c-p"))).view

        assert {r.holder_name for r in view.records.holders} == {"李小四"}
        assert view.records.registrations[0].legal_representative.startswith("张*")
        assert built.trail.entries[-1].relied_on == ("c-1@1", "c-p@1")


@in_simulated_time
async def test_a_kept_view_is_not_given_to_a_permit_that_shows_less() -> None:
    async with house() as built:
        query = asking(HOLDER)
        views = built.queries._views
        assert views is not None
        whole = RULES.decide(query, [consent()], NOON).permit
        person = replace(whole, persons=frozenset({(HOLDER, "p")}))
        merged = built.queries._merger.merge([], query, whole, AS_OF)

        views.keep(query, person, AS_OF, (), merged)

        assert views.find(query, whole, AS_OF, ()) is None
        assert views.find(query, person, AS_OF, ()) is not None
        assert views.find(query, development_permit(query), AS_OF, ()) is None


class Naming(Talkative):
    """A platform that names a holder in a penalty's facts, and states no holders itself."""

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        answer = await super().fetch(query, permit, fetch_by)
        del answer.said.records.holders[:]
        answer.said.records.penalties[0].facts = "查明李小四违法"
        return answer


@in_simulated_time
async def test_a_name_in_a_text_that_another_platform_states_is_masked_in_the_answer_of_a_stream_as_in_its_view() -> (
    None
):
    async with house(consent()) as built:
        built.platforms["shanghai"] = Naming(built.platforms["shanghai"].platform)
        built.platforms["shanghai"].takes_s = 1.0

        steps = await built.stream(HOLDER, PENALTY)

        landed = [step for step in steps if isinstance(step, Landed)]
        assert landed[-1].answer.said.records.penalties[0].facts == "查明李**违法"
        assert "李小四" not in "".join(str(step) for step in landed)
