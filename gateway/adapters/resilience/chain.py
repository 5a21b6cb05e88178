"""The chain of wrappers around one connector, read from the outside in; each has the connector's own shape.

sharing     what is kept or under way is not asked again
quota       what is asked is paid for; a repeat or a second attempt pays too
breaker     a platform that is down is not asked
bulkhead    a slow platform fills its own pool only
retry       a failure that passes is asked again
hedge       a slow attempt gets a second one beside it
connector   one attempt
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gateway.adapters.resilience.breaker import BreakerPolicy, Breaking
from gateway.adapters.resilience.bulkhead import Bulkhead, BulkheadPolicy
from gateway.adapters.resilience.flights import Flights
from gateway.adapters.resilience.hedge import HedgePolicy, Hedging, may_hedge
from gateway.adapters.resilience.quota import Metered, QuotaPolicy, QuotaStore, paying
from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.adapters.resilience.sharing import Sharing
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.keeping import KeepingPolicy, RepairTombstone
from gateway.domain.query import CreditQuery
from gateway.ports import AnswerCache, CallObserver, Clock, Connector


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """What each wrapper around one connector holds to."""

    cache: KeepingPolicy = field(default_factory=KeepingPolicy)
    quota: QuotaPolicy = field(default_factory=QuotaPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    bulkhead: BulkheadPolicy = field(default_factory=BulkheadPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge: HedgePolicy = field(default_factory=HedgePolicy)


@dataclass(frozen=True, slots=True)
class Chain:
    """One platform's wrappers: `door` is the outermost, which is asked; the others are for whoever wants to know of them."""

    door: Sharing
    policy: ChainPolicy
    breaker: Breaking
    bulkhead: Bulkhead
    hedge: Hedging


def resilient(
    connector: Connector,
    policy: ChainPolicy,
    ledger: QuotaStore,
    cache: AnswerCache,
    flights: Flights,
    clock: Clock,
    observer: CallObserver | None = None,
) -> Chain:
    """Gives the connector with its wrappers; ledger, cache and flights are those of all platforms.

    A wrapper with nothing to do is left out: quotas where nothing limits, the second attempt where it would do harm.
    """
    pay = paying(ledger, connector.platform.id, observer)
    hedge = Hedging(connector, policy.hedge, clock, pay=pay, observer=observer)
    attempts: Connector = hedge if policy.hedge.enabled and may_hedge(connector.platform) else connector
    repeated = Retrying(attempts, policy.retry, clock, pay=pay, observer=observer)
    bulkhead = Bulkhead(repeated, policy.bulkhead, clock, observer)
    breaker = Breaking(bulkhead, policy.breaker, clock, observer)
    paid: Connector = breaker
    if not policy.quota.is_empty:
        paid = Metered(breaker, policy.quota, ledger, clock, observer)
    least_s = policy.retry.least_attempt_s
    door = Sharing(paid, policy.cache, cache, flights, clock, observer, least_attempt_s=least_s)
    return Chain(door, policy, breaker, bulkhead, hedge)


class Chains:
    """All platforms' chains, and what they share; fulfils `KeptAnswers`."""

    def __init__(self, chains: Mapping[str, Chain], ledger: QuotaStore, cache: AnswerCache, flights: Flights) -> None:
        self.by_platform = chains
        self.ledger = ledger
        self.cache = cache
        self._flights = flights
        self._at_hand = {platform: chain.door.at_hand for platform, chain in chains.items()}

    @property
    def doors(self) -> Mapping[str, Connector]:
        """Gives what is asked, by platform."""
        return {platform: chain.door for platform, chain in self.by_platform.items()}

    def at_hand(self, platform: str, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer | None:
        """Gives a platform's answer if it need not be asked for."""
        return self._at_hand[platform](query, permit, fetch_by)

    def under_way(self, platform: str) -> int:
        """Gives how many calls of a platform are under way, each for one query or for many."""
        return self._flights.under_way(platform)

    async def forget(self, uscc: str, platform: str | None = None) -> int:
        """Forgets what is kept about an enterprise, and keeps nothing of what is under way; gives how many answers."""
        self._flights.disown((uscc,))
        return await self.cache.purge(uscc, platform)

    async def forget_repaired(self, tombstones: Collection[RepairTombstone]) -> int:
        """Forgets what may still show what was repaired, and keeps nothing of what is under way about it."""
        self._flights.disown({stone.uscc for stone in tombstones})
        return await self.cache.purge_repaired(tombstones)

    async def aclose(self) -> None:
        """Ends what is still under way."""
        await self._flights.aclose()
