"""A ledger of one platform's quota, and what it grants and refuses."""

from __future__ import annotations

from typing import Any

from gateway.adapters.resilience.quota import QuotaPolicy, Refusal
from gateway.adapters.state.quota_ledger import QuotaLedger
from tests.adapters.simulated import LoopClock, MovedClock


def ledger(clock: MovedClock | LoopClock, **policy: Any) -> QuotaLedger:
    """Gives a ledger of platform "a", without a reserve unless one is stated."""
    return QuotaLedger({"a": QuotaPolicy(**{"interactive_reserve": 0.0, **policy})}, clock)


def takes(held: QuotaLedger, times: int, bank: str = "one", *, is_batch: bool = False) -> int:
    """Gives how many of so many calls were paid for."""
    return sum([held.take("a", bank, is_batch=is_batch) is None for _ in range(times)])


def refused(held: QuotaLedger, bank: str = "one", *, is_batch: bool = False) -> Refusal:
    """Gives why a call is not paid for."""
    refusal = held.take("a", bank, is_batch=is_batch)
    assert refusal is not None
    return refusal
