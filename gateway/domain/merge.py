"""The merge: statements are united into a set, then resolved into one view (统一视图).

The state is a set of statements, so union is commutative, associative and idempotent; the view is a pure function of
(state, query, permit, as_of). Neither the order of arrival nor a repeated answer can change a view, by construction.

    answers ── Reader ──► statements ── by key ──► choose + standing ──► records
                                                └► coverage, totals, agreement ──► CreditView ── SM3 ──► view_id
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import (
    registration_pb2,
    view_pb2,
)
from gateway.domain import coverage as cover
from gateway.domain.catalogue import SCHEMA_VERSION, Catalogue
from gateway.domain.choose import Chooser, in_order_of_platforms
from gateway.domain.consent import Permit, Withheld, permit_scope
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.dates import first_day, proto_date
from gateway.domain.divisions import DivisionTable
from gateway.domain.figures import PlatformFigures, ViewFigures, figures_of
from gateway.domain.hearing import joined, platform_entry
from gateway.domain.masking import Masker, mask_drifts, told_by
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
_VIEW_ID: Final = _VIEW["view_id"]
_SCHEMA: Final = _VIEW["schema_version"](SCHEMA_VERSION)
_QUERY: Final = delimited(view_pb2.CreditView.DESCRIPTOR.fields_by_name["query"])
_USCC: Final = encoder(view_pb2.QueryScope.DESCRIPTOR.fields_by_name["uscc"])
_GONE: Final = frozenset(
    {registration_pb2.REGISTRATION_STATUS_MOVED_OUT, registration_pb2.REGISTRATION_STATUS_DEREGISTERED}
)


class Merged:
    """A view and what the operator should know beside it; never changed after it was made.

    The view is held as its bytes (`encoded`), which are the canonical ones, and becomes a message when it is first asked for
    as one: most answers never are. `figures` are the view's; `heard` are repairs that answers told of, to be remembered.
    """

    __slots__ = ("_view", "encoded", "figures", "heard", "stale_copies")

    def __init__(
        self, encoded: bytes, figures: ViewFigures, stale_copies: tuple[StaleCopy, ...], heard: tuple[Heard, ...] = ()
    ) -> None:
        self.encoded = encoded
        self.figures = figures
        self.stale_copies = stale_copies
        self.heard = heard
        self._view: view_pb2.CreditView | None = None

    @classmethod
    def of(cls, view: view_pb2.CreditView) -> Merged:
        """Gives what was merged as a view that exists already."""
        return cls(view.SerializeToString(deterministic=True), figures_of(view), ())

    @property
    def view(self) -> view_pb2.CreditView:
        """The view as a message: the same each time."""
        if self._view is None:
            self._view = view_pb2.CreditView.FromString(self.encoded)
        return self._view


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
        self._resolver = Resolver(catalogue, Chooser(catalogue, authority_ids), crosswalk)
        self._publication_on = lru_cache(64)(publication.on)
        self._types_of = lru_cache(1024)(self._find_types)
        self._coverage = cover.CoverageEntries(platforms)
        self._divisions = divisions

    def merge(
        self,
        readings: Sequence[Reading],
        query: CreditQuery,
        permit: Permit,
        as_of: date,
        masker: Masker | None = None,
        repaired: Mapping[bytes, Sequence[Remembered]] = NONE_REPAIRED,
    ) -> Merged:
        """Gives the view of all answers read; platforms of the query without a reading stand as not yet heard.

        `masker` masks what the permit does not lift before the view's id is made, so that the id is that of what is shown.
        `repaired` are the remembered repairs of the enterprise's records, by record key: part of the state, as if their
        recognisers spoke.
        """
        permitted = frozenset(permit.categories)
        state = in_order_of_platforms(readings, self._types_of(permit.categories))
        home = self.home_province(state.get("registrations", ()), query)
        shown = Shown(repaired)
        publication = self._publication_on(as_of)
        sums: list[bytes] = []
        for plan in self._catalogue.plans:
            statements = state.get(plan.records_field)
            if statements:
                series = self._resolver.resolve(plan, statements, query.uscc.value, home, publication, shown)
                if series:
                    sums.append(_TOTALS(totals(plan, series, self._divisions, as_of)))
        answers, completeness_bp, of_platforms, coverage = self._standing(
            readings, query, permitted, permit.why_refused(), shown, as_of
        )
        if masker is not None and permit.is_masked:
            masker.mask_entries(shown.entries, told_by(state), query.uscc.value, permit.persons)
            if any(reading.answer.said.drifts for reading in readings):
                answers = _with_drifts_masked(answers)
        # By ascending number of the fields: canonical, so that these very bytes can be digested and sent.
        content = b"".join(
            (
                _QUERY(_USCC(query.uscc.value) + _scope(query.purpose, query.categories, query.platforms)),
                _permit(permit.kind, permit.categories, permit.withheld),
                _as_of(as_of),
                _HOME(home) if home else b"",
                _RECORDS(b"".join(shown.entries)),
                *answers,
                *coverage,
                _COMPLETENESS(completeness_bp) if completeness_bp is not None else b"",
                *sums,
                _CONFLICTS(shown.conflicts) if shown.conflicts else b"",
                _SCHEMA,
            )
        )
        view_id = sm3(content).hex()
        encoded = _VIEW_ID(view_id) + content
        figures = ViewFigures(view_id, completeness_bp, of_platforms)
        return Merged(encoded, figures, tuple(shown.stale), tuple(shown.heard))

    def _find_types(self, categories: Sequence[int]) -> frozenset[str]:
        return frozenset(plan.records_field for plan in self._catalogue.plans if plan.category in categories)

    def home_province(self, registrations: Iterable[Statement], query: CreditQuery) -> str | None:
        """Gives the home province: of the registering authority in the newest-approved registration that is not gone.

        Without one, the province of the code's own division if the table knows it: a national code says nothing.
        """
        found: list[tuple[str, Statement]] = []
        for statement in registrations:
            record = statement.record
            if record.registration_status not in _GONE:
                province = self._authority_ids.province(record.registration_authority)
                if province is not None:
                    found.append((province, statement))
        if not found:
            return self._divisions.province_of(query.uscc.division)
        if len({province for province, _ in found}) == 1:  # mostly: no date need be read
            return found[0][0]
        return max((first_day(s.record.approved_on), s.digest, province) for province, s in found)[2]

    def _standing(
        self,
        readings: Sequence[Reading],
        query: CreditQuery,
        permitted: frozenset[int],
        refused: Mapping[int, str],
        shown: Shown,
        as_of: date,
    ) -> tuple[Sequence[bytes], int | None, Mapping[str, PlatformFigures], Sequence[bytes]]:
        """Gives how each platform answered and how far each category is known, as fields of the view on the wire.

        Between them stand the completeness of the view and the figures of its platforms.
        """
        heard_of = joined(readings)
        asked = {
            category: None if category in permitted else refused.get(category, "") for category in query.categories
        }
        answers: list[bytes] = []
        known: list[Sequence[int]] = []
        figures: dict[str, PlatformFigures] = {}
        heard = covered = 0
        for platform_id in query.platforms:
            counts = shown.by_platform.get(platform_id, _NONE)
            agreement = shown.agreement.get(platform_id)
            encoded, of_platform, known_here, covered_here, heard_here = platform_entry(
                self._platforms[platform_id],
                heard_of.get(platform_id),
                asked,
                counts,
                cover.basis_points(agreement.equal, agreement.comparable) if agreement is not None else None,
                as_of,
            )
            answers.append(encoded)
            figures[platform_id] = of_platform
            known.append(known_here)
            covered += covered_here
            heard += heard_here
        by_category = zip(*known, strict=True) if known else [()] * len(asked)
        coverage = [
            self._coverage.entry(
                category,
                query.platforms,
                of_category,
                shown.record_count.get(category, 0),
                shown.duplicates.get(category, 0),
            )
            for category, of_category in zip(asked, by_category, strict=True)
        ]
        return answers, cover.basis_points(heard, covered), figures, coverage


def _with_drifts_masked(answers: Sequence[bytes]) -> Sequence[bytes]:
    """Gives how platforms answered, on the wire, with their notes of what could not be read masked."""
    shown = view_pb2.CreditView.FromString(b"".join(answers))
    for answer in shown.answers:
        mask_drifts(answer.drifts)
    return [shown.SerializeToString(deterministic=True)]


def view_id(view: view_pb2.CreditView) -> str:
    """Gives the SM3 of the view's content in hexadecimal; the view's own `view_id` does not count."""
    bare = view
    if view.view_id:
        bare = view_pb2.CreditView()
        bare.CopyFrom(view)
        bare.ClearField("view_id")
    return sm3(bare.SerializeToString(deterministic=True)).hex()


@lru_cache(maxsize=1024)
def _scope(purpose: int, categories: tuple[int, ...], platforms: tuple[str, ...]) -> bytes:
    """Gives the scope of a query but for the code."""
    scope = view_pb2.QueryScope(purpose=purpose, categories=categories, platforms=platforms)  # type: ignore[arg-type]
    return scope.SerializeToString()


@lru_cache(maxsize=4096)
def _permit(kind: str, categories: tuple[int, ...], withheld: tuple[Withheld, ...]) -> bytes:
    """Gives the scope of a permit, as a field of the view."""
    return _PERMIT(permit_scope(kind, categories, withheld))


@lru_cache(maxsize=64)
def _as_of(day: date) -> bytes:
    """Gives the date, as a field of the view."""
    return _VIEW["as_of"](proto_date(day))
