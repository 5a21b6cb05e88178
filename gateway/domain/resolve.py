"""Resolution: the statements of one type become the records a view shows, hidden ones leaving no hint.

Records stand in the order of their keys, and are put together on the wire: one statement's content is used as it came, and
becomes a message again with the whole view. What is counted on the way (shown records per platform, agreement, conflicts,
stale copies) is counted for shown records only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, evaluation_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import (
    KEY_STRENGTH_STRONG,
    KEY_STRENGTH_WEAK,
    RECORD_STATUS_VALID,
    RecordStatus,
)
from gateway.domain.catalogue import RecordPlan
from gateway.domain.choose import Agreement, Chooser, United
from gateway.domain.crosswalk import CanonicalGrade, Crosswalk, proto_grade
from gateway.domain.publication import Publication, event_day
from gateway.domain.record_repair import Heard, Remembered
from gateway.domain.standing import (
    HIDDEN,
    WITHDRAWN,
    authority_of,
    has_run_out,
    is_remembered_gone,
    is_removed,
    last_word,
    shown_status,
    stated_status,
)
from gateway.domain.statement import STRONG, WEAK, Key, Statement, group_by_key
from gateway.domain.wire import delimited, encoder

_encode_key = msgspec.msgpack.Encoder().encode
_BY_RECORD_KEY: Final = itemgetter(0)

_IN_RECORDS: Final = view_pb2.Records.DESCRIPTOR.fields
_ENTRIES: Final = {field.name: delimited(field) for field in _IN_RECORDS}
_ENVELOPE: Final = delimited(evaluation_pb2.Evaluation.DESCRIPTOR.fields_by_name["envelope"])  # field 1 of every type
_ON_ENVELOPE: Final = {name: encoder(f) for name, f in envelope_pb2.RecordEnvelope.DESCRIPTOR.fields_by_name.items()}
_EVALUATION: Final = {name: encoder(f) for name, f in evaluation_pb2.Evaluation.DESCRIPTOR.fields_by_name.items()}
_DUPLICATES: Final = _ON_ENVELOPE["possible_duplicate_of"]
_STANDING: Final[Mapping[tuple[int, str], bytes]] = {
    (status, strength): _ON_ENVELOPE["status"](shown_status(status))
    + _ON_ENVELOPE["key_strength"](number)
    + _ON_ENVELOPE["record_key"](bytes(16))[:-16]
    for status in RecordStatus.values()
    for strength, number in ((STRONG, KEY_STRENGTH_STRONG), (WEAK, KEY_STRENGTH_WEAK))
}
"""By status and strength of key, what the view adds to a record's envelope on the wire, up to the bytes of its key."""


@dataclass(frozen=True, slots=True)
class StaleCopy:
    """A platform still shows a record that its recogniser withdrew: for the operator, never for the bank."""

    platform: str
    category: int
    record_key: bytes


