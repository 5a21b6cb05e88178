"""The merge: statements are united into a set, then resolved into one view (统一视图).

The state is a set of statements, so union is commutative, associative and idempotent; the view is a pure function of
(state, query, permit, as_of). Neither the order of arrival nor a repeated answer can change a view, by construction.

    answers ── Reader ──► statements ── by key ──► choose + standing ──► records
                                                └► coverage, totals, agreement ──► CreditView ── SM3 ──► view_id
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import (
    registration_pb2,
    view_pb2,
)
from gateway.domain import coverage as cover
from gateway.domain.answer import HEARD, OUTCOME_RANK, category_entry
from gateway.domain.catalogue import SCHEMA_VERSION, Catalogue
from gateway.domain.choose import Chooser
from gateway.domain.consent import Permit
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.dates import days_before, first_day, proto_date
from gateway.domain.divisions import DivisionTable
from gateway.domain.platform import Platform
from gateway.domain.publication import PublicationTable
from gateway.domain.query import CreditQuery
from gateway.domain.resolve import Resolver, Shown, StaleCopy
from gateway.domain.series import totals
from gateway.domain.statement import AuthorityIds, Reading, Statement, sm3

_NONE: Final[Mapping[str, int]] = MappingProxyType({})
_GONE: Final = frozenset(
    {registration_pb2.REGISTRATION_STATUS_MOVED_OUT, registration_pb2.REGISTRATION_STATUS_DEREGISTERED}
)


@dataclass(frozen=True, slots=True)
class Merged:
    """A view and what the operator should know beside it."""

    view: view_pb2.CreditView
    stale_copies: tuple[StaleCopy, ...]


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

    def merge(self, readings: Sequence[Reading], query: CreditQuery, permit: Permit, as_of: date) -> Merged:
        """Gives the view of all answers read; platforms of the query without a reading stand as not yet heard."""
        permitted = frozenset(permit.categories)
        state = self._state(readings, permitted)
        home = self.home_province(state.get("registrations", ()), query)
        view = view_pb2.CreditView(
            query=query.scope(),
            permit=permit.scope(),
            as_of=proto_date(as_of),
            home_province=home or "",
            schema_version=SCHEMA_VERSION,
        )
        shown = Shown()
        publication = self._publication.on(as_of)
        for plan in self._catalogue.plans:
            statements = state.get(plan.records_field)
            if statements:
                records = self._resolver.resolve(plan, statements, query.uscc.value, home, publication, shown)
                if plan.is_series:
                    view.totals.extend(totals(plan, records, self._divisions, as_of))
        view.records.MergeFromString(b"".join(shown.entries))
        view.conflict_count = shown.conflicts
        self._tell_standing(view, readings, query, permitted, shown, as_of)
        view.view_id = view_id(view)
        return Merged(view, tuple(shown.stale))

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

    def _tell_standing(
        self,
        view: view_pb2.CreditView,
        readings: Sequence[Reading],
        query: CreditQuery,
        permitted: frozenset[int],
        shown: Shown,
        as_of: date,
    ) -> None:
        said = joined(reading.answer.said for reading in readings)
        by_category: dict[int, dict[str, cover.CategoryStanding]] = {c: {} for c in query.categories}
        heard = covered = 0
        for platform_id in query.platforms:
            platform = self._platforms[platform_id]
            answer = said.get(platform_id)
            by_number: dict[int, view_pb2.CategoryAnswer] = (
                {c.category: c for c in answer.categories} if answer is not None else {}
            )
            standings: dict[int, cover.CategoryStanding] = {}
            for category in query.categories:
                standing = cover.category_standing(
                    platform,
                    category,
                    answer,
                    by_number.get(category),
                    category in permitted,
                    shown.by_category.get(category, _NONE).get(platform_id, 0),
                )
                by_category[category][platform_id] = standings[category] = standing
            entry = view.answers.add()
            entry.platform = platform_id
            covered_here, heard_here = _fill_answer(entry, platform, answer, standings, shown, as_of)
            covered += covered_here
            heard += heard_here
        completeness = cover.basis_points(heard, covered)
        if completeness is not None:
            view.completeness_bp = completeness
        coverage = [
            cover.coverage_of(
                category,
                standings,
                self._platforms,
                record_count=shown.record_count.get(category, 0),
                duplicates=shown.duplicates.get(category, 0),
            )
            for category, standings in by_category.items()
        ]
        view.MergeFromString(b"".join(coverage))


def joined(answers: Iterable[view_pb2.Answer]) -> dict[str, view_pb2.Answer]:
    """Joins several answers of one platform by the fixed order of outcomes, then newest as-of, then digest."""
    best: dict[str, tuple[Any, view_pb2.Answer]] = {}
    for answer in answers:
        order = (OUTCOME_RANK[answer.outcome], -answer.as_of.seconds, -answer.as_of.nanos)
        held = best.get(answer.platform)
        if held is None or order < held[0]:
            best[answer.platform] = (order, answer)
        elif order == held[0] and answer is not held[1]:
            first = min(held[1], answer, key=lambda a: a.SerializeToString(deterministic=True))
            best[answer.platform] = (order, first)
    return {platform: answer for platform, (_, answer) in best.items()}


def view_id(view: view_pb2.CreditView) -> str:
    """Gives the SM3 of the view's content in hexadecimal; the view's own `view_id` does not count."""
    bare = view
    if view.view_id:
        bare = view_pb2.CreditView()
        bare.CopyFrom(view)
        bare.ClearField("view_id")
    return sm3(bare.SerializeToString(deterministic=True)).hex()


def _fill_answer(
    answer: view_pb2.PlatformAnswer,
    platform: Platform,
    said: view_pb2.Answer | None,
    standings: Mapping[int, cover.CategoryStanding],
    shown: Shown,
    as_of: date,
) -> tuple[int, int]:
    """Fills a platform's entry of the view and gives how many categories it covers, and on how many it was heard."""
    if said is None:
        answer.outcome, answer.reason = view_pb2.OUTCOME_SKIPPED, "no_answer_yet"
    else:
        answer.outcome = cover.platform_outcome(said, standings.values())
        if said.reason:
            answer.reason = said.reason
        if said.drifts:
            answer.drifts.extend(said.drifts)
        if said.outcome in HEARD and said.HasField("as_of"):
            answer.as_of.CopyFrom(said.as_of)
            days = days_before(said.as_of.seconds, as_of)
            answer.age_days, answer.is_as_of_in_future = max(days, 0), days < 0
    covered = heard = 0
    entries = []
    for category, standing in standings.items():
        count = shown.by_category.get(category, _NONE).get(platform.id, 0)
        coverage = platform.coverage.get(category)
        years = coverage.missing_years if coverage is not None else ()
        entries.append(category_entry(category, standing.outcome, standing.reason, count, standing.as_of, years))
        if standing.is_covered:
            covered += 1
            heard += standing.outcome in HEARD
    answer.MergeFromString(b"".join(entries))
    if covered:
        answer.completeness_bp = heard * 10_000 // covered
    agreement = shown.agreement.get(platform.id)
    if agreement is not None and agreement.comparable:
        answer.agreement_bp = agreement.equal * 10_000 // agreement.comparable
    return covered, heard
