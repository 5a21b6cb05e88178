"""Admission at the door: how many queries are under way at once, whose turn it is when the house is full, who is sent away.

    free         a count and a compare; any bank may use what is free, up to its own most
    full         a query waits in its bank's line; freed places go round the banks (deficit round robin: every query costs
                 one, so a bank's deficit is its weight in turns), all interactive lines before any batch line
    line full,   RESOURCE_EXHAUSTED with a hint when to ask again
    or too long
    in           a bank's first start at once; where many of it are in and other banks ask too, the further ones start by
                 turns, see `Starts`

Batch queries leave the last places, of the house and of each bank, to interactive ones. A bank is known here only while it
has something under way or waiting, so that invented names fill nothing. All on one event loop: there is nothing to lock.

Source: M. Shreedhar and G. Varghese, Efficient Fair Queuing Using Deficit Round-Robin, SIGCOMM 1995.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.adapters.rpc.lines import Lines
from gateway.adapters.rpc.starts import Starts
from gateway.domain.errors import AdmissionError
from gateway.ports import Clock

_AT_ONCE: Final = 4
"""How many of a bank may be under way before its further ones wait for their turn to start."""
_SEVERAL_S: Final = 60.0
"""For so long after another bank was heard of they wait: by turns a full process answers fewer, and nobody gains where one
bank asks."""
_SPREAD: Final = 16


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """How many queries may be under way and waiting, in all and of one bank, and for how long they may wait.

    `batch_share` is the part of the places that batch queries may use; waiting is counted apart for interactive and batch
    queries. `retry_after_s` is the least a refused caller is asked to stay away; hints are spread up to twice that, so that
    those refused together do not come back together. `weights` gives a bank more turns than the one of every other.
    Raises ValueError for a number that would let nobody in.
    """

    most_under_way: int = 20_000
    bank_most_under_way: int = 12_000
    most_waiting: int = 4_000
    bank_most_waiting: int = 1_000
    longest_queue_s: float = 0.5
    batch_longest_queue_s: float = 5.0
    batch_share: float = 0.8
    retry_after_s: float = 1.0
    weights: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.most_under_way, self.bank_most_under_way, *self.weights.values()) < 1:
            raise ValueError("most_under_way, bank_most_under_way and every weight must be at least 1")
        if not 0 < self.batch_share <= 1:
            raise ValueError("batch_share must be above 0 and at most 1")


class Admissions:
    """The door: `try_enter`, or else `wait`, and after either exactly one `leave`."""

    def __init__(self, policy: AdmissionPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._under_way = 0
        self._refused = 0
        self._of_bank: dict[str, int] = {}
        self._most = policy.most_under_way
        bank_most, share, weights = policy.bank_most_under_way, policy.batch_share, policy.weights
        self._interactive = _Lane(self._most, bank_most, policy.longest_queue_s, weights)
        self._batch = _Lane(
            max(int(self._most * share), 1), max(int(bank_most * share), 1), policy.batch_longest_queue_s, weights
        )
        self._at_once = min(_AT_ONCE, bank_most)
        self._starts = Starts(weights)
        self._last_bank = ""
        self._several_until = float("-inf")

    @property
    def under_way(self) -> int:
        """How many queries are in."""
        return self._under_way

    @property
    def starting(self) -> int:
        """How many of those that are in wait for their turn to start."""
        return self._starts.waiting

    @property
    def waiting(self) -> int:
        """How many queries wait for a place."""
        return self._interactive.waiting + self._batch.waiting

    @property
    def refused(self) -> int:
        """How many queries were sent away since the start."""
        return self._refused

    def try_enter(self, bank: str, *, is_batch: bool = False) -> bool:
        """Lets a query of the bank in if there is room, and says whether it did; the way of nearly every query."""
        # Nobody who waits is passed over: a freed place is given away in `leave`, so that whoever still waits while there
        # is room here waits for another reason, the most of its own bank or the share of batch queries.
        if bank != self._last_bank:
            self._note(bank)
        of_bank = self._of_bank.get(bank, 0)
        lane = self._batch if is_batch else self._interactive
        if self._under_way >= lane.most or of_bank >= lane.bank_most or self._is_by_turns(of_bank):
            return False
        self._under_way += 1
        self._of_bank[bank] = of_bank + 1
        return True

    async def wait(self, bank: str, until: float, *, is_batch: bool = False) -> None:
        """Lets a query in when its turn comes; the way of those that `try_enter` did not let in.

        `until` is the point of `Clock.monotonic` after which coming in would be of no use. Raises AdmissionError when the
        bank's line is full or its turn does not come in time. Whoever is cancelled while waiting is not in.
        """
        if bank != self._last_bank:
            self._note(bank)
        lane = self._batch if is_batch else self._interactive
        of_bank = self._of_bank.get(bank, 0)
        if self._under_way >= lane.most or of_bank >= lane.bank_most:
            await self._wait_for_place(bank, until, lane)
        else:
            self._under_way += 1
            self._of_bank[bank] = of_bank + 1
        if not self._is_by_turns(self._of_bank[bank] - 1):
            return
        is_its_turn = False
        try:
            is_its_turn = await self._starts.turn_came(bank, until, is_batch=is_batch)
        finally:
            if not is_its_turn:
                self.leave(bank)
        if not is_its_turn:
            raise self._refusal("too many queries of this bank are under way; its turn did not come in time")

    def _note(self, bank: str) -> None:
        if self._last_bank:
            self._several_until = self._clock.monotonic() + _SEVERAL_S
        self._last_bank = bank

    def _is_by_turns(self, of_bank: int) -> bool:
        """Whether a query starts by turns, where so many of its bank are in beside it."""
        if of_bank < self._at_once:
            return False
        return self._starts.waiting > 0 or self._clock.monotonic() < self._several_until

    async def _wait_for_place(self, bank: str, until: float, lane: _Lane) -> None:
        if lane.waiting >= self._policy.most_waiting:
            raise self._refusal("too many queries wait already")
        if lane.waiting_of(bank) >= self._policy.bank_most_waiting:
            raise self._refusal("too many queries of this bank wait already")
        turn = lane.join(bank)
        self._let_in(lane)
        try:
            is_in = await lane.turn_came(bank, turn, min(until, self._clock.monotonic() + lane.longest_s))
        except (asyncio.CancelledError, GeneratorExit):
            if turn.done() and not turn.cancelled() and turn.result():  # its turn had come before it learned of it
                self.leave(bank)
            raise
        if not is_in:
            raise self._refusal("the gateway is full; its turn did not come in time")

    def leave(self, bank: str) -> None:
        """Takes a query of the bank out and lets in whose turn it is."""
        left = self._of_bank[bank] - 1
        self._under_way -= 1
        if left:
            self._of_bank[bank] = left
        else:
            del self._of_bank[bank]
        for lane in (self._interactive, self._batch):
            if lane.waiting:
                if left < lane.bank_most:
                    lane.give_turns(bank)
                self._let_in(lane)

    def _let_in(self, lane: _Lane) -> None:
        while self._under_way < lane.most and (bank := lane.whose_turn()) is not None:
            of_bank = self._of_bank.get(bank, 0)
            if of_bank >= lane.bank_most:
                lane.lose_turns(bank)  # given anew when a query of this bank leaves
                continue
            turn = lane.take(bank)
            if turn.done():  # cancelled or timed out, and its task has not yet run to say so
                continue
            self._under_way += 1
            self._of_bank[bank] = of_bank + 1
            turn.set_result(True)

    def _refusal(self, message: str) -> AdmissionError:
        self._refused += 1
        spread = 1 + self._refused % _SPREAD / _SPREAD
        return AdmissionError(message, retry_after_s=self._policy.retry_after_s * spread)


class _Lane(Lines):
    """The lines of interactive or of batch queries that wait for a place."""

    def __init__(self, most: int, bank_most: int, longest_s: float, weights: Mapping[str, int]) -> None:
        super().__init__(weights)
        self.most = most
        self.bank_most = bank_most
        self.longest_s = longest_s
