"""Masking worked out a second time, in the finished view and by its messages: what masking on the wire must come to."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.catalogue.v1 import options_pb2, view_pb2
from gateway.domain.catalogue import Catalogue, RecordPlan
from gateway.domain.consent import Permit
from gateway.domain.masks import MASKS, Mask, mask_names, mask_text
from gateway.domain.names import as_seen, normalise_name

_LIST: Final = ","  # joins the values of a repeated field in a conflict


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    mask: Mask
    is_repeated: bool
    is_name: bool
    """Whether a person's consent can lift the mask: only a name tells whose it is."""
    is_text: bool
    """Whether persons that other fields name may be named in it."""


@dataclass(frozen=True, slots=True)
class _TypeMasks:
    records_field: str
    category: int
    fields: Mapping[str, _Field]
    ordered: tuple[_Field, ...]
    is_keyed: bool
    """Whether a masked field enters the record's key, so that the key's digest shows the value to whoever guesses it."""


class MessageMasker:
    """Masks a finished view, message by message."""

    def __init__(self, catalogue: Catalogue, key: bytes) -> None:
        numbers = view_pb2.Records.DESCRIPTOR.fields_by_name
        self._types = {
            numbers[kind.records_field].number: kind for kind in map(_compile, catalogue.plans) if kind.fields
        }
        self._key = key

    def digest(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sm3")

    def person(self, uscc: str, name: str) -> str:
        return self.digest(f"{uscc}\n{normalise_name(name)}".encode()).hex()

    def mask(self, view: view_pb2.CreditView, permit: Permit) -> bool:
        """Masks the view in place, unless the permit lifts it; whether anything changed, so that its id must be anew."""
        if not permit.is_masked:
            return False
        changed = self._mask_records(view.records, view.query.uscc, permit.persons)
        for answer in view.answers:
            if answer.drifts:
                changed |= _mask_drifts(answer.drifts)
        return changed

    def _mask_records(self, records: view_pb2.Records, uscc: str, persons: frozenset[tuple[int, str]]) -> bool:
        changed = False
        listed = records.ListFields()
        names = self._names_for_texts(listed)
        for descriptor, rows in listed:
            kind = self._types.get(descriptor.number)
            if kind is None:
                for record in rows:
                    drifts = record.envelope.drifts
                    if drifts:
                        changed |= _mask_drifts(drifts, names)
                continue
            is_lifted = self._lifting(kind, uscc, persons) if persons else None
            known = names
            if known and is_lifted is not None:
                known = tuple(name for name in known if not is_lifted(name))
            for record in rows:
                changed |= self._mask_record(kind, record, is_lifted, known)
        return changed

    def _names_for_texts(self, listed: Iterable[tuple[FieldDescriptor, Any]]) -> tuple[str, ...]:
        """Gives the persons' names that the records state, the longest first."""
        kinds = [
            (kind, rows) for descriptor, rows in listed if (kind := self._types.get(descriptor.number)) is not None
        ]
        names = {as_seen(name) for kind, rows in kinds for record in rows for name in _names(kind, record)}
        return tuple(sorted((name for name in names if len(name) > 1), key=lambda name: (-len(name), name)))

    def _lifting(
        self, kind: _TypeMasks, uscc: str, persons: frozenset[tuple[int, str]]
    ) -> Callable[[str], bool] | None:
        """Gives what says of a name in records of the type whether its bearer consented to its being shown."""
        lifted = frozenset(person for category, person in persons if category == kind.category)
        return (lambda name: self.person(uscc, name) in lifted) if lifted else None

    def _mask_record(
        self, kind: _TypeMasks, record: Any, is_lifted: Callable[[str], bool] | None, names: Sequence[str]
    ) -> bool:
        hidden: list[str] = []
        for field in kind.ordered:
            stated = getattr(record, field.name)
            if not stated:
                continue
            if field.is_repeated:
                stated[:] = [_one(field, value, is_lifted, names, hidden) for value in stated]
            else:
                shown = _one(field, stated, is_lifted, names, hidden)
                if shown is not stated:
                    setattr(record, field.name, shown)
        envelope = record.envelope
        conflicts = envelope.conflicts
        if conflicts:
            _mask_conflicts(kind, conflicts, is_lifted, names, hidden)
        drifts = envelope.drifts
        drifted = _mask_drifts(drifts, names) if drifts else False
        if kind.is_keyed:
            self._replace_keys(envelope)
        if not hidden:
            return drifted or kind.is_keyed
        for provenance in envelope.provenances:
            digest = provenance.digest
            if digest:
                provenance.digest = self.digest(digest)
            own_key = provenance.platform_record_key
            for value in hidden if own_key else ():
                if value in own_key:
                    provenance.platform_record_key = ""
        return True

    def _replace_keys(self, envelope: Any) -> None:
        """Replaces the digests of keys that contain a name, of every record of the type alike: links between them hold."""
        if envelope.record_key:
            envelope.record_key = self.digest(envelope.record_key)[: len(envelope.record_key)]
        if envelope.possible_duplicate_of:
            envelope.possible_duplicate_of[:] = [self.digest(k)[: len(k)] for k in envelope.possible_duplicate_of]


def _names(kind: _TypeMasks, record: Any) -> Iterator[str]:
    """Gives what a record states as names that are masked, in conflicts too."""
    for field in kind.ordered:
        if field.is_name:
            stated = getattr(record, field.name)
            for name in stated if field.is_repeated else (stated,):
                if field.mask(name) != name:
                    yield name
    for conflict in record.envelope.conflicts:
        about = kind.fields.get(conflict.field)
        if about is not None and about.is_name:
            for value in conflict.values:
                for name in value.value.text.split(_LIST) if about.is_repeated else (value.value.text,):
                    if about.mask(name) != name:
                        yield name


def _one(
    field: _Field, value: str, is_lifted: Callable[[str], bool] | None, names: Sequence[str], hidden: list[str]
) -> str:
    """Gives a value as it may be shown, and notes in `hidden` one that may not be shown as it stands."""
    if is_lifted is not None and field.is_name and is_lifted(value):
        return value
    shown = field.mask(value)
    if names and field.is_text:
        shown = mask_names(shown, names)
    if shown == value:
        return value
    hidden.append(value)
    return shown


def _mask_conflicts(
    kind: _TypeMasks,
    conflicts: Iterable[Any],
    is_lifted: Callable[[str], bool] | None,
    names: Sequence[str],
    hidden: list[str],
) -> None:
    for conflict in conflicts:
        field = kind.fields.get(conflict.field)
        if field is None:
            continue
        for stated in conflict.values:
            text = stated.value.text
            parts = text.split(_LIST) if field.is_repeated else (text,)
            stated.value.text = _LIST.join([_one(field, part, is_lifted, names, hidden) for part in parts])


def _mask_drifts(drifts: Iterable[Any], names: Sequence[str] = ()) -> bool:
    changed = False
    for drift in drifts:
        raw = drift.raw
        if raw:
            shown = mask_names(mask_text(raw), names)
            if shown != raw:
                drift.raw = shown
                changed = True
    return changed


def _compile(plan: RecordPlan) -> _TypeMasks:
    fields: dict[str, _Field] = {}
    texts = {
        field.name: field.is_repeated
        for field in plan.message.DESCRIPTOR.fields
        if field.type == FieldDescriptor.TYPE_STRING
    }
    for field in plan.fields:
        mask = MASKS.get(field.options.mask)
        if mask is not None:
            is_name = field.options.mask in (options_pb2.MASK_NAME, options_pb2.MASK_PARTY)
            is_text = field.options.mask == options_pb2.MASK_TEXT
            for name in (field.name, f"{field.name}_raw"):
                if name in texts:
                    fields[name] = _Field(name, mask, texts[name], is_name, is_text)
    keyed = {field.name for field in (*plan.key_always, *plan.key_weak)}
    if plan.key_document is not None:
        keyed.add(plan.key_document.name)
    ordered = tuple(fields.values())
    return _TypeMasks(plan.records_field, plan.category, fields, ordered, not keyed.isdisjoint(fields))