@dataclass(slots=True)
class Shown:
    """What the resolution of all types counts while it fills the view; `entries` are its records, on the wire.

    `by_platform` counts the shown records that each platform stated, and `record_count` the records, both by category.
    `repaired` are the remembered repairs by record key, `heard` those that answers told of.
    """

    repaired: Mapping[bytes, Sequence[Remembered]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    by_platform: dict[str, dict[int, int]] = field(default_factory=dict)
    record_count: dict[int, int] = field(default_factory=dict)
    agreement: dict[str, Agreement] = field(default_factory=lambda: defaultdict(Agreement))
    stale: list[StaleCopy] = field(default_factory=list)
    duplicates: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    conflicts: int = 0


class _Resolved(NamedTuple):
    """What the statements of one key came to: the merged record, or the first statement's where all say the same.

    `ranked` are the statements in the total order. On the wire: what the record's envelope holds so far, and its content.
    """

    ranked: Sequence[Statement]
    record: Any
    envelope: bytes
    content: bytes
    status: RecordStatus.ValueType
    stale: tuple[str, ...]
    agreement: Mapping[str, Agreement]
    conflicts: int


class _Entry(NamedTuple):
    """One shown record of a type that has weak keys: its key, and its envelope and content on the wire."""

    key: Key
    record: Any
    record_key: bytes
    envelope: bytes
    content: bytes


class Resolver:
    """Resolves types one by one; built once from the choice and the dated tables."""

    def __init__(self, chooser: Chooser, crosswalk: Crosswalk) -> None:
        self._chooser = chooser
        self._crosswalk = crosswalk

    def resolve(
        self,
        plan: RecordPlan,
        statements: Sequence[Statement],
        uscc: str,
        home: str | None,
        publication: Publication,
        shown: Shown,
    ) -> Sequence[Any]:
        """Adds one type's shown records to `shown`, ordered by record key, and gives what they say as messages."""
        records: list[Any] = []
        linked: list[_Entry] = []
        counts: dict[str, int] = defaultdict(int)
        category, can_run_out = plan.category, bool(plan.expiry) or plan.is_adverse
        repaired = shown.repaired
        is_evaluation = plan.records_field == "evaluations"
        entry = _ENTRIES[plan.records_field]
        groups = [(record_key_of(uscc, category, key), key, group) for key, group in group_by_key(statements).items()]
        groups.sort(key=_BY_RECORD_KEY)
        has_weak = plan.key_document is not None and any(key[0] is WEAK for _, key, _ in groups)
        for record_key, key, group in groups:
            if repaired and record_key in repaired and self._is_gone(plan, group, home, repaired[record_key]):
                stale = {s.platform.id for s in group if s.status not in HIDDEN}
                shown.stale.extend([StaleCopy(platform, category, record_key) for platform in sorted(stale)])
                continue
            resolved = None
            ranked: Sequence[Statement] = group
            if len(group) == 1:
                (statement,) = group
                record, status, content = statement.record, statement.status, statement.content
                envelope = statement.provenance + statement.more
            else:
                resolved = self._several(plan, group, home)
                ranked, record, envelope, content, status, *_ = resolved
                if resolved.stale:
                    shown.stale.extend([StaleCopy(p, category, record_key) for p in resolved.stale])
            if status in HIDDEN or (can_run_out and has_run_out(plan, record, publication)):
                if plan.is_adverse and (status in WITHDRAWN or is_removed(plan, record, publication.today)):
                    self._hear(plan, record_key, group, home, publication, shown)
                continue
            if resolved is not None:  # counted for shown records only: a hidden one leaves no hint
                shown.conflicts += resolved.conflicts
                for platform_id, count in resolved.agreement.items():
                    agreement = shown.agreement[platform_id]
                    agreement.comparable += count.comparable
                    agreement.equal += count.equal
            for statement in ranked:
                counts[statement.platform.id] += 1
            envelope += _STANDING[status, key[0]] + record_key
            if is_evaluation:
                content += self._grade(record)
            records.append(record)
            if has_weak:
                linked.append(_Entry(key, record, record_key, envelope, content))
            else:
                shown.entries.append(entry(_ENVELOPE(envelope) + content))
        for platform_id, shown_here in counts.items():
            shown.by_platform.setdefault(platform_id, {})[category] = shown_here
        shown.record_count[category] = len(records)
        if has_weak:
            shown.duplicates[category] = _link_duplicates(plan, linked)
            shown.entries += [entry(_ENVELOPE(e.envelope) + e.content) for e in linked]
        return records

    def _several(self, plan: RecordPlan, group: Sequence[Statement], home: str | None) -> _Resolved:
        content = group[0].content
        are_alike = all(s.content == content for s in group)
        ranked, ranks = self._chooser.ranked(plan, group, home, are_alike=are_alike)
        agreement: dict[str, Agreement] = defaultdict(Agreement)
        first = ranked[0]
        more, status = first.more, first.status
        if are_alike:
            self._chooser.count_alike(plan, ranked, agreement)
            if status not in HIDDEN and all(s.more == more for s in ranked) and not (more and _has_drifts(first)):
                envelope = b"".join([s.provenance for s in ranked]) + more
                status = status or RECORD_STATUS_VALID
                return _Resolved(ranked, first.record, envelope, content, status, (), agreement, 0)
        content, conflicts, conflict_count = (
            United(content, b"", 0) if are_alike else self._chooser.unite(plan, ranked, ranks, agreement)
        )
        status, stale = stated_status(plan, ranked, sum([rank[0] == 0 for rank in ranks]))
        if status not in HIDDEN and plan.is_adverse:
            withdrawal = _status_conflict(ranked)
            conflicts += withdrawal
            conflict_count += bool(withdrawal)
        more = more if all(not s.more for s in ranked[1:]) else _united_envelopes(ranked)
        envelope = b"".join([s.provenance for s in ranked]) + more + conflicts
        record = plan.message.FromString(_ENVELOPE(envelope) + content)
        return _Resolved(ranked, record, envelope, content, status, stale, agreement, conflict_count)

    def _is_gone(
        self, plan: RecordPlan, group: Sequence[Statement], home: str | None, repairs: Sequence[Remembered]
    ) -> bool:
        ranked, ranks = self._chooser.ranked(plan, group, home, are_alike=False)
        first_count = sum([rank[0] == 0 for rank in ranks])
        return is_remembered_gone(plan, ranked, first_count, repairs, self._chooser.authority_ids)

    def _hear(
        self,
        plan: RecordPlan,
        record_key: bytes,
        group: Sequence[Statement],
        home: str | None,
        publication: Publication,
        shown: Shown,
    ) -> None:
        """Takes what is to be remembered of a hidden record: that its recogniser withdrew it; nothing where another did."""
        ranked, ranks = self._chooser.ranked(plan, group, home, are_alike=False)
        told = last_word(plan, ranked, sum([rank[0] == 0 for rank in ranks]), publication.today)
        if told is None:
            return
        last, day, status = told
        if last.status not in WITHDRAWN:  # removed, which the register of statuses knows nothing of
            copies = {s.platform.id for s in ranked if not is_removed(plan, s.record, publication.today)}
            shown.stale.extend([StaleCopy(platform, plan.category, record_key) for platform in sorted(copies)])
        ids = self._chooser.authority_ids
        authority = authority_of(plan, last.record, ids)
        province = ids.province_of(authority) or last.platform.province or ""
        shown.heard.append(
            Heard(plan.category, record_key, status, day, last.platform.id, authority, province, last.record)
        )

    def _grade(self, record: Any) -> bytes:
        """Gives the canonical grade as fields of an evaluation on the wire."""
        rated_on = record.rated_on
        # A partial date may straddle a change of the scheme: it reads as undated. So does a day that is none, which only a
        # connector lets through that maps without the kit: there such a value is left out and flagged (`date.impossible`).
        try:
            on = date(rated_on.year, rated_on.month, rated_on.day) if rated_on.day else None
        except ValueError:
            on = None
        return _grade_fields(self._crosswalk.canonical(record.scheme_id, record.raw_grade, on))


def _has_drifts(statement: Statement) -> bool:
    return bool(statement.record.envelope.drifts)


@lru_cache(maxsize=1024)
def _grade_fields(grade: CanonicalGrade) -> bytes:
    # Written even where empty or false: what a platform wrote there is not its to say.
    return (
        _EVALUATION["canonical_grade"](proto_grade(grade.grade))
        + _EVALUATION["scheme_version"](grade.scheme_version)
        + _EVALUATION["is_internal_use"](grade.internal_use)
    )


def record_key_of(uscc: str, category: int, key: Key) -> bytes:
    """Gives the name of a record in every view, by which it is spoken of: 16 bytes."""
    return sha256(_encode_key((uscc, category, key))).digest()[:16]


def _united_envelopes(ranked: Sequence[Statement]) -> bytes:
    """Gives what statements say on their envelopes beside provenance: the first's, all drifts, and any known publication."""
    united = envelope_pb2.RecordEnvelope.FromString(ranked[0].more)
    for statement in ranked[1:]:
        if not statement.more:
            continue
        other = statement.record.envelope
        united.drifts.extend(other.drifts)
        if not (united.HasField("publish_end") or united.publish_is_indefinite):
            united.publish_is_indefinite = other.publish_is_indefinite
            for name in ("publish_start", "publish_end"):
                if other.HasField(name):
                    getattr(united, name).CopyFrom(getattr(other, name))
    return united.SerializeToString(deterministic=True)


def _status_conflict(ranked: Sequence[Statement]) -> bytes:
    """Gives the conflict, on the wire, of a record that some platform calls withdrawn while its recogniser does not."""
    if not any(s.status in HIDDEN for s in ranked):
        return b""
    keeper = next(s for s in ranked if s.status not in HIDDEN)
    conflict = envelope_pb2.Conflict(
        field="envelope.status",
        rule=envelope_pb2.CHOICE_RULE_RECOGNISER_PROVINCE,
        chosen_platform=keeper.platform.id,
    )
    for statement in [keeper, *(s for s in ranked if s is not keeper)]:
        status = statement.status or RECORD_STATUS_VALID
        conflict.values.add(
            platform=statement.platform.id,
            value=envelope_pb2.FieldValue(text=RecordStatus.Name(status)),
        )
    return _ON_ENVELOPE["conflicts"]([conflict])


def _link_duplicates(plan: RecordPlan, entries: list[_Entry]) -> int:
    """Links weak-keyed records to the strong ones they may repeat: same fixed parts, same day of the event."""
    width = len(plan.key_always)
    circumstances = [
        (entry.key[2 : 2 + width], event_day([getattr(entry.record, field.name) for field in plan.event]))
        for entry in entries
    ]
    strong: dict[tuple[Any, ...], list[bytes]] = defaultdict(list)
    for entry, alike in zip(entries, circumstances, strict=True):
        if entry.key[0] is not WEAK:
            strong[alike].append(entry.record_key)
    linked = 0
    for place, (entry, alike) in enumerate(zip(entries, circumstances, strict=True)):
        if entry.key[0] is WEAK and alike in strong:
            entries[place] = entry._replace(envelope=entry.envelope + _DUPLICATES(sorted(strong[alike])))
            linked += 1
    return linked
