"""The merge: statements are united into a set, then resolved into one view (统一视图).

The state is a set of statements, so union is commutative, associative and idempotent; the view is a pure function of
(state, query, permit, as_of). Neither the order of arrival nor a repeated answer can change a view, by construction.

    answers ── Reader ──► statements ── by key ──► choose + standing ──► records
                                                └► coverage, totals, agreement ──► CreditView ── SM3 ──► view_id
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from gateway._pb.xinyidai.catalogue.v1 import (
    envelope_pb2,
    options_pb2,
    registration_pb2,
    view_pb2,
)
from gateway.domain import coverage as cover
from gateway.domain.answer import HEARD, OUTCOME_RANK
from gateway.domain.catalogue import SCHEMA_VERSION, Catalogue, RecordPlan
from gateway.domain.choose import Agreement, Chooser
from gateway.domain.consent import Permit
from gateway.domain.crosswalk import Crosswalk, proto_grade
from gateway.domain.dates import days_before, first_day, proto_date
from gateway.domain.divisions import DivisionTable
from gateway.domain.platform import Platform
from gateway.domain.publication import PublicationTable, event_day
from gateway.domain.query import CreditQuery
from gateway.domain.series import totals
from gateway.domain.standing import HIDDEN, has_run_out, shown_status, stated_status
from gateway.domain.statement import WEAK, AuthorityIds, Key, Reading, Statement, group_by_key, sm3

_GONE = frozenset({registration_pb2.REGISTRATION_STATUS_MOVED_OUT, registration_pb2.REGISTRATION_STATUS_DEREGISTERED})
_encode_key = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class StaleCopy:
    """A platform still shows a record that its recogniser withdrew: for the operator, never for the bank."""

    platform: str
    category: int
    record_key: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """A view and what the operator should know beside it."""

    view: view_pb2.CreditView
    stale_copies: tuple[StaleCopy, ...]


@dataclass(slots=True)
class _Shown:
    """What the resolution of all types counts while it fills the view."""

    by_platform: dict[tuple[str, int], int]
    agreement: dict[str, Agreement]
    stale: list[StaleCopy]
    duplicates: dict[int, int]
    conflicts: int = 0


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
        self._chooser = Chooser(catalogue, authority_ids)
        self._crosswalk = crosswalk
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
        shown = _Shown(defaultdict(int), defaultdict(Agreement), [], defaultdict(int))
        view.records.SetInParent()
        for plan in self._catalogue.plans:
            statements = state.get(plan.records_field)
            if statements:
                self._resolve(plan, statements, view.records, query.uscc.value, home, as_of, shown)
                if plan.options.combination == options_pb2.COMBINATION_SERIES:
                    records = getattr(view.records, plan.records_field)
                    view.totals.extend(totals(plan, records, self._divisions, as_of))
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

    def _resolve(
        self,
        plan: RecordPlan,
        statements: Sequence[Statement],
        records: view_pb2.Records,
        uscc: str,
        home: str | None,
        as_of: date,
        shown: _Shown,
    ) -> None:
        """Fills one type's records, ordered by record key, straight into the view; a hidden one is taken back."""
        target = getattr(records, plan.records_field)
        is_evaluation = plan.records_field == "evaluations"
        weak: list[tuple[Key, Any]] = []
        keys: list[Key] = []
        groups = sorted((_record_key(uscc, plan, key), key, group) for key, group in group_by_key(statements).items())
        for record_key, key, group in groups:
            record = target.add()
            agreement: dict[str, Agreement] = {}
            ranked: Sequence[Statement] = group
            if len(group) == 1:
                record.CopyFrom(group[0].record)
                envelope = record.envelope
                _complete(envelope.provenances[0], group[0])
                status = envelope.status
            else:
                agreement = defaultdict(Agreement)
                ranked, status, stale = self._several(plan, record, group, home, agreement)
                envelope = record.envelope
                shown.stale.extend(StaleCopy(p, plan.category, record_key) for p in stale)
            if status in HIDDEN or has_run_out(plan, record, as_of, self._publication):
                target.pop()
                continue
            is_weak = key[0] is WEAK
            envelope.status = shown_status(status)
            envelope.record_key = record_key
            envelope.key_strength = envelope_pb2.KEY_STRENGTH_WEAK if is_weak else envelope_pb2.KEY_STRENGTH_STRONG
            if agreement:
                shown.conflicts += len(envelope.conflicts)
                for platform_id, count in agreement.items():  # of shown records only: a hidden one leaves no hint
                    shown.agreement[platform_id].comparable += count.comparable
                    shown.agreement[platform_id].equal += count.equal
            for statement in ranked:
                shown.by_platform[(statement.platform.id, plan.category)] += 1
            if is_evaluation:
                self._grade(record)
            keys.append(key)
            if is_weak:
                weak.append((key, record))
        if weak and plan.key_document is not None:
            shown.duplicates[plan.category] = _link_duplicates(plan, keys, target, weak)

    def _several(
        self,
        plan: RecordPlan,
        record: Any,
        group: Sequence[Statement],
        home: str | None,
        agreement: Mapping[str, Agreement],
    ) -> tuple[Sequence[Statement], envelope_pb2.RecordStatus.ValueType, tuple[str, ...]]:
        ranked, ranks = self._chooser.ranked(plan, group, home)
        record.CopyFrom(ranked[0].record)
        self._chooser.unite(plan, record, ranked, ranks, agreement)
        envelope = record.envelope
        _complete(envelope.provenances[0], ranked[0])
        for statement in ranked[1:]:
            other = statement.record.envelope
            provenance = envelope.provenances.add()
            provenance.CopyFrom(other.provenances[0])
            _complete(provenance, statement)
            if other.drifts:
                envelope.drifts.extend(other.drifts)
            if not (envelope.HasField("publish_end") or envelope.publish_is_indefinite):
                envelope.publish_is_indefinite = other.publish_is_indefinite
                for name in ("publish_start", "publish_end"):
                    if other.HasField(name):
                        getattr(envelope, name).CopyFrom(getattr(other, name))
        first_count = sum(rank[0] == 0 for rank in ranks)
        status, stale = stated_status(plan, ranked, first_count)
        if status not in HIDDEN and plan.is_adverse:
            _note_status_conflict(envelope, ranked)
        return ranked, status, stale

    def _grade(self, record: Any) -> None:
        rated_on = record.rated_on
        # A partial date may straddle a change of the scheme: it reads as undated.
        on = date(rated_on.year, rated_on.month, rated_on.day) if rated_on.day else None
        grade = self._crosswalk.canonical(record.scheme_id, record.raw_grade, on)
        record.canonical_grade = proto_grade(grade.grade)
        record.scheme_version = grade.scheme_version
        record.is_internal_use = grade.internal_use

    def _tell_standing(
        self,
        view: view_pb2.CreditView,
        readings: Sequence[Reading],
        query: CreditQuery,
        permitted: frozenset[int],
        shown: _Shown,
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
                    is_permitted=category in permitted,
                    shown_count=shown.by_platform.get((platform_id, category), 0),
                )
                by_category[category][platform_id] = standings[category] = standing
                covered += standing.is_covered
                heard += standing.is_covered and standing.is_heard
            _fill_answer(view.answers.add(platform=platform_id), platform, answer, standings, shown, as_of)
        completeness = cover.basis_points(heard, covered)
        if completeness is not None:
            view.completeness_bp = completeness
        for category in query.categories:
            plan = self._catalogue.by_category[category]
            view.coverage.append(
                cover.category_coverage(
                    category,
                    by_category[category],
                    self._platforms,
                    record_count=len(getattr(view.records, plan.records_field)),
                    possible_duplicate_count=shown.duplicates[category],
                )
            )


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


