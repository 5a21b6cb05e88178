"""Resolution: the statements of one type become the records a view shows, hidden ones leaving no hint.

Records stand in the order of their keys. What is counted on the way (shown records per platform, agreement, conflicts, stale
copies) is counted for shown records only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, view_pb2
from gateway.domain.catalogue import RecordPlan
from gateway.domain.choose import Agreement, Chooser
from gateway.domain.crosswalk import Crosswalk, proto_grade
from gateway.domain.publication import PublicationTable, event_day
from gateway.domain.standing import HIDDEN, has_run_out, shown_status, stated_status
from gateway.domain.statement import WEAK, Key, Statement, group_by_key

_encode_key = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class StaleCopy:
    """A platform still shows a record that its recogniser withdrew: for the operator, never for the bank."""

    platform: str
    category: int
    record_key: bytes


@dataclass(slots=True)
class Shown:
    """What the resolution of all types counts while it fills the view."""

    by_platform: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    agreement: dict[str, Agreement] = field(default_factory=lambda: defaultdict(Agreement))
    stale: list[StaleCopy] = field(default_factory=list)
    duplicates: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    conflicts: int = 0


class Resolver:
    """Resolves types one by one; built once from the choice and the dated tables."""

    def __init__(self, chooser: Chooser, crosswalk: Crosswalk, publication: PublicationTable) -> None:
        self._chooser = chooser
        self._crosswalk = crosswalk
        self._publication = publication

    def resolve(
        self,
        plan: RecordPlan,
        statements: Sequence[Statement],
        records: view_pb2.Records,
        uscc: str,
        home: str | None,
        as_of: date,
        shown: Shown,
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
