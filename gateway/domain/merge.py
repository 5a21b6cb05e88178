"""The merge: statements are united into a set, then resolved into one view (统一视图).

The state is a set of statements, so union is commutative, associative and idempotent; the view is a pure function of
(state, query, permit, as_of). Neither the order of arrival nor a repeated answer can change a view, by construction.

    answers ── Reader ──► statements ── by key ──► choose + standing ──► records
                                                └► coverage, totals, agreement ──► CreditView ── SM3 ──► view_id
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import (
    registration_pb2,
    view_pb2,
)
from gateway.domain import coverage as cover
from gateway.domain.catalogue import SCHEMA_VERSION, Catalogue
from gateway.domain.choose import Chooser
from gateway.domain.consent import Permit
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.dates import first_day, proto_date
from gateway.domain.divisions import DivisionTable
from gateway.domain.hearing import joined, platform_entry
from gateway.domain.platform import Platform
from gateway.domain.publication import PublicationTable
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import Heard, Remembered
from gateway.domain.resolve import Resolver, Shown, StaleCopy
from gateway.domain.series import totals
from gateway.domain.statement import AuthorityIds, Reading, Statement, sm3
from gateway.domain.wire import delimited, encoder

_NONE: Final[Mapping[int, int]] = MappingProxyType({})
NONE_REPAIRED: Final[Mapping[bytes, Sequence[Remembered]]] = MappingProxyType({})
_VIEW: Final = {name: encoder(f) for name, f in view_pb2.CreditView.DESCRIPTOR.fields_by_name.items()}
_HOME: Final = _VIEW["home_province"]
_PERMIT: Final = _VIEW["permit"]
_TOTALS: Final = _VIEW["totals"]
_CONFLICTS: Final = _VIEW["conflict_count"]
_COMPLETENESS: Final = _VIEW["completeness_bp"]
_RECORDS: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["records"])
_QUERY: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["query"])
_USCC: Final = encoder(view_pb2.QueryScope.DESCRIPTOR.fields_by_name["uscc"])
_GONE: Final = frozenset(
    {registration_pb2.REGISTRATION_STATUS_MOVED_OUT, registration_pb2.REGISTRATION_STATUS_DEREGISTERED}
)


@dataclass(frozen=True, slots=True)
class Merged:
    """A view and what the operator should know beside it; `heard` are repairs that answers told of, to be remembered."""

    view: view_pb2.CreditView
    stale_copies: tuple[StaleCopy, ...]
    heard: tuple[Heard, ...] = ()


class Merger:
    """Makes views from readings; built once from the catalogue and the dated tables of the configuration."""

    def __init__(
        self,
        catalogue: Catalogue,
        platforms: Mapping[str, Platform],
        authority_ids: AuthorityIds,
        crosswalk: Crosswalk,
        publication: PublicationTable,
        divisions: DivisionTable,
    ) -> None:
        self._catalogue = catalogue
        self._platforms = platforms
        self._authority_ids = authority_ids
        self._resolver = Resolver(Chooser(catalogue, authority_ids), crosswalk)
        self._publication = publication
        self._divisions = divisions

    def merge(
        self,
        readings: Sequence[Reading],
        query: CreditQuery,
        permit: Permit,
        as_of: date,
        mask: Callable[[view_pb2.CreditView], object] | None = None,
        repaired: Mapping[bytes, Sequence[Remembered]] = NONE_REPAIRED,
    ) -> Merged:
        """Gives the view of all answers read; platforms of the query without a reading stand as not yet heard.

        `mask` changes the view in place before its id is made, so that the id is that of what is shown. `repaired` are the
        remembered repairs of the enterprise's records, by record key: part of the state, as if their recognisers spoke.
        """
        permitted = frozenset(permit.categories)
        state = self._state(readings, permitted)
        home = self.home_province(state.get("registrations", ()), query)
        fields = [
            _frame(query.purpose, query.categories, query.platforms, as_of),
            _QUERY(_USCC(query.uscc.value)),
            _PERMIT(permit.scope()),
        ]
        if home:
            fields.append(_HOME(home))
        shown = Shown(repaired)
        publication = self._publication.on(as_of)
        for plan in self._catalogue.plans:
            statements = state.get(plan.records_field)
            if statements:
                records = self._resolver.resolve(plan, statements, query.uscc.value, home, publication, shown)
                if plan.is_series:
                    fields.append(_TOTALS(totals(plan, records, self._divisions, as_of)))
        fields.append(_RECORDS(b"".join(shown.entries)))
        if shown.conflicts:
            fields.append(_CONFLICTS(shown.conflicts))
        fields.append(self._standing(readings, query, permitted, permit.why_refused(), shown, as_of))
        view = view_pb2.CreditView.FromString(b"".join(fields))
        if mask is not None:
            mask(view)
        view.view_id = view_id(view)
        return Merged(view, tuple(shown.stale), tuple(shown.heard))

    def _state(self, readings: Sequence[Reading], permitted: frozenset[int]) -> dict[str, list[Statement]]:
        state: dict[str, list[Statement]] = {}
        for reading in readings:
            for name, statements in reading.statements.items():
                if self._catalogue.by_records_field[name].category in permitted:
                    state.setdefault(name, []).extend(statements)
        return state

    def home_province(self, registrations: Iterable[Statement], query: CreditQuery) -> str | None:
        """Gives the home province: of the registering authority in the newest-approved registration that is not gone.

        Without one, the province of the code's own division if the table knows it: a national code says nothing.
        """
        best: tuple[Any, ...] | None = None
        for statement in registrations:
            record = statement.record
            if record.registration_status in _GONE:
                continue
            province = self._authority_ids.province(record.registration_authority)
            if province is not None:
                candidate = (first_day(record.approved_on), statement.digest, province)
                best = candidate if best is None else max(best, candidate)
        if best is not None:
            return str(best[2])
        return self._divisions.province_of(query.uscc.division)

    def _standing(
        self,
        readings: Sequence[Reading],
        query: CreditQuery,
        permitted: frozenset[int],
        refused: Mapping[int, str],
        shown: Shown,
        as_of: date,
    ) -> bytes:
        """Gives how each platform answered and how far each category is known, as fields of the view on the wire."""
        said = joined([reading.answer.said for reading in readings])
        by_category: dict[int, dict[str, cover.CategoryStanding]] = {c: {} for c in query.categories}
        fields: list[bytes] = []
        heard = covered = 0
        for platform_id in query.platforms:
            platform = self._platforms[platform_id]
            answer = said.get(platform_id)
            stated: dict[int, view_pb2.CategoryAnswer] = (
                {} if answer is None else {said_of.category: said_of for said_of in answer.categories}
            )
            counts = shown.by_platform.get(platform_id, _NONE)
            standings: dict[int, cover.CategoryStanding] = {}
            for category in query.categories:
                standing = cover.category_standing(
                    platform,
                    category,
                    answer,
                    stated.get(category),
                    category in permitted,
                    counts.get(category, 0),
                    refused,
                )
                by_category[category][platform_id] = standings[category] = standing
            entry = platform_entry(platform, answer, standings, counts, shown.agreement.get(platform_id), as_of)
            fields.append(entry.encoded)
            covered += entry.covered
            heard += entry.heard
        completeness = cover.basis_points(heard, covered)
        if completeness is not None:
            fields.append(_COMPLETENESS(completeness))
        for category, standings_of_category in by_category.items():
            fields.append(
                cover.coverage_of(
                    category,
                    standings_of_category,
                    self._platforms,
                    record_count=shown.record_count.get(category, 0),
                    duplicates=shown.duplicates.get(category, 0),
                )
            )
        return b"".join(fields)


def view_id(view: view_pb2.CreditView) -> str:
    """Gives the SM3 of the view's content in hexadecimal; the view's own `view_id` does not count."""
    bare = view
    if view.view_id:
        bare = view_pb2.CreditView()
        bare.CopyFrom(view)
        bare.ClearField("view_id")
    return sm3(bare.SerializeToString(deterministic=True)).hex()


@lru_cache(maxsize=1024)
def _frame(purpose: int, categories: tuple[int, ...], platforms: tuple[str, ...], as_of: date) -> bytes:
    """Gives what many views have in common: the scope of the query, but for the code; the date; the schema's version."""
    return view_pb2.CreditView(
        query=view_pb2.QueryScope(purpose=purpose, categories=categories, platforms=platforms),  # type: ignore[arg-type]
        as_of=proto_date(as_of),
        schema_version=SCHEMA_VERSION,
    ).SerializeToString()
