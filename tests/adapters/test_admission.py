"""The door: no place lost or given twice, each bank its turn, interactive before batch; all in simulated time."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.rpc.admission import AdmissionPolicy, Admissions
from gateway.domain.errors import AdmissionError, Reason

T = TypeVar("T")


class _NoWaiting(selectors.SelectSelector):
    """Instead of waiting lets the time pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only when nothing else is left to do; also the clock of what runs on it."""

    def __init__(self) -> None:
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    monotonic = time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)


def simulated(story: Coroutine[Any, Any, T]) -> T:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


def door(**policy: Any) -> Admissions:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Admissions(AdmissionPolicy(**policy), loop)


async def enter(admissions: Admissions, bank: str, *, is_batch: bool = False, within_s: float = 60.0) -> None:
    if not admissions.try_enter(bank, is_batch=is_batch):
        await admissions.wait(bank, asyncio.get_running_loop().time() + within_s, is_batch=is_batch)


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
        admissions = door(most_under_way=10, bank_most_under_way=5, batch_share=0.8)
        of_one_bank = [admissions.try_enter("a", is_batch=True) for _ in range(5)]
        of_others = [admissions.try_enter(bank, is_batch=True) for bank in "bcdef"]
        return [*of_one_bank, *of_others, admissions.try_enter("a"), admissions.try_enter("g")]

    entered = simulated(story())

    assert entered == [*[True] * 4, False, *[True] * 4, False, True, True]


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


BANKS = "abc"
POLICIES = st.builds(
    AdmissionPolicy,
    most_under_way=st.integers(1, 6),
    bank_most_under_way=st.integers(1, 4),
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
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.policy = policy
        self.door = Admissions(policy, loop)
        self.inside: list[str] = []
        self.asking: dict[asyncio.Task[None], tuple[str, bool]] = {}

    async def _ask(self, bank: str, is_batch: bool) -> None:
        try:
            await enter(self.door, bank, is_batch=is_batch)
        except AdmissionError:
            return
        self.inside.append(bank)

    async def step(self, chance: random.Random) -> None:
        """Someone asks, leaves, loses patience, or time passes; several may fall into one turn of the loop."""
        match chance.choices(("ask", "leave", "cancel", "settle", "pass"), (40, 25, 15, 15, 5))[0]:
            case "ask":
                bank, is_batch = chance.choice(BANKS), chance.random() < 0.4
                task = asyncio.create_task(self._ask(bank, is_batch))
                self.asking[task] = (bank, is_batch)
                task.add_done_callback(self.asking.pop)
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
        for _ in range(5):
            await asyncio.sleep(0)
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
