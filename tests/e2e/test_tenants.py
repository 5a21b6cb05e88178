"""No bank reaches what is another's: the mix-up matrix, and two banks at once in streams and batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from tests.e2e.conftest import Rig
from tests.e2e.tenants import (
    BANKS,
    PARTS,
    REMEMBERS,
    WAYS,
    Outcome,
    askers,
    combinations,
    put_together,
    unary,
)

RIGHT = [owners for owners in combinations() if len(set(owners.values())) == 1]
WRONG = [owners for owners in combinations() if len(set(owners.values())) > 1]


def named(value: Any) -> str:
    return "+".join(f"{name}:{bank}" for name, bank in value.items()) if isinstance(value, dict) else str(value)


async def everyone_asked(rig: Rig) -> Mapping[str, Outcome]:
    """Has each bank ask once with parts of its own, so that there is something to be mixed up."""
    asked = {bank: await unary(put_together(rig, dict.fromkeys((p.name for p in PARTS), bank))) for bank in BANKS}
    assert all(outcome.code == 0 and outcome.view for outcome in asked.values())
    return asked


def test_the_matrix_has_every_way_to_mix_two_banks_parts() -> None:
    assert (len(RIGHT), len(WRONG)) == (2, 2 ** len(PARTS) - 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("owners", RIGHT, ids=named)
async def test_a_bank_reaches_what_is_its_own(rig: Rig, way: str, owners: Mapping[str, str]) -> None:
    earlier = (await everyone_asked(rig))[owners["bank"]]

    outcome = await WAYS[way](put_together(rig, owners))

    assert outcome.view == earlier.view
    assert (outcome.answer_id == earlier.answer_id, outcome.is_repeated) == (way in REMEMBERS, way in REMEMBERS)
    assert outcome.is_kept is (way not in REMEMBERS)  # a repeated answer is told as it was: fetched then


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("owners", WRONG, ids=named)
async def test_a_mix_up_gives_nothing_away(rig: Rig, way: str, owners: Mapping[str, str]) -> None:
    earlier = await everyone_asked(rig)
    (asker, *others) = askers(owners)
    strange = frozenset(part.name for part in PARTS if not part.is_identity and owners[part.name] != asker)

    outcome = await WAYS[way](put_together(rig, owners))
    everything = frozenset(part.name for part in PARTS if not part.is_identity)
    of_nobody = await WAYS[way](put_together(rig, owners, nobodys=everything if others else strange))

    assert outcome == of_nobody
    assert outcome.answer_id not in {one.answer_id for bank, one in earlier.items() if bank != asker}
    if others:
        assert outcome.code != 0
    elif outcome.code == 0:  # else its own request id stood in another body
        assert {entry["bank"] for entry in entries(rig) if entry["answer_id"] == outcome.answer_id} == {asker}


async def test_two_banks_at_once_each_have_answers_of_their_own(rig: Rig) -> None:
    asks = [put_together(rig, dict.fromkeys((p.name for p in PARTS), bank)) for bank in BANKS] * 3

    outcomes = await asyncio.gather(*[way(ask) for ask in asks for way in WAYS.values()])

    bank_of = {entry["answer_id"]: entry["bank"] for entry in entries(rig) if entry["event"] == "answered"}
    askers_ = [ask.metadata["xinyidai-bank"] for ask in asks for _ in WAYS]
    assert [bank_of[outcome.answer_id] for outcome in outcomes] == askers_


async def test_what_needs_authorisation_is_fetched_for_each_bank_though_both_ask_at_once(rig: Rig) -> None:
    await rig.platforms["shanghai"].set_fault("latency", median_ms=300.0)
    asks = [put_together(rig, dict.fromkeys((p.name for p in PARTS), bank)) for bank in BANKS]
    before = rig.platforms["shanghai"].simulated.faults.calls

    outcomes = await asyncio.gather(*map(unary, asks))

    assert [outcome.is_kept for outcome in outcomes] == [False, False]
    assert rig.platforms["shanghai"].simulated.faults.calls - before >= 2


async def test_interleaved_batches_under_the_same_correlation_ids_stay_apart(rig: Rig) -> None:
    calls = {}
    for bank in BANKS:
        calls[bank] = rig.credit.BatchGetCreditViews(metadata=(("xinyidai-bank", bank),), timeout=20)
    for number in range(4):
        for bank, call in calls.items():
            ask = put_together(rig, dict.fromkeys((p.name for p in PARTS), bank))
            ask.query.request_id = f"{number}"
            await call.write(pb.BatchGetCreditViewsRequest(correlation_id=str(number), query=ask.query))
    for call in calls.values():
        await call.done_writing()

    answered = {bank: {r.correlation_id: r.view.delivery async for r in call} for bank, call in calls.items()}

    bank_of = {entry["answer_id"]: entry["bank"] for entry in entries(rig) if entry["event"] == "answered"}
    assert all(sorted(deliveries) == ["0", "1", "2", "3"] for deliveries in answered.values())
    for bank, deliveries in answered.items():
        assert {bank_of[delivery.answer_id] for delivery in deliveries.values()} == {bank}
        assert not any(delivery.is_repeated for delivery in deliveries.values())


def entries(rig: Rig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rig.trail.read_text(encoding="utf-8").splitlines()]
