"""Which answers may be kept, for whom, and how long they are young enough: the rules of the shared answer cache.

An answer is kept whole, under the categories it was asked for, and lives as long as the shortest-lived of them that the
platform covers: parts of several answers, each of its own age and with one digest between them, would be an answer that
no platform ever gave. What needs no authorisation is shared among banks; all else only within one bank's own consents.

An age counts from when the call was begun, so that nothing is taken for younger than it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND, OUTCOME_OK
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE, Catalogue
from gateway.domain.consent import Permit
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery

_NEGATIVE: Final = frozenset({OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND})
_WHOLE: Final = _NEGATIVE | {OUTCOME_OK}
_SETS_KEPT: Final = 1_000


class AnswerKey(NamedTuple):
    """Under what an answer is kept: `holder` is empty for what all banks share, else the bank and what it relies on."""

    platform: str
    uscc: str
    categories: tuple[int, ...]
    holder: tuple[str, ...]


class KeptAnswer(NamedTuple):
    """An answer that was kept.

    `asked_at` is a point of `Clock.monotonic`: when the call that brought it was begun. It is young enough for `fresh_s`
    by itself; then, if a query accepts its age or else a failed platform, until it is `kept_s` old and gone.
    """

    answer: Answer
    asked_at: float
    fresh_s: float
    kept_s: float

    def is_young_enough(self, oldest_acceptable_age_s: float | None, now: float) -> bool:
        """Whether it answers a query that accepts such an age, or leaves that to the categories; 0 accepts none."""
        age_s = now - self.asked_at
        return age_s < (self.fresh_s if oldest_acceptable_age_s is None else oldest_acceptable_age_s)


@dataclass(frozen=True, slots=True)
class KeepingPolicy:
    """How long a platform's answers are kept; times are in seconds.

    The catalogue gives each category its lifetime; here none is longer than `longest_s`. `stale_s` is how much longer an
    answer is held for queries that accept its age, or that it stands in for a platform that fails. An enterprise that was
    not found or had no records is asked about again after `negative_s`, whatever a query accepts: it may have been entered
    meanwhile, and a failed platform never reads as "no records".
    """

    enabled: bool = True
    longest_s: float = 86_400.0
    negative_s: float = 600.0
    stale_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class RepairTombstone:
    """A record of the category was repaired (信用修复): answers that were kept until now may still show it."""

    uscc: str
    category: int


class Keeping:
    """One platform's rules, with what depends on its coverage worked out once."""

    def __init__(self, platform: Platform, policy: KeepingPolicy, catalogue: Catalogue = CATALOGUE) -> None:
        self._platform = platform.id
        self._policy = policy
        plans = catalogue.by_category
        self._lifetimes = {category: plans[category].options.lifetime_s for category in platform.coverage}
        self._shortest: dict[tuple[int, ...], float] = {}  # of a set of categories, as it was worked out the first time
        # Categories whose answers are a bank's own.
        self._own = frozenset(
            category
            for category in platform.coverage
            if platform.limits.is_billed_per_bank or not plans[category].is_public
        )

    def key(self, query: CreditQuery, permit: Permit) -> AnswerKey:
        """Gives the key of the answer that the query may be given."""
        categories = permit.categories
        holder = () if self._own.isdisjoint(categories) else (query.bank, *permit.consents)
        # By the tuple's own constructor: a named one is a function of Python, and every query makes a key for each platform.
        return tuple.__new__(AnswerKey, (self._platform, query.uscc.value, categories, holder))

    def kept(self, answer: Answer, categories: tuple[int, ...], asked_at: float) -> KeptAnswer | None:
        """Gives what is to be kept of a platform's answer; None when nothing is: it was not heard whole, or may not be."""
        policy = self._policy
        outcome = answer.said.outcome
        if not policy.enabled or outcome not in _WHOLE or answer.said.platform != self._platform:
            return None
        is_negative = outcome in _NEGATIVE
        fresh_s = self._shortest.get(categories) or self._shortest_of(categories)
        if is_negative:
            fresh_s = min(fresh_s, policy.negative_s)
        if fresh_s <= 0:
            return None
        kept_s = fresh_s if is_negative else fresh_s + policy.stale_s
        return tuple.__new__(KeptAnswer, (answer, asked_at, fresh_s, kept_s))

    def _shortest_of(self, categories: tuple[int, ...]) -> float:
        lifetimes = [self._lifetimes[category] for category in categories if category in self._lifetimes]
        shortest_s = min(self._policy.longest_s, math.inf, *lifetimes)
        if len(self._shortest) < _SETS_KEPT:
            self._shortest[categories] = shortest_s
        return shortest_s


def is_void(key: AnswerKey, tombstones: Collection[RepairTombstone]) -> bool:
    """Whether a repair has voided what is kept under the key."""
    return any(key.uscc == stone.uscc and stone.category in key.categories for stone in tombstones)
