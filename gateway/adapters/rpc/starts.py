"""Whose query starts next, where a bank has many under way: its further ones start by turns of the banks.

Calls reach the loop one by one, in the order they came, and each behind the work that those before it have made. So a bank
that asks 300 times at once would keep every other waiting until most of its queries are answered. Here its further queries
step aside until nobody comes behind them any more, and whoever came meanwhile is in. Then some start, one in each turn of the
loop so that no turn is long, and it is looked again.

Where calls come without end, no more time goes by with stepping aside than with starting. A bank that has many under way
since platforms are slow, and not since it asks faster than the loop works, waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.adapters.rpc.lines import Lines

_LOOK_S: Final = 0.001
_QUIET: Final = 4
"""So many looks without a call mean that nobody comes: gRPC's own thread hands calls over one by one, not in every turn."""
_LONGEST_ASIDE_S: Final = 0.1
"""What may go by with stepping aside, beyond as much as went by with starting."""
_AT_A_TIME: Final = 8
"""How many start before it is looked again."""
_EACH_S: Final = 0.004
_MOST_AT_ONCE: Final = 8
"""While nobody waits, so many start at once and one more each time that this passes: what comes so slowly is worked off."""


class Starts:
    """The lines of interactive and of batch queries that are in and wait for their turn to start."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._interactive, self._batch = Lines(weights), Lines(weights)
        self._is_going = False
        self._is_aside = False
        self._has_come = False
        self._quiet = 0
        self._aside_s = 0.0
        self._looked_at = 0.0
        self._free_at = 0.0

    @property
    def waiting(self) -> int:
        """How many queries wait for their turn."""
        return self._interactive.waiting + self._batch.waiting

    async def turn_came(self, bank: str, until: float, *, is_batch: bool) -> bool:
        """Waits until it is the query's turn to start, and says whether that was before the loop's time `until`."""
        if not self._is_going and self._may_at_once():
            return True
        lines = self._batch if is_batch else self._interactive
        turn = lines.join(bank)
        self._has_come = True
        if not self._is_going:
            self._is_going = True
            self._look()
        return await lines.turn_came(bank, turn, until)

    def _may_at_once(self) -> bool:
        now = asyncio.get_running_loop().time()
        free_at = max(self._free_at, now) + _EACH_S
        if free_at > now + _MOST_AT_ONCE * _EACH_S:
            return False
        self._free_at = free_at
        return True

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        passed_s, self._looked_at = now - self._looked_at, now
        self._aside_s = self._aside_s + passed_s if self._is_aside else max(self._aside_s - passed_s, 0.0)
        self._quiet = 0 if self._has_come else self._quiet + 1
        self._has_come = False
        self._is_aside = self._quiet < _QUIET and self._aside_s < _LONGEST_ASIDE_S
        if self._is_aside:
            # A timer rather than the loop's next turn: the thread that hands calls over gets the processor meanwhile.
            loop.call_later(_LOOK_S, self._look)
        else:
            self._start_one(_AT_A_TIME)

    def _start_one(self, left: int) -> None:
        if not self._start_first():
            self._is_going = False
        elif left > 1:
            asyncio.get_running_loop().call_soon(self._start_one, left - 1)
        else:
            asyncio.get_running_loop().call_soon(self._look)

    def _start_first(self) -> bool:
        """Starts the one whose turn it is, and says whether there was one."""
        for lines in (self._interactive, self._batch):
            while (bank := lines.whose_turn()) is not None:
                turn = lines.take(bank)
                if not turn.done():  # else cancelled or timed out, and its task has not yet run to say so
                    turn.set_result(True)
                    return True
        return False
