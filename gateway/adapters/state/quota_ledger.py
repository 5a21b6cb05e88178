"""The quota ledger of one process: how many calls each platform and each bank has had, in China's day and in the second.

The counting is that of `limits`: its strategies and items, on a storage of our own, by the extension point it documents
(a subclass of `Storage`). Its `MemoryStorage` reads `time.time()`, which no test can move and an operator can, and keeps
a thread to forget in, started anew as often as calls come.

A day is a fixed window whose name holds the date, so it turns at midnight in China and a clock set back finds what it
had spent. A second is a moving window: in no stretch of one second are there more calls than allowed, wherever the
platform begins to count its own. A call is charged to all its limits or to none: nothing here waits, so between the tests
and the hits no other call comes.

What this ledger knows is lost with the process, and another process has its own: `QuotaPolicy.shared_by` divides the quota
among processes, and only a shared `QuotaStore` will outlive a restart.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from gateway.adapters.resilience.quota import (
    INTERACTIVE_RESERVE,
    MAINTENANCE,
    QUOTA_BANK,
    QUOTA_BANK_SECOND,
    QUOTA_DAY,
    QUOTA_PAID,
    QUOTA_SECOND,
    QuotaPolicy,
    Refusal,
    maintenance_spans,
)
from gateway.domain.dates import CHINA, china_date, china_midnight
from gateway.ports import Clock

_MOST_BANKS: Final = (
    10_000  # a day; further ones share one quota, so that invented names cost no memory and win no calls
)
_ROUNDING: Final = 1e-9  # so that a reserve of 0.07 of 100 is seven
_EARLY_S: Final = 1e-6  # so that a wait of exactly the time that was named is long enough, whatever floats make of it
_KEPT_DAYS: Final = 2  # for a clock that is set back over midnight


class QuotaLedger:
    """Keeps count of calls in this process; fulfils `QuotaStore`."""

    def __init__(self, policies: Mapping[str, QuotaPolicy], clock: Clock) -> None:
        """Takes each platform's policy; a platform that is not named has no quota."""
        self._clock = clock
        self._storage = _ClockedStorage(clock)
        self._accounts = {
            platform: _Account(platform, policy, self._storage, clock)
            for platform, policy in policies.items()
            if not policy.is_empty
        }

    def take(self, platform: str, bank: str, *, is_batch: bool) -> Refusal | None:
        """Charges one call to everything that limits it, or gives why it may not be made and charges nothing."""
        account = self._accounts.get(platform)
        if account is None:
            return None
        now = self._clock.now()
        if not account.begins <= now < account.ends:
            account.turn(now)
        allowances = account.allowances(bank)
        if account.maintenance_ends is not None:
            return account.refusal(allowances, now, is_batch)
        for allowance in allowances:
            if not allowance.limiter.test(allowance.item, cost=allowance.batch_cost if is_batch else 1):
                return account.refusal(allowances, now, is_batch, allowance)
        for allowance in allowances:
            allowance.limiter.hit(allowance.item)
        return None

    def give_back(self, platform: str, bank: str, taken_at: float, *, only_paid: bool = False) -> None:
        """Takes back one call charged not before `taken_at`, a point of `Clock.monotonic`; or only what bills count."""
        account = self._accounts.get(platform)
        if account is None:
            return
        for allowance in account.allowances(bank):
            key = allowance.item.key_for()
            if only_paid and allowance.reason != QUOTA_PAID:
                continue
            if not allowance.is_of_day:
                self._storage.drop_entry(key, allowance.item.get_expiry(), taken_at)
            elif taken_at >= account.day_began_at:  # yesterday's call is no call of today
                self._storage.decr(key)

    def left(self, platform: str) -> int | None:
        """Gives how many calls the platform's day still has, paid ones where that is fewer; None without such a limit."""
        account = self._at(platform)
        if account is None or not account.of_day:
            return None
        get = self._storage.get
        return max(0, min([allowance.item.amount - get(allowance.item.key_for()) for allowance in account.of_day]))

    def reset_at(self, platform: str) -> datetime | None:
        """Gives when the platform's day ends, in China time; None for a platform without a quota."""
        account = self._at(platform)
        return None if account is None else account.day_ends.astimezone(CHINA)

    def _at(self, platform: str) -> _Account | None:
        account = self._accounts.get(platform)
        if account is not None:
            now = self._clock.now()
            if not account.begins <= now < account.ends:
                account.turn(now)
        return account