def _record_key(uscc: str, plan: RecordPlan, key: Key) -> bytes:
    return hashlib.sha256(_encode_key((uscc, plan.category, key))).digest()[:16]


def _complete(provenance: Any, statement: Statement) -> None:
    """Adds to a platform's own provenance what the merge knows: digest, status as stated, time of the data."""
    provenance.digest = statement.digest
    status = statement.record.envelope.status
    if status:
        provenance.status = status
    seconds, nanos = statement.as_of
    if seconds:
        as_of = provenance.as_of
        as_of.seconds = seconds
        if nanos:
            as_of.nanos = nanos


def _note_status_conflict(envelope: Any, ranked: Sequence[Statement]) -> None:
    """Marks a record that some platform calls repaired or revoked while its recogniser does not."""
    withdrawn = [s for s in ranked if s.record.envelope.status in HIDDEN]
    if not withdrawn:
        return
    keeper = next(s for s in ranked if s.record.envelope.status not in HIDDEN)
    conflict = envelope.conflicts.add(
        field="envelope.status",
        rule=envelope_pb2.CHOICE_RULE_RECOGNISER_PROVINCE,
        chosen_platform=keeper.platform.id,
    )
    for statement in [keeper, *(s for s in ranked if s is not keeper)]:
        status = statement.record.envelope.status or envelope_pb2.RECORD_STATUS_VALID
        conflict.values.add(
            platform=statement.platform.id,
            value=envelope_pb2.FieldValue(text=envelope_pb2.RecordStatus.Name(status)),
        )


def _link_duplicates(
    plan: RecordPlan, keys: Sequence[Key], records: Sequence[Any], weak: Sequence[tuple[Key, Any]]
) -> int:
    """Links weak-keyed records to the strong ones they may repeat: same fixed parts, same day of the event."""
    width = len(plan.key_always)
    strong: dict[tuple[Any, ...], list[bytes]] = defaultdict(list)
    for key, record in zip(keys, records, strict=True):
        if key[0] is not WEAK:
            strong[(key[2 : 2 + width], _event_day(plan, record))].append(record.envelope.record_key)
    linked = 0
    for key, record in weak:
        fits = strong.get((key[2 : 2 + width], _event_day(plan, record)), ())
        record.envelope.possible_duplicate_of.extend(sorted(fits))
        linked += bool(fits)
    return linked


def _event_day(plan: RecordPlan, record: Any) -> tuple[int, int, int]:
    return event_day([getattr(record, field.name) for field in plan.event])


def _fill_answer(
    answer: view_pb2.PlatformAnswer,
    platform: Platform,
    said: view_pb2.Answer | None,
    standings: Mapping[int, cover.CategoryStanding],
    shown: _Shown,
    as_of: date,
) -> None:
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
    for category, standing in standings.items():
        entry = answer.categories.add(category=category, outcome=standing.outcome)
        if standing.reason:
            entry.reason = standing.reason
        count = shown.by_platform.get((platform.id, category))
        if count:
            entry.record_count = count
        if standing.said is not None and standing.said.HasField("as_of"):
            entry.as_of.CopyFrom(standing.said.as_of)
        coverage = platform.coverage.get(category)
        if coverage is not None and coverage.missing_years:
            entry.missing_years.extend(coverage.missing_years)
        covered += standing.is_covered
        heard += standing.is_covered and standing.is_heard
    if covered:
        answer.completeness_bp = heard * 10_000 // covered
    agreement = shown.agreement.get(platform.id)
    if agreement is not None and agreement.comparable:
        answer.agreement_bp = agreement.equal * 10_000 // agreement.comparable
