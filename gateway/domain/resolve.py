"""Resolution: the statements of one type become the records a view shows, hidden ones leaving no hint.

Records stand in the order of their keys, and are put together on the wire, canonically: one statement's content is used as it
came, and no message is made of it. What is counted on the way (shown records per platform, agreement, conflicts,
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

from gateway._pb.xinyidai.catalogue.v1 import evaluation_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_VALID, RecordStatus
from gateway.domain.catalogue import Catalogue, RecordPlan
from gateway.domain.choose import Agreement, Chooser, Counted
from gateway.domain.crosswalk import Crosswalk, proto_grade
from gateway.domain.envelope import (
    envelope_of,
    has_drifts,
    has_only_status,
    has_stated_end,
    in_order,
    status_conflict,
    united_envelopes,
)
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
    stated_status,
)
from gateway.domain.statement import WEAK, Key, Statement, group_by_key
from gateway.domain.wire import delimited, encoder, split_fields, varint

_encode_key = msgspec.msgpack.Encoder().encode
_BY_RECORD_KEY: Final = itemgetter(0)

_ENVELOPE: Final = delimited(evaluation_pb2.Evaluation.DESCRIPTOR.fields_by_name["envelope"])  # field 1 of every type
_ON_EVALUATION: Final = {name: encoder(f) for name, f in evaluation_pb2.Evaluation.DESCRIPTOR.fields_by_name.items()}


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
    duplicates: dict[int, int] = field(default_factory=dict)
    conflicts: int = 0


MOST_DUPLICATES: Final = 16
"""Strong-keyed records that a weak-keyed one names as those it may repeat, at most."""


class _Resolved(NamedTuple):
    """What several statements of one key came to.

    On the wire: their provenances, what else they write on the envelope, the conflicts, and the record's content. `record`
    is the first statement's where all say the same, and None where they differ: then it is made when it is needed.
    """

    record: Any
    provenances: bytes
    more: bytes
    conflicts: bytes
    content: bytes
    status: RecordStatus.ValueType
    stale: Sequence[str]
    counted: Counted | int
    """What was compared; or of how many fields nothing need be, since all say the same."""
    conflict_count: int


class _Entry(NamedTuple):
    """One shown record of a type that has weak keys; the bytes are the arguments of `envelope_of`, but for duplicates."""

    key: Key
    record: Any
    record_key: bytes
    envelope: tuple[bytes, RecordStatus.ValueType, bytes, bytes, str, bytes]
    content: bytes


class _Rules(NamedTuple):
    """What of a type's plan the resolution asks of every record; `tag` is that of the type's field in `Records`."""

    tag: bytes
    can_run_out: bool
    is_evaluation: bool
    needs_record: bool
    """Whether what a record says is read once it is merged: no message is made of it else."""


class Resolver:
    """Resolves types one by one; built once from the choice and the dated tables."""

    def __init__(self, catalogue: Catalogue, chooser: Chooser, crosswalk: Crosswalk) -> None:
        self._chooser = chooser
        self._crosswalk = crosswalk
        self._rules = {plan.records_field: _rules(plan) for plan in catalogue.plans}
        # Grades repeat from record to record: a scheme rates all on few days, with few labels.
        self._graded = lru_cache(4096)(self._grade)

    def resolve(
        self,
        plan: RecordPlan,
        statements: Sequence[Statement],
        uscc: str,
        home: str | None,
        publication: Publication,
        shown: Shown,
    ) -> Sequence[tuple[Key, Any]]:
        """Adds one type's shown records to `shown`, ordered by record key; gives those of a series as messages, with keys.

        `statements` are those of the type, as `in_order_of_platforms` gives them.
        """
        rules = self._rules[plan.records_field]
        series: list[tuple[Key, Any]] = []
        linked: list[_Entry] = []
        counts: dict[str, int] = {}
        category = plan.category
        repaired = shown.repaired
        entries = shown.entries
        groups = [(record_key_of(uscc, category, key), key, group) for key, group in group_by_key(statements).items()]
        if len(groups) > 1:
            groups.sort(key=_BY_RECORD_KEY)
        has_weak = plan.key_document is not None and any(key[0] is WEAK for _, key, _ in groups)
        count = 0
        for record_key, key, group in groups:
            if repaired and record_key in repaired and self._is_gone(plan, group, home, repaired[record_key]):
                stale = {s.platform.id for s in group if s.status not in HIDDEN}
                shown.stale.extend([StaleCopy(platform, category, record_key) for platform in sorted(stale)])
                continue
            resolved = None
            statement = group[0]
            if len(group) == 1:
                record, status, content = statement.record, statement.status, statement.content
                provenances, more, conflicts = statement.provenance, statement.more, b""
            else:
                resolved = self._several(plan, group, home)
                record, provenances, more, conflicts, content, status, stale_copies, _, _ = resolved
                if stale_copies:
                    shown.stale.extend([StaleCopy(p, category, record_key) for p in stale_copies])
                if record is None and (rules.needs_record or has_weak):
                    record = plan.message.FromString(_ENVELOPE(provenances + more + conflicts) + content)
            if status in HIDDEN or (rules.can_run_out and has_run_out(plan, record, publication, has_stated_end(more))):
                if plan.is_adverse and (status in WITHDRAWN or is_removed(plan, record, publication.today)):
                    self._hear(plan, record_key, group, home, publication, shown)
                continue
            if resolved is not None:  # counted for shown records only: a hidden one leaves no hint
                shown.conflicts += resolved.conflict_count
                if isinstance(counted := resolved.counted, int):
                    for statement in group if counted else ():
                        agreement = shown.agreement[statement.platform.id]
                        agreement.comparable += counted
                        agreement.equal += counted
                else:
                    counted.add_to(shown.agreement)
            for statement in group:
                platform_id = statement.platform.id
                counts[platform_id] = counts.get(platform_id, 0) + 1
            count += 1
            if rules.is_evaluation:
                content = self._with_grade(record, content)
            if plan.is_series:
                series.append((key, record))
            if has_weak:
                envelope = (provenances, status, more, conflicts, key[0], record_key)
                linked.append(_Entry(key, record, record_key, envelope, content))
                continue
            encoded = _ENVELOPE(envelope_of(provenances, status, more, conflicts, key[0], record_key)) + content
            entries += (rules.tag, varint(len(encoded)), encoded)
        for platform_id, shown_here in counts.items():
            shown.by_platform.setdefault(platform_id, {})[category] = shown_here
        shown.record_count[category] = count
        if has_weak:
            duplicates = _duplicates(plan, linked)
            shown.duplicates[category] = sum(map(bool, duplicates))
            for entry, of_entry in zip(linked, duplicates, strict=True):
                encoded = _ENVELOPE(envelope_of(*entry.envelope, of_entry)) + entry.content
                entries += (rules.tag, varint(len(encoded)), encoded)
        return series

    def _several(self, plan: RecordPlan, group: Sequence[Statement], home: str | None) -> _Resolved:
        content, more = group[0].content, group[0].more
        are_alike = is_plain = True
        for statement in group:
            are_alike = are_alike and statement.content == content
            is_plain = is_plain and statement.more == more
        ranked, first_count = self._chooser.ranked(plan, group, home, are_alike=are_alike)
        first = ranked[0]
        provenances = b"".join([s.provenance for s in ranked])
        counted: Counted | int
        if are_alike:
            counted = self._chooser.count_alike(plan, ranked)
            if is_plain and first.status not in HIDDEN and (has_only_status(more) or not has_drifts(first.record)):
                status = first.status or RECORD_STATUS_VALID
                return _Resolved(first.record, provenances, more, b"", content, status, (), counted, 0)
            conflicts, conflict_count = b"", 0
        else:
            content, conflicts, conflict_count, counted = self._chooser.unite(plan, ranked, first_count)
        status, stale, speaker = stated_status(plan, ranked, first_count)
        if status not in HIDDEN and plan.is_adverse:
            withdrawal = status_conflict(ranked)
            conflicts += withdrawal
            conflict_count += bool(withdrawal)
        is_firsts = speaker is first and not any(s.more for s in ranked[1:])
        more = first.more if is_firsts else united_envelopes(ranked, speaker)
        return _Resolved(None, provenances, more, conflicts, content, status, stale, counted, conflict_count)

    def _is_gone(
        self, plan: RecordPlan, group: Sequence[Statement], home: str | None, repairs: Sequence[Remembered]
    ) -> bool:
        ranked, first_count = self._chooser.ranked(plan, group, home, are_alike=False)
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
        ranked, first_count = self._chooser.ranked(plan, group, home, are_alike=False)
        told = last_word(plan, ranked, first_count, publication.today)
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

    def _with_grade(self, record: Any, content: bytes) -> bytes:
        """Gives an evaluation's content with the canonical grade: what a platform wrote there is not its to say."""
        rated_on = record.rated_on
        grade = self._graded(record.scheme_id, record.raw_grade, rated_on.year, rated_on.month, rated_on.day)
        fields = split_fields(content)
        for number, written in grade:
            fields[number] = written
        return in_order(fields)

    def _grade(self, scheme_id: str, raw_grade: str, year: int, month: int, day: int) -> Sequence[tuple[int, bytes]]:
        """Gives the canonical grade as fields of an evaluation on the wire, by number."""
        # A partial date may straddle a change of the scheme: it reads as undated. So does a day that is none, which only a
        # connector lets through that maps without the kit: there such a value is left out and flagged (`date.impossible`).
        try:
            on = date(year, month, day) if day else None
        except ValueError:
            on = None
        grade = self._crosswalk.canonical(scheme_id, raw_grade, on)
        values = (
            ("canonical_grade", proto_grade(grade.grade)),
            ("scheme_version", grade.scheme_version),
            ("is_internal_use", grade.internal_use),
        )
        numbers = evaluation_pb2.Evaluation.DESCRIPTOR.fields_by_name
        return [(numbers[name].number, _ON_EVALUATION[name](value) if value else b"") for name, value in values]