@dataclass(frozen=True, slots=True)
class _Allowance:
    """One limit of one day or second; a batch call must find room for `batch_cost` calls, of which it takes one."""

    reason: str
    limiter: RateLimiter
    item: RateLimitItem
    batch_cost: int
    is_of_day: bool


class _Account:
    """One platform's limits, over a span in which neither the day nor a maintenance window begins or ends."""

    def __init__(self, platform: str, policy: QuotaPolicy, storage: _ClockedStorage, clock: Clock) -> None:
        self._platform = platform
        self._policy = policy
        self._storage = storage
        self._clock = clock
        self._fixed = FixedWindowRateLimiter(storage)
        self._moving = MovingWindowRateLimiter(storage)
        self._is_per_bank = policy.bank_calls_per_s is not None or policy.bank_calls_per_day is not None
        self._day: date | None = None
        self._shared: tuple[_Allowance, ...] = ()
        self._by_bank: dict[str, tuple[_Allowance, ...]] = {}
        self._spans: list[tuple[datetime, datetime]] = []
        self.of_day: tuple[_Allowance, ...] = ()
        self.turn(clock.now())

    def turn(self, now: datetime) -> None:
        """Begins the span that holds the moment, and the day if that is another."""
        day = china_date(now)
        if day != self._day:
            self._begin(day)
        midnight = datetime.fromtimestamp(china_midnight(day), UTC)
        # In UTC as the clock's own moments are: such moments are compared without asking for their offsets.
        self.begins, self.day_ends = midnight, midnight + timedelta(days=1)
        self.ends = self.day_ends
        self.day_began_at = self._clock.monotonic() - (now - midnight).total_seconds()
        self.maintenance_ends: datetime | None = None
        self._spans = maintenance_spans(self._policy.maintenance, day)
        for begins, ends in self._spans:
            for edge in (begins, ends):
                if edge <= now:
                    self.begins = max(self.begins, edge.astimezone(UTC))
                else:
                    self.ends = min(self.ends, edge.astimezone(UTC))
            if begins <= now < ends:
                self.maintenance_ends = ends

    def allowances(self, bank: str) -> tuple[_Allowance, ...]:
        """Gives what limits the bank's calls."""
        if not self._is_per_bank:
            return self._shared
        known = self._by_bank.get(bank)
        if known is None:
            is_one_of_many = len(self._by_bank) >= _MOST_BANKS
            known = self._shared + self._of_bank("banks" if is_one_of_many else f"bank/{bank}")
            if not is_one_of_many:
                self._by_bank[bank] = known
        return known

    def refusal(
        self, allowances: tuple[_Allowance, ...], now: datetime, is_batch: bool, refused: _Allowance | None = None
    ) -> Refusal:
        """Gives the refusal that lasts longest, and to the end of the maintenance window in which it would end.

        `refused` is one that had no room a moment ago: by now it may have some, since a second ends at any time.
        """
        if self.maintenance_ends is not None:
            refusals = [(self.maintenance_ends, MAINTENANCE)]
        else:
            refusals = [
                (self._resets_at(allowance, now), self._reason(allowance, is_batch))
                for allowance in allowances
                if allowance is refused
                or not allowance.limiter.test(allowance.item, cost=allowance.batch_cost if is_batch else 1)
            ]
        resets_at, reason = max(refusals, key=lambda refusal: refusal[0])
        for begins, ends in self._spans:
            if begins <= resets_at < ends:
                resets_at = ends
        return Refusal(reason, max(0.0, (resets_at - now).total_seconds()), resets_at.astimezone(CHINA))

    def _resets_at(self, allowance: _Allowance, now: datetime) -> datetime:
        if allowance.is_of_day:
            return self.day_ends
        free_at = allowance.limiter.get_window_stats(allowance.item).reset_time
        return now + timedelta(seconds=free_at - self._clock.monotonic())

    def _reason(self, allowance: _Allowance, is_batch: bool) -> str:
        if is_batch and allowance.is_of_day and allowance.limiter.test(allowance.item):
            return INTERACTIVE_RESERVE
        return allowance.reason

    def _begin(self, day: date) -> None:
        self._day = day
        self._storage.forget_expired()
        self._by_bank.clear()
        policy = self._policy
        seconds = self._second(QUOTA_SECOND, "", policy.calls_per_s)
        self.of_day = self._of_day(QUOTA_DAY, "", policy.calls_per_day)
        self.of_day += self._of_day(QUOTA_PAID, "paid", policy.paid_calls_per_day)
        self._shared = self.of_day + seconds

    def _of_bank(self, name: str) -> tuple[_Allowance, ...]:
        seconds = self._second(QUOTA_BANK_SECOND, name, self._policy.bank_calls_per_s)
        return self._of_day(QUOTA_BANK, name, self._policy.bank_calls_per_day) + seconds

    def _of_day(self, reason: str, name: str, calls: int | None) -> tuple[_Allowance, ...]:
        if calls is None:
            return ()
        item = _PerDay(calls, f"{self._platform}/{self._day}/{name}")
        reserved = math.ceil(calls * self._policy.interactive_reserve - _ROUNDING)
        return (_Allowance(reason, self._fixed, item, 1 + reserved, is_of_day=True),)

    def _second(self, reason: str, name: str, rate: float | None) -> tuple[_Allowance, ...]:
        if rate is None:
            return ()
        calls = max(1, int(rate))
        item = _PerSeconds(calls, max(1, math.ceil(1 / rate - _ROUNDING)), f"{self._platform}/second/{name}")
        reserved = min(math.ceil(calls * self._policy.interactive_reserve - _ROUNDING), calls - 1)
        return (_Allowance(reason, self._moving, item, 1 + reserved, is_of_day=False),)


