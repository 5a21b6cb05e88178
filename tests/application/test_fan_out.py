"""All platforms at once: on time, isolated, and cancelled together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_CONSENTED,
    OUTCOME_NOT_COVERED,
    OUTCOME_TIMEOUT,
    PURPOSE_PRE_LOAN,
)
from gateway.application.fan_out import fan_out
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.consent import Permit, Withheld, development_permit
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from tests.adapters.simulated import SimulatedLoop, simulated


class Scripted:
    """A connector that does as it is told."""

    def __init__(
        self, platform_id: str, *, waits_s: float = 0, fails: Exception | None = None, covers: bool = True
    ) -> None:
        coverage: dict[int, CategoryCoverage] = {CATEGORY_PENALTY: CategoryCoverage(CATEGORY_PENALTY)} if covers else {}
        self.platform = Platform(platform_id, "平台", "platform", Tier.PROVINCE, coverage=coverage)
        self._waits_s = waits_s
        self._fails = fails
        self.was_cancelled = False

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        try:
            await asyncio.sleep(self._waits_s)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self._fails is not None:
            raise self._fails
        return failed_answer(self.platform.id, OUTCOME_NO_RECORDS, "", permit.categories)


def question(*connectors: Scripted) -> CreditQuery:
    return CreditQuery(
        Uscc.parse("91310115MA0TERT167"),
        PURPOSE_PRE_LOAN,
        (CATEGORY_PENALTY,),
        tuple(c.platform.id for c in connectors),
    )


async def outcomes(
    *connectors: Scripted, time_s: float = 1.0, permit: Permit | None = None
) -> dict[str, tuple[int, str]]:
    query = question(*connectors)
    landed: list[Answer] = []
    by_id = {c.platform.id: c for c in connectors}
    fetch_by = asyncio.get_running_loop().time() + time_s
    await fan_out(by_id, query, permit or development_permit(query), fetch_by, landed.append)
    assert len(landed) == len(connectors)
    return {a.platform: (a.outcome, a.said.reason) for a in landed}


async def test_a_connector_that_raises_is_isolated() -> None:
    found = await outcomes(Scripted("a", fails=RuntimeError("secret payload")), Scripted("b"))

    assert found == {"a": (OUTCOME_BAD_ANSWER, "connector_fault"), "b": (OUTCOME_NO_RECORDS, "")}


async def test_a_connector_that_raises_before_there_is_anything_to_wait_for_is_isolated() -> None:
    class Rash(Scripted):
        def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Any:
            raise RuntimeError("secret payload")

    found = await outcomes(Rash("a"), Scripted("b"))

    assert found == {"a": (OUTCOME_BAD_ANSWER, "connector_fault"), "b": (OUTCOME_NO_RECORDS, "")}


async def test_a_connector_that_speaks_for_another_or_gives_no_answer_is_isolated() -> None:
    class Impostor(Scripted):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            return failed_answer("b", OUTCOME_NO_RECORDS, "", permit.categories)

    class Mute(Scripted):
        async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
            return None  # type: ignore[return-value]  # a contract broken on purpose

    found = await outcomes(Impostor("a"), Scripted("b"), Mute("c"))

    fault = (OUTCOME_BAD_ANSWER, "connector_fault")
    assert found == {"a": fault, "b": (OUTCOME_NO_RECORDS, ""), "c": fault}


async def test_a_slow_connector_is_timed_out_at_the_fixed_point_and_cancelled() -> None:
    slow = Scripted("a", waits_s=60)

    found = await outcomes(slow, Scripted("b"), time_s=0.05)

    assert found == {"a": (OUTCOME_TIMEOUT, "deadline"), "b": (OUTCOME_NO_RECORDS, "")}
    assert slow.was_cancelled


async def test_a_platform_that_covers_nothing_asked_is_not_asked() -> None:
    found = await outcomes(Scripted("a", fails=AssertionError("asked"), covers=False))

    assert found == {"a": (OUTCOME_NOT_COVERED, "")}


async def test_a_platform_whose_categories_are_not_permitted_is_not_asked() -> None:
    found = await outcomes(Scripted("a", fails=AssertionError("asked")), permit=Permit("none", ()))

    assert found == {"a": (OUTCOME_NOT_CONSENTED, "")}


@pytest.mark.parametrize(
    ("whys", "reason"), [(("policy", "consent_missing"), "policy"), (("consent_missing", "policy"), "")]
)
async def test_a_platform_is_left_out_by_policy_where_no_consent_would_help(whys: tuple[str, str], reason: str) -> None:
    asked = (CATEGORY_PENALTY, CATEGORY_TAX_PAYMENT)
    permit = Permit("consent", (), withheld=tuple(map(Withheld, asked, whys)))
    query = replace(question(Scripted("a")), categories=asked)
    landed: list[Answer] = []

    await fan_out({"a": Scripted("a", fails=AssertionError("asked"))}, query, permit, 1e9, landed.append)

    assert [(answer.outcome, answer.said.reason) for answer in landed] == [(OUTCOME_NOT_CONSENTED, reason)]


async def test_cancelling_the_query_cancels_every_call() -> None:
    slow = [Scripted(name, waits_s=60) for name in "abcd"]
    query = question(*slow)
    fetch_by = asyncio.get_running_loop().time() + 60
    task = asyncio.create_task(
        fan_out({c.platform.id: c for c in slow}, query, development_permit(query), fetch_by, lambda answer: None)
    )
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert all(c.was_cancelled for c in slow)


def test_an_answer_that_was_there_in_time_counts_though_the_loop_is_late() -> None:
    async def story() -> dict[str, tuple[int, str]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        loop.call_at(4.0, loop.jump, 30.0)
        return await outcomes(Scripted("a", waits_s=5), Scripted("b", waits_s=60), time_s=10)

    found = simulated(story())

    assert found == {"a": (OUTCOME_NO_RECORDS, ""), "b": (OUTCOME_TIMEOUT, "deadline")}