def _rules(plan: RecordPlan) -> _Rules:
    tag = delimited(view_pb2.Records.DESCRIPTOR.fields_by_name[plan.records_field])(b"")[:-1]
    can_run_out, is_evaluation = bool(plan.expiry) or plan.is_adverse, plan.records_field == "evaluations"
    return _Rules(tag, can_run_out, is_evaluation, can_run_out or is_evaluation or plan.is_series)


def record_key_of(uscc: str, category: int, key: Key) -> bytes:
    """Gives the name of a record in every view, by which it is spoken of: 16 bytes."""
    return sha256(_encode_key((uscc, category, key))).digest()[:16]


def _duplicates(plan: RecordPlan, entries: Sequence[_Entry]) -> Sequence[Sequence[bytes]]:
    """Gives, for each record, the strong-keyed ones that a weak-keyed one may repeat: same fixed parts, same day.

    They are the first few in the order of their keys, as every arrival of the answers gives them: all of them, for each of as
    many weak ones, would outgrow any message.
    """
    width = len(plan.key_always)
    circumstances = [
        (entry.key[2 : 2 + width], event_day([getattr(entry.record, field.name) for field in plan.event]))
        for entry in entries
    ]
    strong: dict[tuple[Any, ...], list[bytes]] = {}
    for entry, alike in zip(entries, circumstances, strict=True):
        if entry.key[0] is not WEAK:
            strong.setdefault(alike, []).append(entry.record_key)
    first = {alike: sorted(keys)[:MOST_DUPLICATES] for alike, keys in strong.items()}
    return [
        first.get(alike, ()) if entry.key[0] is WEAK else ()
        for entry, alike in zip(entries, circumstances, strict=True)
    ]
