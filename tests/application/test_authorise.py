"""Consents put to use: before any platform is asked, while they are, and before anything leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_GREEN_REVIEW, PURPOSE_POST_LOAN, PURPOSE_PRE_LOAN
from gateway.application.query_credit import CreditAnswer, Landed
from gateway.domain.consent import ConsentState, Permit
from gateway.domain.errors import (
    ConsentError,
    InvalidRequestError,
    PermissionRefusedError,
    Reason,
    StoreUnavailableError,
)
from gateway.domain.statement import sm3
from tests.adapters.simulated import NOON
from tests.application.consenting import (
    HOLDER,
    PENALTY,
    RECEIPT,
    TAX,
    asking,
    consent,
    house,
    in_simulated_time,
    withheld,
)


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"consent_id": "c-2"}, Reason.CONSENT_MISSING),
        ({"bank": "bank-b"}, Reason.CONSENT_MISSING),
        ({"uscc": "91310115MAC0DEM080"}, Reason.CONSENT_MISSING),
        ({"categories": (HOLDER,)}, Reason.CONSENT_MISSING),
        ({"person_ref": "p-1"}, Reason.CONSENT_MISSING),
        ({"platforms": ("zhejiang",)}, Reason.CONSENT_MISSING),
        ({"state": ConsentState.PAUSED}, Reason.CONSENT_PAUSED),
        ({"state": ConsentState.REVOKED}, Reason.CONSENT_REVOKED),
        ({"valid_to": NOON - timedelta(seconds=1)}, Reason.CONSENT_EXPIRED),
        ({"valid_from": NOON + timedelta(hours=1)}, Reason.CONSENT_EXPIRED),
        ({"max_uses": 3, "uses": 3}, Reason.CONSENT_EXHAUSTED),
        ({"purposes": (PURPOSE_GREEN_REVIEW,)}, Reason.CONSENT_PURPOSE),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else ", ".join(value),
)
@in_simulated_time
async def test_A6_A10_a_consent_that_does_not_hold_is_refused_for_its_own_reason_and_nobody_is_asked(
    stated: dict[str, Any], reason: Reason
) -> None:
    async with house(consent(**stated)) as built:
        with pytest.raises(ConsentError) as refused:
            await built.ask(TAX)

        assert refused.value.reason is reason
        assert built.calls == 0
        assert built.trail.told == [("refused", reason.value)]


@in_simulated_time
async def test_all_or_nothing_refuses_what_is_permitted_in_part() -> None:
    async with house(consent(state=ConsentState.PAUSED)) as built:
        with pytest.raises(ConsentError):
            await built.ask(TAX, PENALTY, is_all_or_nothing=True)

        assert built.calls == 0


@in_simulated_time
async def test_what_is_public_needs_no_consent() -> None:
    async with house() as built:
        answered = await built.ask(PENALTY, consents=())

        assert answered.view.permit.kind == "consent"
        assert answered.view.records.penalties
        assert built.store.reads == 0


@pytest.mark.parametrize("how", ["revoked here", "revoked elsewhere", "paused here", "paused elsewhere", "run out"])
@in_simulated_time
async def test_A7_a_consent_withdrawn_while_platforms_are_asked_withholds_the_answer(how: str) -> None:
    lasts = NOON + timedelta(seconds=2 if how == "run out" else 3600)
    async with house(consent(valid_to=lasts)) as built:
        state = ConsentState.REVOKED if "revoked" in how else ConsentState.PAUSED
        changed = built.consents if "here" in how else built.store

        async def withdraw() -> None:
            await changed.change("bank-a", "c-1", 1, state, NOON)

        for platform in built.platforms.values():
            platform.takes_s = 5.0
        if how != "run out":
            built.platforms["anhui"].meanwhile = withdraw

        with pytest.raises(ConsentError) as refused:
            await built.ask(TAX)

        reason = {"revoked": Reason.CONSENT_REVOKED, "paused": Reason.CONSENT_PAUSED}.get(how.split()[0])
        assert refused.value.reason is (reason or Reason.CONSENT_EXPIRED)
        assert built.trail.told == [("withheld", refused.value.reason.value)]
        assert all(p.was_cancelled for p in built.platforms.values()) is (how != "run out")
        if how != "run out":
            assert built.clock.monotonic() < 1.0
            assert {e.reason for e in built.trail.entries[0].platforms} == {"consent_withdrawn"}


@in_simulated_time
async def test_A7_a_stream_ends_before_the_step_that_would_follow_a_withdrawal() -> None:
    async with house(consent()) as built:
        for number, platform in enumerate(built.platforms.values()):
            platform.takes_s = 2.0 * number

        steps = built.queries.stream(asking(TAX), built.admit())

        first = await anext(steps)
        await built.store.change("bank-a", "c-1", 1, ConsentState.REVOKED, NOON)
        with pytest.raises(ConsentError):
            await anext(steps)

        assert isinstance(first, Landed)
        assert [event for event, _ in built.trail.told] == ["streamed", "withheld"]
        assert built.platforms["shanghai"].was_cancelled


@pytest.mark.parametrize("event", ["answered", "streamed", "repeated"])
@in_simulated_time
async def test_A7_a_consent_withdrawn_while_the_entry_is_made_durable_withholds_the_answer(event: str) -> None:
    async with house(consent()) as built:
        answered = await built.ask(TAX) if event == "repeated" else None
        built.trail.meanwhile[event] = lambda: built.consents.change("bank-a", "c-1", 1, ConsentState.REVOKED, NOON)

        async def ask() -> None:
            if answered is not None:
                await built.queries.note_repeated(asking(TAX), answered)
            elif event == "streamed":
                await anext(built.queries.stream(asking(TAX), built.admit()))
            else:
                await built.ask(TAX)

        with pytest.raises(ConsentError):
            await ask()

        assert built.trail.told[-2:] == [(event, ""), ("withheld", "CONSENT_REVOKED")]
        assert len({entry.answer_id for entry in built.trail.entries}) == 1


@in_simulated_time
async def test_A7_an_archived_answer_that_is_withheld_after_its_entry_is_taken_back() -> None:
    async with house(consent(), digest=sm3) as built:
        built.trail.meanwhile["answered"] = lambda: built.consents.change(
            "bank-a", "c-1", 1, ConsentState.REVOKED, NOON
        )

        with pytest.raises(ConsentError):
            await built.ask(TAX)

        assert built.trail.taken_back == [RECEIPT]


@in_simulated_time
async def test_an_answer_given_again_is_withheld_once_its_consent_is_withdrawn() -> None:
    async with house(consent()) as built:
        answered = await built.ask(TAX)
        await built.queries.note_repeated(asking(TAX), answered)
        await built.consents.change("bank-a", "c-1", 1, ConsentState.REVOKED, NOON)

        with pytest.raises(ConsentError):
            await built.queries.note_repeated(asking(TAX), answered)

        assert built.trail.told == [("answered", ""), ("repeated", ""), ("withheld", "CONSENT_REVOKED")]


@in_simulated_time
async def test_A9_of_many_queries_with_one_one_time_consent_exactly_one_succeeds_a_thousand_times() -> None:
    async with house() as built:
        for race in range(1_000):
            await built.store.register(consent(f"c-{race}", max_uses=1))

            found = await asyncio.gather(
                *(built.ask(TAX, consents=(f"c-{race}",)) for _ in range(3)), return_exceptions=True
            )

            answers = [each for each in found if isinstance(each, CreditAnswer)]
            refusals = [each.reason for each in found if isinstance(each, ConsentError)]
            assert len(answers) == 1, f"race {race}: {found}"
            assert refusals == [Reason.CONSENT_EXHAUSTED] * 2
        assert built.calls == 3_000


@in_simulated_time
async def test_a_consent_for_so_many_uses_is_good_for_just_so_many_however_they_meet() -> None:
    async with house(consent(max_uses=5)) as built:
        found = await asyncio.gather(*(built.ask(TAX) for _ in range(12)), return_exceptions=True)

        kept = await built.store.get("bank-a", "c-1")
        assert sum(isinstance(each, CreditAnswer) for each in found) == 5
        assert kept is not None
        assert kept.uses == 5


@in_simulated_time
async def test_a_limited_consent_is_left_alone_where_another_reaches() -> None:
    async with house(consent("c-1", max_uses=1), consent("c-2")) as built:
        await built.ask(TAX, consents=("c-1", "c-2"))

        kept = await built.store.get("bank-a", "c-1")
        assert kept is not None
        assert kept.uses == 0
        assert built.trail.entries[-1].relied_on == ("c-2@1",)


@in_simulated_time
async def test_a_one_time_consent_used_up_meanwhile_leaves_the_other_categories() -> None:
    async with house(consent(max_uses=1)) as built:
        await built.ask(TAX)
        view = (await built.ask(TAX, PENALTY)).view

        assert (TAX, "", "consent_exhausted") in withheld(view)
        assert view.records.penalties


@in_simulated_time
async def test_A10_one_consent_stated_twice_is_refused() -> None:
    async with house(consent("abc")) as built:
        with pytest.raises(InvalidRequestError) as refused:
            await built.ask(TAX, consents=("abc", "ABC"))

        assert (refused.value.reason, refused.value.field) == (Reason.CONSENT_REPEATED, "consent_ids[1]")
        assert built.calls == 0


@in_simulated_time
async def test_a_purpose_that_does_not_allow_a_category_outweighs_any_consent() -> None:
    async with house(consent(purposes=(PURPOSE_GREEN_REVIEW, PURPOSE_PRE_LOAN))) as built:
        with pytest.raises(PermissionRefusedError) as refused:
            await built.ask(TAX, purpose=PURPOSE_GREEN_REVIEW)
        view = (await built.ask(TAX, PENALTY, purpose=PURPOSE_GREEN_REVIEW)).view

        assert refused.value.reason is Reason.PURPOSE_NOT_ALLOWED
        assert (TAX, "", "purpose") in withheld(view)


@in_simulated_time
async def test_a_query_after_a_loan_without_its_reference_is_refused() -> None:
    async with house(consent(purposes=(PURPOSE_POST_LOAN,))) as built:
        with pytest.raises(InvalidRequestError) as refused:
            await built.ask(TAX, purpose=PURPOSE_POST_LOAN)
        answered = await built.ask(TAX, purpose=PURPOSE_POST_LOAN, loan_reference="L-1")

        assert refused.value.field == "loan_reference"
        assert answered.view.records.tax_payments


@in_simulated_time
async def test_without_the_store_nothing_that_needs_a_consent_is_answered() -> None:
    async with house(consent()) as built:
        built.store.is_down = True

        with pytest.raises(StoreUnavailableError):
            await built.ask(TAX)

        assert built.calls == 0
        assert built.trail.told == [("unanswered", "STORE_UNAVAILABLE")]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("when", ["before platforms are asked", "before the answer leaves"])
@in_simulated_time
async def test_a_caller_that_hangs_up_while_the_store_does_not_answer_is_in_the_trail_once(
    when: str, is_stream: bool
) -> None:
    async with house(consent(max_uses=9)) as built:

        async def silent() -> None:
            built.store.is_silent = True

        async def read_on() -> None:
            async for _ in built.queries.stream(asking(TAX), built.admit()):
                pass

        if when == "before platforms are asked":
            await silent()
        else:
            built.platforms["anhui"].meanwhile = silent
        asked = asyncio.create_task(read_on() if is_stream else built.ask(TAX))
        await asyncio.sleep(3)
        assert not asked.done()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

        assert built.trail.told == [("cancelled", "CANCELLED")]
        assert built.queries.under_way == 0


@in_simulated_time
async def test_a_permit_on_consents_at_hand_waits_for_nothing_and_on_limited_ones_for_the_store() -> None:
    async with house(consent("c-1"), consent("c-2", max_uses=2)) as built:
        await built.ask(TAX)  # looks it up

        at_hand = built.authoriser.permit(asking(TAX), None)
        assert isinstance(at_hand, Permit)
        assert at_hand.consents == ("c-1@1",)
        assert built.authoriser.recheck(asking(TAX), at_hand) is None
        limited = built.authoriser.permit(asking(TAX, consents=("c-2",)), None)
        assert isinstance(limited, Awaitable)
        assert (await limited).consents == ("c-2@2",)
        await built.consents.change("bank-a", "c-1", 1, ConsentState.REVOKED, NOON)
        rechecked = built.authoriser.recheck(asking(TAX), at_hand)
        assert rechecked is not None
        with pytest.raises(ConsentError):
            await rechecked
        with pytest.raises(ConsentError):  # what it has become is at hand now
            built.authoriser.recheck(asking(TAX), at_hand)