class _PerDay(RateLimitItemPerDay):
    """So many calls under a name that holds its day; made once, since `limits` joins the name anew for each call."""

    __slots__ = ("_key",)

    def __init__(self, calls: int, key: str) -> None:
        super().__init__(calls, _KEPT_DAYS)
        self._key = key

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return self._key


class _PerSeconds(RateLimitItemPerSecond):
    """So many calls in so many seconds, under a name made once."""

    __slots__ = ("_key",)

    def __init__(self, calls: int, seconds: int, key: str) -> None:
        super().__init__(calls, seconds)
        self._key = key

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return self._key


class _ClockedStorage(Storage, MovingWindowSupport):
    """A storage for `limits` in this process's memory, on our clock, without threads; times are of `Clock.monotonic`."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._expiries: dict[str, float] = {}
        self._entries: dict[str, deque[float]] = {}

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count = self._counts.get(key, 0)
        if not count:
            self._expiries[key] = self._clock.monotonic() + expiry
        self._counts[key] = count = count + amount
        return count

    def decr(self, key: str) -> None:
        """Takes one off a count."""
        if self._counts.get(key, 0) > 0:
            self._counts[key] -= 1

    def get(self, key: str) -> int:
        return self._counts.get(key, 0)

    def get_expiry(self, key: str) -> float:
        return self._expiries.get(key, self._clock.monotonic())

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock.monotonic()
        entries = self._newest(key, now - expiry)
        if len(entries) + amount > limit:
            return False
        entries.extend([now] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = self._clock.monotonic()
        entries = self._newest(key, now - expiry)
        return (entries[0] if entries else now), len(entries)

    def drop_entry(self, key: str, expiry: int, taken_at: float) -> None:
        """Takes one entry off, if one made at `taken_at` would still stand.

        The oldest: the entries that are left are then none of them older than calls that were made.
        """
        since = self._clock.monotonic() - expiry
        entries = self._newest(key, since)
        if entries and taken_at > since + _EARLY_S:
            entries.popleft()

    def forget_expired(self) -> None:
        """Frees what no call can ask for any more; names hold their day, so no count is read after its time."""
        now = self._clock.monotonic()
        for key in [key for key, expiry in self._expiries.items() if expiry <= now]:
            self.clear(key)
        for key in [key for key, entries in self._entries.items() if not entries or entries[-1] < now - 86_400]:
            del self._entries[key]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        cleared = len(self._counts) + len(self._entries)
        self._counts.clear()
        self._expiries.clear()
        self._entries.clear()
        return cleared

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)
        self._expiries.pop(key, None)
        self._entries.pop(key, None)

    def _newest(self, key: str, since: float) -> deque[float]:
        entries = self._entries.get(key)
        if entries is None:
            entries = self._entries[key] = deque()
        while entries and entries[0] <= since + _EARLY_S:
            entries.popleft()
        return entries
