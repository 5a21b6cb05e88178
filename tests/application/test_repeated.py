"""An answer that is given a second time under its request id: to whom, and until when."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.domain.caller import Caller, development_caller
from gateway.domain.errors import PolicyDeniedError, UnauthenticatedError
from gateway.domain.rights import Decision, Resource
from tests.adapters.simulated import NOON
from tests.application.consenting import BANK, PENALTY, TAX, asking, consent, house, in_simulated_time


class Changeable:
    """Rights that permit everything, until one category is denied."""

    denied = ""

    def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
        is_allowed = resource.category != self.denied
        return Decision(is_allowed, "all" if is_allowed else "no-tax")

    def decide_each(self, caller: Caller, action: str, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
        return tuple(self.decide(caller, action, resource) for resource in resources)


@in_simulated_time
async def test_it_is_given_to_whoever_may_ask_for_all_of_it_and_to_nobody_else() -> None:
    rights = Changeable()
    async with house(consent(), rights=rights) as built:
        answered = await built.ask(TAX, PENALTY)
        await built.queries.note_repeated(asking(TAX, PENALTY), answered, development_caller(BANK))
        rights.denied = "TAX_PAYMENT"

        with pytest.raises(PolicyDeniedError):
            await built.queries.note_repeated(asking(TAX, PENALTY), answered, development_caller(BANK))

        assert built.trail.told == [("answered", ""), ("repeated", ""), ("withheld", "POLICY_DENIED")]
        assert [entry.policy for entry in built.trail.entries] == ["all", "all", "no-tax"]


@in_simulated_time
async def test_it_is_not_given_after_the_proof_of_whoever_waited_for_it_has_ended() -> None:
    async with house(consent()) as built:
        answered = await built.ask(TAX)
        caller = replace(development_caller(BANK), token_until=NOON.timestamp() + 3.0)
        await built.queries.note_repeated(asking(TAX), answered, caller)
        asyncio.get_running_loop().jump(5.0)  # type: ignore[attr-defined]  # of the simulated loop

        with pytest.raises(UnauthenticatedError):
            await built.queries.note_repeated(asking(TAX), answered, caller)

        assert built.trail.told == [("answered", ""), ("repeated", ""), ("withheld", "TOKEN_EXPIRED")]
