"""The door under drawn crowds and floods: no place is lost or given twice, and no bank slows another down (C19)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.rpc.admission import AdmissionPolicy, Admissions
from gateway.domain.errors import AdmissionError
from tests.adapters.doors import door, enter
from tests.adapters.simulated import LoopClock, simulated

BANKS = "abc"
POLICIES = st.builds(
    AdmissionPolicy,
    most_under_way=st.integers(1, 40),
    bank_most_under_way=st.integers(1, 30),
    most_waiting=st.integers(1, 8),
    bank_most_waiting=st.integers(1, 4),
    longest_queue_s=st.just(1.0),
    batch_longest_queue_s=st.just(2.0),
    batch_share=st.sampled_from([0.3, 0.8, 1.0]),
    weights=st.dictionaries(st.sampled_from(BANKS), st.integers(1, 3), max_size=2),
)


class _House:
    """A door, everyone who asks there, and the truth about who is in."""

    def __init__(self, policy: AdmissionPolicy) -> None:
        self.policy = policy
        self.door = Admissions(policy, LoopClock())
        self.inside: list[str] = []
        self.asking: dict[asyncio.Task[None], tuple[str, bool]] = {}

    async def _ask(self, bank: str, is_batch: bool) -> None:
        try:
            await enter(self.door, bank, is_batch=is_batch)
        except AdmissionError:
            return
        self.inside.append(bank)

    def ask(self, bank: str, is_batch: bool) -> None:
        task = asyncio.create_task(self._ask(bank, is_batch))
        self.asking[task] = (bank, is_batch)
        task.add_done_callback(self.asking.pop)

    async def step(self, chance: random.Random) -> None:
        """Someone asks, leaves, loses patience, or time passes; several may fall into one turn of the loop."""
        match chance.choices(("ask", "crowd", "leave", "cancel", "settle", "pass"), (40, 5, 25, 15, 10, 5))[0]:
            case "ask":
                self.ask(chance.choice(BANKS), chance.random() < 0.4)
            case "crowd":  # more than start at once
                bank = chance.choice(BANKS)
                for _ in range(20):
                    self.ask(bank, chance.random() < 0.4)
            case "leave" if self.inside:
                self.door.leave(self.inside.pop(chance.randrange(len(self.inside))))
            case "cancel" if self.asking:
                chance.choice(list(self.asking)).cancel()
            case "settle":
                await self.settle()
            case "pass":
                await asyncio.sleep(0.3)

    async def settle(self) -> None:
        """Lets everyone run who can, and holds the door to the truth."""
        await _turns()
        while self.door.starting:
            await asyncio.sleep(0.001)
        await _turns()
        of_bank = Counter(self.inside)
        assert self.door.under_way == len(self.inside) <= self.policy.most_under_way
        assert max(of_bank.values(), default=0) <= self.policy.bank_most_under_way
        assert self.door.waiting == len(self.asking)
        for is_batch in (True, False):
            lines = Counter(bank for bank, its_batch in self.asking.values() if its_batch is is_batch)
            assert lines.total() <= self.policy.most_waiting
            assert max(lines.values(), default=0) <= self.policy.bank_most_waiting
            most, bank_most = self._mosts(is_batch)
            for bank in lines:  # nobody waits while there is room for it
                assert len(self.inside) >= most or of_bank[bank] >= bank_most

    def _mosts(self, is_batch: bool) -> tuple[int, int]:
        share = self.policy.batch_share if is_batch else 1
        most, bank_most = self.policy.most_under_way, self.policy.bank_most_under_way
        return max(int(most * share), 1), max(int(bank_most * share), 1)


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@given(POLICIES, st.integers(0, 2**32 - 1))
def test_no_place_is_lost_or_given_twice_whoever_comes_leaves_or_is_cancelled(
    policy: AdmissionPolicy, seed: int
) -> None:
    async def story() -> list[bool]:
        house, chance = _House(policy), random.Random(seed)
        for _ in range(200):
            await house.step(chance)
        await house.settle()
        await asyncio.sleep(10)  # longer than anyone may wait
        await house.settle()
        while house.inside:
            house.door.leave(house.inside.pop())
        assert (house.door.under_way, house.door.waiting) == (0, 0)
        return [house.door.try_enter(f"new-{number}") for number in range(policy.most_under_way + 1)]

    entered = simulated(story())

    assert entered == [*[True] * policy.most_under_way, False]


@dataclass(frozen=True)
class _Load:
    """A bank's queries: how many a second, each as long as the seed says."""

    bank: str
    per_s: float
    seed: int


async def _offer(admissions: Admissions, load: _Load, for_s: float) -> list[float]:
    """Gives how long each answered query took from asking to answer, in seconds."""
    chance = random.Random(load.seed)
    loop = asyncio.get_running_loop()
    took: list[float] = []

    async def ask(service_s: float) -> None:
        asked = loop.time()
        try:
            await enter(admissions, load.bank)
        except AdmissionError:
            took.append(float("inf"))
            return
        try:
            await asyncio.sleep(service_s)
            took.append(loop.time() - asked)
        finally:
            admissions.leave(load.bank)

    async with asyncio.TaskGroup() as group:
        while loop.time() < for_s:
            await asyncio.sleep(chance.expovariate(load.per_s))
            group.create_task(ask(chance.lognormvariate(-2.4, 0.4)))  # about 0.1 s
    return took


def _p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


@pytest.mark.parametrize(
    "bank_most",
    [pytest.param(40, marks=pytest.mark.long), 24],
    ids=["turns_alone", "turns_and_a_banks_most"],
)
def test_C19_a_bank_at_20_times_its_share_moves_anothers_p99_by_less_than_a_tenth(bank_most: int) -> None:
    share_per_s = 40 / 4 / 0.1  # four banks in a house of 40 places and 0.1 s a query
    steady = [_Load(bank, 0.6 * share_per_s, seed) for seed, bank in enumerate("bcd")]
    heavy = _Load("a", 20 * share_per_s, seed=9)

    async def story(loads: list[_Load]) -> list[list[float]]:
        admissions = door(most_under_way=40, bank_most_under_way=bank_most, bank_most_waiting=200)
        return list(await asyncio.gather(*(_offer(admissions, load, 20.0) for load in loads)))

    alone = simulated(story(steady))
    beside = simulated(story([*steady, heavy]))

    for before, after in zip(alone, beside[:3], strict=True):
        assert len(before) == len(after) > 1_000
        assert _p99(after) < 1.10 * _p99(before)
    answered = [took for took in beside[3] if took != float("inf")]
    assert len(answered) < len(beside[3]) / 5  # the heavy bank gets what is left, and most of it is refused
    assert len(answered) > 20.0 * share_per_s
