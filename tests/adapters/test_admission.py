"""The door: each bank its turn, interactive before batch, and whoever cannot wait is told so; all in simulated time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.adapters.rpc.admission import AdmissionPolicy, Admissions
from gateway.domain.errors import AdmissionError, Reason
from tests.adapters.doors import door, enter
from tests.adapters.simulated import simulated


async def order_of_entry(admissions: Admissions, asked: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Gives who came in after whom, each leaving as soon as it is in, when all had waited since the house was full."""
    entered: list[tuple[str, bool]] = []

    async def visit(bank: str, is_batch: bool) -> None:
        await enter(admissions, bank, is_batch=is_batch)
        entered.append((bank, is_batch))
        await asyncio.sleep(0.001)
        admissions.leave(bank)

    waiting = [asyncio.create_task(visit(bank, is_batch)) for bank, is_batch in asked]
    await asyncio.sleep(0)
    admissions.leave("first")
    await asyncio.gather(*waiting)
    return entered


def test_what_is_free_any_bank_may_use() -> None:
    async def story() -> list[bool]:
        admissions = door(most_under_way=3)
        return [admissions.try_enter("a") for _ in range(4)]

    entered = simulated(story())

    assert entered == [True, True, True, False]


def test_one_bank_is_bounded_while_the_house_has_room() -> None:
    async def story() -> list[bool]:
        admissions = door(most_under_way=10, bank_most_under_way=2)
        return [admissions.try_enter(bank) for bank in ("a", "a", "a", "b")]

    entered = simulated(story())

    assert entered == [True, True, False, True]


def test_freed_places_go_round_the_banks() -> None:
    async def story() -> list[tuple[str, bool]]:
        admissions = door(most_under_way=1)
        admissions.try_enter("first")
        return await order_of_entry(admissions, [(bank, False) for bank in "aaaabbc"])

    entered = simulated(story())

    assert "".join(bank for bank, _ in entered) == "abcabaa"


def test_a_bank_of_weight_three_has_three_turns_to_the_others_one() -> None:
    async def story() -> list[tuple[str, bool]]:
        admissions = door(most_under_way=1, weights={"a": 3})
        admissions.try_enter("first")
        return await order_of_entry(admissions, [(bank, False) for bank in "aaaaabbb"])

    entered = simulated(story())

    assert "".join(bank for bank, _ in entered) == "aaabaabb"


def test_interactive_queries_come_before_batch_queries_of_every_bank() -> None:
    async def story() -> list[tuple[str, bool]]:
        admissions = door(most_under_way=1)
        admissions.try_enter("first")
        return await order_of_entry(admissions, [("a", True), ("b", True), ("b", False), ("a", False)])

    entered = simulated(story())

    assert entered == [("b", False), ("a", False), ("a", True), ("b", True)]


def test_batch_queries_leave_the_last_places_to_interactive_ones() -> None:
    async def story() -> list[bool]:
        admissions = door(most_under_way=10, bank_most_under_way=4, batch_share=0.8)
        of_one_bank = [admissions.try_enter("a", is_batch=True) for _ in range(4)]
        of_others = [admissions.try_enter(bank, is_batch=True) for bank in "bcdefg"]
        return [*of_one_bank, *of_others, admissions.try_enter("a"), admissions.try_enter("h")]

    entered = simulated(story())

    assert entered == [*[True] * 3, False, *[True] * 5, False, True, True]


def test_a_full_line_is_refused_at_once_with_a_hint_and_the_other_banks_line_is_not() -> None:
    async def story() -> tuple[AdmissionError, float, int]:
        admissions = door(most_under_way=1, bank_most_waiting=1, retry_after_s=2.0)
        admissions.try_enter("a")
        others = [asyncio.create_task(enter(admissions, bank)) for bank in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(AdmissionError) as refused:
            await enter(admissions, "a")
        waiting = admissions.waiting
        for other in others:
            other.cancel()
        await asyncio.wait(others)
        return refused.value, asyncio.get_running_loop().time(), waiting

    error, at, waiting = simulated(story())

    assert (error.reason, at, waiting) == (Reason.OVERLOADED, 0.0, 2)
    assert 2.0 <= error.retry_after_s <= 4.0


def test_batch_queries_that_wait_take_no_room_from_interactive_ones() -> None:
    async def story() -> tuple[int, bool]:
        admissions = door(most_under_way=1, most_waiting=1)
        admissions.try_enter("a")
        waiting = [asyncio.create_task(enter(admissions, "b", is_batch=is_batch)) for is_batch in (True, False)]
        await asyncio.sleep(0)
        both = admissions.waiting
        admissions.leave("a")
        await waiting[1]
        admissions.leave("b")
        await waiting[0]
        return both, admissions.try_enter("c")

    assert simulated(story()) == (2, False)


@pytest.mark.parametrize(
    ("is_batch", "within_s", "sent_away_at"), [(False, 60.0, 0.5), (True, 60.0, 5.0), (False, 0.2, 0.2)]
)
def test_whoever_waits_too_long_is_sent_away(is_batch: bool, within_s: float, sent_away_at: float) -> None:
    async def story() -> tuple[float, int]:
        admissions = door(most_under_way=1, longest_queue_s=0.5, batch_longest_queue_s=5.0)
        admissions.try_enter("a")
        with pytest.raises(AdmissionError):
            await enter(admissions, "b", is_batch=is_batch, within_s=within_s)
        return asyncio.get_running_loop().time(), admissions.waiting

    at, waiting = simulated(story())

    assert at == pytest.approx(sent_away_at)
    assert waiting == 0


def test_those_refused_together_are_not_asked_back_together() -> None:
    async def story() -> list[float]:
        admissions = door(most_under_way=1, most_waiting=0)
        admissions.try_enter("a")
        hints = []
        for _ in range(32):
            with pytest.raises(AdmissionError) as refused:
                await enter(admissions, "a")
            hints.append(refused.value.retry_after_s)
        return hints

    hints = simulated(story())

    assert max(Counter(hints).values()) == 2
    assert 1.0 <= min(hints) < max(hints) < 2.0


def test_a_place_given_to_one_who_is_cancelled_in_that_moment_goes_to_the_next() -> None:
    async def story() -> tuple[bool, int]:
        admissions = door(most_under_way=1)
        admissions.try_enter("a")
        first, second = (asyncio.create_task(enter(admissions, "b")) for _ in range(2))
        await asyncio.sleep(0)
        admissions.leave("a")  # the first one's turn has come, and it has not run since
        first.cancel()
        await asyncio.wait([first])
        await second
        return first.cancelled(), admissions.under_way

    assert simulated(story()) == (True, 1)


def test_a_bank_that_floods_and_cancels_leaves_no_line_behind() -> None:
    async def story() -> tuple[int, int]:
        admissions = door(most_under_way=1, bank_most_waiting=10)
        admissions.try_enter("a")
        for _ in range(100):
            flood = [asyncio.create_task(enter(admissions, "b")) for _ in range(10)]
            await asyncio.sleep(0)
            for task in flood:
                task.cancel()
            await asyncio.wait(flood)
        return admissions.waiting, admissions.refused

    assert simulated(story()) == (0, 0)


@pytest.mark.parametrize(
    "wrong", [{"most_under_way": 0}, {"bank_most_under_way": 0}, {"weights": {"a": 0}}, {"batch_share": 0.0}]
)
def test_a_policy_that_lets_nobody_in_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|above 0"):
        AdmissionPolicy(**wrong)
