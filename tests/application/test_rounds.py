"""Loops go on whatever a round of them raises, say so once, and end when they are closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.application.rounds import Rounds
from tests.adapters.simulated import simulated


class Work:
    """Raises that in its first rounds, and counts them all."""

    def __init__(self, *raised: BaseException) -> None:
        self.raised = list(raised)
        self.rounds = self.told = 0

    async def __call__(self) -> None:
        self.rounds += 1
        if self.raised:
            raise self.raised.pop(0)

    def failed(self) -> None:
        self.told += 1


async def seen(work: Work, seconds: float, **more: Any) -> list[tuple[str, str]]:
    """Gives what the log said of so many seconds of a loop with a round each second."""
    rounds = Rounds("a.loop", work, every_s=1, failed=work.failed, **more)
    with capture_logs() as logs:
        rounds.start()
        await asyncio.sleep(seconds)
        await rounds.aclose()
    return [(line["event"], line["loop"]) for line in logs]


@pytest.mark.parametrize("raised", [RuntimeError("a fault of a driver"), KeyError("x"), asyncio.CancelledError()])
def test_whatever_a_round_raises_the_next_ones_come_and_it_is_told_once_and_once_when_it_is_over(
    raised: BaseException,
) -> None:
    work = Work(raised, type(raised)("again"))

    told = simulated(seen(work, 4.5))

    assert told == [("loop.failed", "a.loop"), ("loop.back", "a.loop")]
    assert (work.rounds, work.told) == (4, 2)


def test_a_failure_of_another_kind_is_told_too() -> None:
    told = simulated(seen(Work(KeyError("x"), ValueError("y"), ValueError("z")), 5.5))

    assert told == [("loop.failed", "a.loop")] * 2 + [("loop.back", "a.loop")]


def test_who_is_told_of_a_failure_may_fail_too() -> None:
    work = Work(RuntimeError("one"))

    def fail() -> None:
        raise RuntimeError("two")

    work.failed = fail  # type: ignore[method-assign]

    assert simulated(seen(work, 2.5)) == [("loop.failed", "a.loop")] * 2 + [("loop.back", "a.loop")]
    assert work.rounds == 2


def test_the_first_round_comes_at_once_where_it_should_and_a_wake_ends_a_pause() -> None:
    async def story() -> int:
        work = Work()
        rounds = Rounds("a.loop", work, every_s=3_600, is_at_once=True)
        rounds.start()
        await asyncio.sleep(1)
        rounds.wake()
        await asyncio.sleep(1)
        await rounds.aclose()
        rounds.wake()
        await asyncio.sleep(4_000)
        return work.rounds

    assert simulated(story()) == 2


def test_it_ends_in_the_middle_of_a_round_when_it_is_closed() -> None:
    async def story() -> list[str]:
        async def hang() -> None:
            await asyncio.Event().wait()

        rounds = Rounds("a.loop", hang, every_s=1)
        with capture_logs() as logs:
            rounds.start()
            await asyncio.sleep(2)
            await rounds.aclose()
        return [line["event"] for line in logs]

    assert simulated(story()) == []
