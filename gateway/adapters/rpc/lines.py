"""The lines of those who wait at the door, one per bank, and the round of the banks whose turn may come."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping


class Lines:
    """Whoever waits is a future that is done when its turn has come (True), or when its time is up (False).

    The round is deficit round robin: each costs one, so a bank's deficit is its weight in turns; `weights` are those other
    than one.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.waiting = 0
        self._weights = weights
        # Ordered dicts, not deques: whoever gives up leaves from the middle in constant time, so that a flood of calls made
        # and cancelled leaves nothing behind.
        self._lines: dict[str, OrderedDict[asyncio.Future[bool], None]] = {}
        self._turns_left: OrderedDict[str, int] = OrderedDict()

    def waiting_of(self, bank: str) -> int:
        """How many of the bank wait."""
        return len(self._lines.get(bank, ()))

    def join(self, bank: str) -> asyncio.Future[bool]:
        """Puts one at the end of the bank's line, and the bank into the round."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(bank, OrderedDict())[turn] = None
        self.waiting += 1
        self.give_turns(bank)
        return turn

    async def turn_came(self, bank: str, turn: asyncio.Future[bool], until: float) -> bool:
        """Waits for a turn, and says whether it came before the loop's time `until`; in any case it is in no line then."""
        timer = asyncio.get_running_loop().call_at(until, _time_up, turn)
        try:
            return await turn
        finally:
            timer.cancel()
            self._forget(bank, turn)

    def give_turns(self, bank: str) -> None:
        """Puts a bank of which somebody waits into the round, if it is not there."""
        if bank in self._lines:
            self._turns_left.setdefault(bank, self._turns(bank))

    def lose_turns(self, bank: str) -> None:
        """Takes a bank out of the round; its line stays."""
        self._turns_left.pop(bank, None)

    def whose_turn(self) -> str | None:
        """Gives the bank whose turn it is; None when nobody of those in the round waits."""
        return next(iter(self._turns_left), None)

    def take(self, bank: str) -> asyncio.Future[bool]:
        """Takes the first of the bank whose turn it is out of its line; done already is one who has given up just now."""
        turn = next(iter(self._lines[bank]))
        if self._turns_left[bank] > 1:
            self._turns_left[bank] -= 1
        else:
            self._turns_left[bank] = self._turns(bank)
            self._turns_left.move_to_end(bank)
        self._forget(bank, turn)
        return turn

    def _turns(self, bank: str) -> int:
        return self._weights.get(bank, 1)

    def _forget(self, bank: str, turn: asyncio.Future[bool]) -> None:
        line = self._lines.get(bank)
        if line is None or turn not in line:
            return
        del line[turn]
        self.waiting -= 1
        if not line:
            del self._lines[bank]
            self.lose_turns(bank)


def _time_up(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
