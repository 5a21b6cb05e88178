"""Views made of kept answers, given again to whoever asks the same of the same answers on the same day.

A view is a pure function of what was said, the query, the permit and the date, so this is the merge with its result kept:
the scope is the key, and what was said must be the very messages the view was made of. A query that differs in any of it,
or one answer that was fetched anew, is merged anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from cachetools import TTLCache

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery
from gateway.domain.told import told_of_all
from gateway.ports import Clock, KeptView

_KEPT_S: Final = 3_600.0
_MOST_SCOPES: Final = 8  # of one enterprise
_IN_MEMORY: Final = 8  # times the encoded size, itself included; see `answer_cache.py`
_AROUND: Final = 1_500

_Scope = tuple[object, ...]


class _Kept(NamedTuple):
    said: tuple[view_pb2.Answer, ...]
    view: KeptView


class LocalKeptViews:
    """Keeps views in this process, bounded in bytes, by enterprise; fulfils `KeptViews`."""

    def __init__(self, clock: Clock, *, most_bytes: int) -> None:
        self._by_uscc: TTLCache[str, dict[_Scope, _Kept]] = TTLCache(
            most_bytes, _KEPT_S, timer=clock.monotonic, getsizeof=_size
        )

    def find(self, query: CreditQuery, permit: Permit, as_of: date, answers: Sequence[Answer]) -> KeptView | None:
        """Gives the view of these very answers, ordered by platform; None where it is not kept."""
        try:
            kept = self._by_uscc[query.uscc.value][_scope(query, permit, as_of)]
        except KeyError:
            return None
        for answer, said in zip(answers, kept.said, strict=True):
            if answer.said is not said and answer.said != said:
                return None
        return kept.view

    def keep(
        self, query: CreditQuery, permit: Permit, as_of: date, answers: Sequence[Answer], merged: Merged
    ) -> KeptView:
        """Keeps the view of these answers, which must not be changed any more, and gives it with its bytes."""
        uscc = query.uscc.value
        views = dict(self._by_uscc.get(uscc, {}))
        if len(views) >= _MOST_SCOPES:
            del views[next(iter(views))]
        view = KeptView(merged, merged.figures, merged.encoded, told_of_all(answers))
        views[_scope(query, permit, as_of)] = _Kept(tuple([answer.said for answer in answers]), view)
        try:
            self._by_uscc[uscc] = views
        except ValueError:  # cachetools' word for too large
            self.forget(uscc)
        return view

    def forget(self, uscc: str) -> None:
        """Forgets the views of an enterprise."""
        self._by_uscc.pop(uscc, None)


def _scope(query: CreditQuery, permit: Permit, as_of: date) -> _Scope:
    scope = (query.purpose, query.categories, query.platforms, permit.kind, permit.categories, as_of)
    # What is withheld stands in the view; whose mask is lifted, and for which platform what was left out, shows in it.
    return (*scope, permit.withheld, permit.persons, permit.outside, permit.is_masked) if permit.is_masked else scope


def _size(views: dict[_Scope, _Kept]) -> int:
    return sum([len(kept.view.encoded) * _IN_MEMORY + _AROUND for kept in views.values()])
