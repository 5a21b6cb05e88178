"""A call may outlive what proves its caller: a batch's later items, and what a stream still has to say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.application.query_credit import CreditAnswer
from gateway.application.story import Admission
from gateway.domain.errors import Reason, UnauthenticatedError
from tests.adapters.simulated import NOON
from tests.application.consenting import PENALTY, TAX, House, asking, consent, house, in_simulated_time

ENDS: list[tuple[dict[str, float], Reason]] = [
    ({"token_until": NOON.timestamp() + 3.0}, Reason.TOKEN_EXPIRED),
    ({"certificate_until": NOON.timestamp() + 3.0}, Reason.CALLER_UNKNOWN),
]
PROOFS = pytest.mark.parametrize(("until", "reason"), ENDS, ids=["token", "certificate"])


def admit(built: House, until: dict[str, float]) -> Admission:
    """Lets a query in whose caller is proven for three seconds more."""
    admission = built.admit()
    assert admission.caller is not None
    return replace(admission, caller=replace(admission.caller, **until))  # type: ignore[arg-type]


def after(built: House, *seconds: float) -> None:
    """Has the platforms take so long, in the order of their names."""
    for platform, takes_s in zip(built.platforms.values(), seconds, strict=True):
        platform.takes_s = takes_s


@PROOFS
@in_simulated_time
async def test_A3_a_stream_ends_before_the_step_that_would_leave_after_the_proof(
    until: dict[str, float], reason: Reason
) -> None:
    async with house(consent()) as built:
        after(built, 1.0, 2.0, 4.0)
        steps = built.queries.stream(asking(TAX), admit(built, until))
        landed: list[Any] = [await anext(steps), await anext(steps)]

        with pytest.raises(UnauthenticatedError) as refused:
            await anext(steps)

        assert refused.value.reason is reason
        assert [step.answer.platform for step in landed] == ["anhui", "jiangsu"]
        assert built.trail.told == [("streamed", ""), ("streamed", ""), ("withheld", reason.value)]


@PROOFS
@in_simulated_time
async def test_A3_the_final_view_of_a_stream_does_not_leave_after_the_proof_though_it_rests_on_no_consent(
    until: dict[str, float], reason: Reason
) -> None:
    async with house() as built:
        after(built, 1.0, 1.0, 1.0)
        steps = built.queries.stream(asking(PENALTY, consents=()), admit(built, until))
        landed = [await anext(steps) for _ in range(3)]
        asyncio.get_running_loop().jump(5.0)  # type: ignore[attr-defined]  # the caller is slow to read

        with pytest.raises(UnauthenticatedError) as refused:
            await anext(steps)

        assert len(landed) == 3
        assert refused.value.reason is reason
        assert built.trail.told[-1] == ("withheld", reason.value)


@PROOFS
@in_simulated_time
async def test_A3_an_item_that_comes_after_the_proof_is_refused_and_asks_nobody(
    until: dict[str, float], reason: Reason
) -> None:
    async with house(consent()) as built:
        admission = admit(built, until)
        await built.queries.require_proven(asking(TAX), admission)
        after(built, 4.0, 0.0, 0.0)
        await built.ask(TAX)  # somebody else's, four seconds long
        calls, told = built.calls, len(built.trail.told)

        with pytest.raises(UnauthenticatedError) as refused:
            await built.queries.require_proven(asking(TAX), admission)

        assert refused.value.reason is reason
        assert built.calls == calls
        assert built.trail.told[told:] == [("refused", reason.value)]


@in_simulated_time
async def test_whoever_is_proven_to_the_end_gets_the_final_view() -> None:
    async with house(consent()) as built:
        after(built, 1.0, 2.0, 2.9)

        steps = [step async for step in built.queries.stream(asking(TAX), admit(built, ENDS[0][0]))]

        assert isinstance(steps[-1], CreditAnswer)
        assert built.trail.told[-1] == ("answered", "")
