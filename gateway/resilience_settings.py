"""`resilience.toml`: one table per wrapper, for all platforms under `[default]`, overridden key by key in a platform's own.

Each table gives its wrapper's policy. Defaults are the policies' own, so that they stand in one place. What a platform's
manifest limits holds everywhere: a deployment's quota may be tighter, never wider.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import Field, ValidationError, model_validator

from gateway.adapters.resilience.breaker import BreakerPolicy
from gateway.adapters.resilience.bulkhead import BulkheadPolicy
from gateway.adapters.resilience.chain import ChainPolicy
from gateway.adapters.resilience.hedge import HedgePolicy
from gateway.adapters.resilience.quota import MaintenanceWindow, QuotaPolicy
from gateway.adapters.resilience.retry import RetryPolicy
from gateway.domain.keeping import KeepingPolicy
from gateway.domain.platform import PlatformLimits
from gateway.table import Table, table_faults

DEFAULT: Final = "default"
FILE: Final = "resilience.toml"

_CACHE = KeepingPolicy()
_QUOTA = QuotaPolicy()
_BREAKER = BreakerPolicy()
_BULKHEAD = BulkheadPolicy()
_RETRY = RetryPolicy()
_HEDGE = HedgePolicy()
_NO_LIMITS = PlatformLimits()


def _tighter(ours: float | None, theirs: float | None) -> float | None:
    stated = [limit for limit in (ours, theirs) if limit is not None]
    return min(stated, default=None)


class CacheTable(Table):
    """How long answers are kept; see `KeepingPolicy`."""

    enabled: bool = _CACHE.enabled
    longest_s: float = Field(default=_CACHE.longest_s, ge=0)
    negative_s: float = Field(default=_CACHE.negative_s, ge=0)
    stale_s: float = Field(default=_CACHE.stale_s, ge=0)

    def policy(self) -> KeepingPolicy:
        """Gives what the wrapper takes."""
        return KeepingPolicy(**self.model_dump())


class QuotaTable(Table):
    """How often a platform may be asked here; see `QuotaPolicy`. Where somebody else keeps count it is not enabled."""

    enabled: bool = True
    calls_per_s: float | None = Field(default=_QUOTA.calls_per_s, gt=0, allow_inf_nan=False)
    calls_per_day: int | None = Field(default=_QUOTA.calls_per_day, ge=0)
    paid_calls_per_day: int | None = Field(default=_QUOTA.paid_calls_per_day, ge=0)
    bank_calls_per_s: float | None = Field(default=_QUOTA.bank_calls_per_s, gt=0, allow_inf_nan=False)
    bank_calls_per_day: int | None = Field(default=_QUOTA.bank_calls_per_day, ge=0)
    interactive_reserve: float = Field(default=_QUOTA.interactive_reserve, ge=0, le=1)
    maintenance: tuple[str, ...] = ()
    longest_wait_s: float = Field(default=_QUOTA.longest_wait_s, ge=0)
    least_attempt_s: float = Field(default=_QUOTA.least_attempt_s, ge=0)

    @model_validator(mode="after")
    def _is_sound(self) -> QuotaTable:
        self.policy()
        return self

    def policy(self, limits: PlatformLimits = _NO_LIMITS) -> QuotaPolicy:
        """Gives what the wrapper takes: of the manifest's limits and ours the tighter, and everybody's maintenance.

        Raises ValueError for a maintenance window that is none.
        """
        if not self.enabled:
            return QuotaPolicy()
        windows = (*limits.maintenance_windows, *self.maintenance)
        return QuotaPolicy(
            **{
                **self.model_dump(exclude={"enabled"}),
                "calls_per_s": _tighter(self.calls_per_s, limits.calls_per_second or None),
                "calls_per_day": _tighter(self.calls_per_day, limits.calls_per_day or None),
                "maintenance": tuple(MaintenanceWindow.parse(window) for window in windows),
            }
        )


class BreakerTable(Table):
    """When a platform is no longer asked; see `BreakerPolicy`."""

    failures_to_open: int = Field(default=_BREAKER.failures_to_open, ge=1)
    failing_share: float = Field(default=_BREAKER.failing_share, ge=0, le=1)
    memory_s: float = Field(default=_BREAKER.memory_s, gt=0)
    fair_time_s: float = Field(default=_BREAKER.fair_time_s, ge=0)
    first_pause_s: float = Field(default=_BREAKER.first_pause_s, gt=0)
    growth: float = Field(default=_BREAKER.growth, ge=1)
    longest_pause_s: float = Field(default=_BREAKER.longest_pause_s, gt=0)
    longest_relapse_pause_s: float = Field(default=_BREAKER.longest_relapse_pause_s, gt=0)
    jitter: float = Field(default=_BREAKER.jitter, ge=0, lt=1)
    calm_s: float = Field(default=_BREAKER.calm_s, ge=0)

    @model_validator(mode="after")
    def _is_sound(self) -> BreakerTable:
        self.policy()
        return self

    def policy(self) -> BreakerPolicy:
        """Gives what the wrapper takes."""
        return BreakerPolicy(**self.model_dump())


class BulkheadTable(Table):
    """How many calls may be under way; see `BulkheadPolicy`."""

    fewest: int = Field(default=_BULKHEAD.fewest, ge=1)
    first: int = Field(default=_BULKHEAD.first, ge=1)
    most: int = Field(default=_BULKHEAD.most, ge=1)
    longest_queue: int = Field(default=_BULKHEAD.longest_queue, ge=0)
    least_attempt_s: float = Field(default=_BULKHEAD.least_attempt_s, ge=0)
    tolerance: float = Field(default=_BULKHEAD.tolerance, gt=1)
    memory_s: float = Field(default=_BULKHEAD.memory_s, gt=0)

    @model_validator(mode="after")
    def _is_sound(self) -> BulkheadTable:
        self.policy()
        return self

    def policy(self) -> BulkheadPolicy:
        """Gives what the wrapper takes."""
        return BulkheadPolicy(**self.model_dump())


class RetryTable(Table):
    """How a platform is asked again; see `RetryPolicy`."""

    attempts: int = Field(default=_RETRY.attempts, ge=1, le=10)
    backoff_s: float = Field(default=_RETRY.backoff_s, ge=0)
    longest_backoff_s: float = Field(default=_RETRY.longest_backoff_s, ge=0)
    least_attempt_s: float = Field(default=_RETRY.least_attempt_s, ge=0)
    budget_share: float = Field(default=_RETRY.budget_share, ge=0, le=1)
    budget_floor: int = Field(default=_RETRY.budget_floor, ge=0)
    budget_window_s: float = Field(default=_RETRY.budget_window_s, gt=0)

    def policy(self) -> RetryPolicy:
        """Gives what the wrapper takes."""
        return RetryPolicy(**self.model_dump())


class HedgeTable(Table):
    """When a second attempt is made beside a slow one; see `HedgePolicy`."""

    enabled: bool = _HEDGE.enabled
    attempts: int = Field(default=_HEDGE.attempts, ge=2, le=3)
    quantile: float = Field(default=_HEDGE.quantile, gt=0, lt=1)
    fewest_samples: int = Field(default=_HEDGE.fewest_samples, ge=1)
    least_delay_s: float = Field(default=_HEDGE.least_delay_s, ge=0)
    longest_delay_s: float = Field(default=_HEDGE.longest_delay_s, ge=0)
    least_attempt_s: float = Field(default=_HEDGE.least_attempt_s, ge=0)
    budget_share: float = Field(default=_HEDGE.budget_share, ge=0, le=1)
    budget_floor: int = Field(default=_HEDGE.budget_floor, ge=0)
    budget_window_s: float = Field(default=_HEDGE.budget_window_s, gt=0)

    def policy(self) -> HedgePolicy:
        """Gives what the wrapper takes."""
        return HedgePolicy(**self.model_dump())


class ResilienceTable(Table):
    """What holds for one platform, or for all by default."""

    cache: CacheTable = CacheTable()
    quota: QuotaTable = QuotaTable()
    breaker: BreakerTable = BreakerTable()
    bulkhead: BulkheadTable = BulkheadTable()
    retry: RetryTable = RetryTable()
    hedge: HedgeTable = HedgeTable()

    def policy(self, limits: PlatformLimits) -> ChainPolicy:
        """Gives what the chain takes; raises ValueError for a limit of the manifest that is none."""
        return ChainPolicy(
            cache=self.cache.policy(),
            quota=self.quota.policy(limits),
            breaker=self.breaker.policy(),
            bulkhead=self.bulkhead.policy(),
            retry=self.retry.policy(),
            hedge=self.hedge.policy(),
        )


def read_resilience(
    tables: Mapping[str, Any], platforms: Collection[str], faults: list[str]
) -> Mapping[str, ResilienceTable]:
    """Gives the checked tables by platform, each merged key by key over `default`; appends every fault."""
    default = tables.get(DEFAULT, {})
    held = _checked(default, DEFAULT, faults)
    read = {DEFAULT: held or ResilienceTable()}
    for name, table in tables.items():
        if name == DEFAULT:
            continue
        if name not in platforms:
            faults.append(f"{FILE}: {name}: platforms.toml names no such platform")
        # Over a default that is broken itself, the default's faults would be told once more under every name.
        own = _checked(table if held is None else _over(default, table), name, faults)
        if own is not None:
            read[name] = own
    return read


def _over(default: Mapping[str, Any], table: Any) -> Any:
    """Gives the default's wrappers with the platform's own keys in the place of theirs."""
    if not isinstance(table, Mapping):
        return table
    merged = dict(default)
    for wrapper, keys in table.items():
        inherited = default.get(wrapper)
        if isinstance(inherited, Mapping) and isinstance(keys, Mapping):
            merged[wrapper] = {**inherited, **keys}
        else:
            merged[wrapper] = keys
    return merged


def _checked(table: Any, name: str, faults: list[str]) -> ResilienceTable | None:
    try:
        return ResilienceTable.model_validate(table)
    except ValidationError as error:
        faults += [f"{FILE}: {name}: {fault}" for fault in table_faults(error)]
        return None
