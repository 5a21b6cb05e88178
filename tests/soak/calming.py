"""The calm before and after: what every question shows when no platform fails, and that it shows the same again."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_CONSENTED, OUTCOME_NOT_COVERED, Outcome
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.domain.answer import HEARD
from tests.soak.calls import Calls
from tests.soak.record import Call
from tests.soak.truth import ASKS, CONSENTED, RESTLESS_ASK, WHOLE, Ask, Calm, cast, knowing

_PAUSE_S: Final = 0.25
"""Between calls: the slowest platform is asked ten times a second at most, and by two workers five times by each."""
_DEADLINE_S: Final = 8.0
_WELL: Final = HEARD | {OUTCOME_NOT_COVERED, OUTCOME_NOT_CONSENTED}


async def look_while_calm(calls: Calls) -> None:
    """Registers the consents, and keeps what every question shows; fails at once where even that does not hold."""
    if calls.house.has_identity:
        for uscc in cast():
            calls.consents[uscc] = await calls.register(uscc, CONSENTED)
    for uscc in cast():
        for ask in (*ASKS, *([RESTLESS_ASK] if uscc == cast()[0] else [])):
            calls.calm[uscc, ask.name] = await _calm(calls, uscc, ask)
            await asyncio.sleep(_PAUSE_S)
    assert not calls.record.breaches, calls.record.summary()


async def _calm(calls: Calls, uscc: str, ask: Ask) -> Calm:
    view = await _fresh(calls, uscc, ask)
    assert (view is None) == (not knowing(uscc, ask)), f"{uscc} {ask.name}: known in the world, or in the view, only"
    if view is None:
        return Calm()
    assert all(answer.outcome in _WELL for answer in view.answers), f"not calm: {told(view)}"
    return Calm.of(view)


async def check_whole_again(calls: Calls) -> None:
    """Asks all anew about every enterprise: each platform must be heard, and show what it showed at first."""
    for uscc in cast():
        view = await _fresh(calls, uscc, WHOLE)
        if view is None or not all(answer.outcome in _WELL for answer in view.answers):
            said = "there is no view" if view is None else told(view)
            calls.record.breach(f"after the calm: {said}")
        await asyncio.sleep(_PAUSE_S)


async def _fresh(calls: Calls, uscc: str, ask: Ask) -> view_pb2.CreditView | None:
    """Asks with nothing kept; gives the view, None where there is none."""
    query = calls.question(uscc, ask)
    query.oldest_acceptable_age.SetInParent()
    got: list[view_pb2.CreditView] = []

    async def work(call: Call) -> None:
        raw = await calls.view_of(call, query, ask, calls.channel())
        got.append(pb.GetCreditViewResponse.FromString(raw).view)

    await calls.made("view", f"{uscc} {ask.name}, while calm", _DEADLINE_S, work)
    return got[0] if got else None


def told(view: view_pb2.CreditView) -> str:
    """Gives each platform's outcome and reason."""
    return ", ".join(
        f"{a.platform} {Outcome.Name(a.outcome).removeprefix('OUTCOME_')}({a.reason})" for a in view.answers
    )
