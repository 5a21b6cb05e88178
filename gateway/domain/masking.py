"""Masking (脱敏) of what is about persons, in the finished view: compiled once from the descriptors.

Which fields are masked, and how, the catalogue says (JR/T 0171-2020: C2). A mask covers the field itself, its raw sibling,
every value of a conflict on it, and every place where the value would show through: a platform's own record key, and the
digests of what was stated, which anyone could compare with those of guessed names. Digests are replaced by HMAC-SM3 of
themselves under a key of the deployment, and stay equal where they were equal.

Only record types that have such a field are looked at: a view without any costs a look at each platform's drifts.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.catalogue.v1 import options_pb2, view_pb2
from gateway.domain.catalogue import Catalogue, RecordPlan
from gateway.domain.consent import Permit
from gateway.domain.names import normalise_name

Mask = Callable[[str], str]

_STAR: Final = "*"
_LIST: Final = ","  # joins the values of a repeated field in a conflict
_IDENTITY: Final = re.compile(r"\d{15,}[XxＸｘ]?")  # of old and new identity cards, and of bank accounts
_TELEPHONE: Final = re.compile(r"(?<!\d)(?:1[3-9]\d{9}|0\d{2,3}-?\d{7,8})(?!\d)")
_LONG_NUMBER: Final = re.compile(r"\d[\d-]{8}")
"""Without this there is no identity or telephone number: most texts are told by one search."""
_FEWEST: Final = 5
"""What is shorter is taken for a person's name: an organisation's, which ends with what kind it is, is longer."""
_ORGANISATIONS: Final = re.compile(
    r"公司|集团|银行|合伙|企业|中心|合作社|委员会|管理局|政府|基金|信托|协会|学校|大学|医院|研究院|研究所|事务所"
    r"|厂$|店$|行$|社$|\b(?:Ltd|LLC|Inc|Corp|Co)\b"
)
_SHORTEST_KEY: Final = 16


def mask_name(name: str) -> str:
    """Gives 张* for 张三: how long the name is shows up to four characters only."""
    name = name.strip()
    if len(name) < 2:
        return _STAR * len(name)
    return name[0] + _STAR * min(len(name) - 1, 3)


def mask_party(name: str) -> str:
    """Masks a name that may be a person's or an organisation's, unless it is evidently an organisation's."""
    return name if len(name) >= _FEWEST and _ORGANISATIONS.search(name) else mask_name(name)


def mask_number(number: str) -> str:
    """Gives 310***********1234, or 138****1234: the first three and last four characters of one that is long enough."""
    number = number.strip()
    if len(number) < 10:
        return _STAR * len(number)
    return number[:3] + _STAR * (len(number) - 7) + number[-4:]


def mask_address(address: str) -> str:
    """Keeps the first six characters, which name province and city, of an address that goes on."""
    return address[:6] + _STAR * 4 if len(address) > 6 else _STAR * len(address)


def mask_text(text: str) -> str:
    """Masks identity, account and telephone numbers where they stand in a text; for names see `mask_names`."""
    if not _LONG_NUMBER.search(text):
        return text
    masked = _IDENTITY.sub(lambda found: mask_number(found[0]), text)
    return _TELEPHONE.sub(lambda found: mask_number(found[0]), masked)


def mask_names(text: str, names: Iterable[str]) -> str:
    """Masks the names where they stand in a text, blanks between their characters or not; they come without blanks."""
    compact = "".join(text.split())
    for name in names:
        if name in compact:
            text = re.sub(r"\s*".join(map(re.escape, name)), mask_name(name), text)
    return text


MASKS: Final[Mapping[int, Mask]] = {
    options_pb2.MASK_NAME: mask_name,
    options_pb2.MASK_PARTY: mask_party,
    options_pb2.MASK_ID_NUMBER: mask_number,
    options_pb2.MASK_PHONE: mask_number,
    options_pb2.MASK_ADDRESS: mask_address,
    options_pb2.MASK_TEXT: mask_text,
}


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
    has_text: bool
    is_keyed: bool
    """Whether a masked field enters the record's key, so that the key's digest shows the value to whoever guesses it."""


def masked_fields(catalogue: Catalogue) -> Mapping[int, tuple[str, ...]]:
    """Gives the names of the fields that are masked, by category."""
    return {kind.category: tuple(kind.fields) for kind in map(_compile, catalogue.plans) if kind.fields}


class Masker:
    """Masks views; built once from the catalogue and the deployment's key for digests of what is about persons."""

    def __init__(self, catalogue: Catalogue, key: bytes) -> None:
        if len(key) < _SHORTEST_KEY:
            raise ValueError(f"the key for masking must have {_SHORTEST_KEY} bytes or more, so that nobody guesses it")
        numbers = view_pb2.Records.DESCRIPTOR.fields_by_name
        self._types = {
            numbers[kind.records_field].number: kind for kind in map(_compile, catalogue.plans) if kind.fields
        }
        self._keyed = hmac.new(key, digestmod="sm3")

    def digest(self, content: bytes) -> bytes:
        """Gives HMAC-SM3 (GB/T 15852.2) of the content under the deployment's key, 32 bytes."""
        hashing = self._keyed.copy()
        hashing.update(content)
        return hashing.digest()

    def person(self, uscc: str, name: str) -> str:
        """Gives the reference under which a person's consent about an enterprise is kept: it tells no name."""
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

    def mask_answer(self, said: view_pb2.Answer, uscc: str, permit: Permit) -> None:
        """Masks one platform's answer in place, as it stands in a stream."""
        if permit.is_masked:
            self._mask_records(said.records, uscc, permit.persons)
            _mask_drifts(said.drifts)

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
                        changed |= _mask_drifts(drifts)
                continue
            is_lifted = self._lifting(kind, uscc, persons) if persons else None
            known = names if kind.has_text else ()
            if known and is_lifted is not None:
                known = tuple(name for name in known if not is_lifted(name))
            for record in rows:
                changed |= self._mask_record(kind, record, is_lifted, known)
        return changed

    def _names_for_texts(self, listed: Iterable[tuple[FieldDescriptor, Any]]) -> tuple[str, ...]:
        """Gives the persons' names that the records state, the longest first; none where no record has a free text."""
        kinds = [
            (kind, rows) for descriptor, rows in listed if (kind := self._types.get(descriptor.number)) is not None
        ]
        if not any(kind.has_text for kind, _ in kinds):
            return ()
        names = {"".join(name.split()) for kind, rows in kinds for record in rows for name in _names(kind, record)}
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
        drifted = _mask_drifts(drifts) if drifts else False
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


def _mask_drifts(drifts: Iterable[Any]) -> bool:
    changed = False
    for drift in drifts:
        raw = drift.raw
        if raw:
            shown = mask_text(raw)
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
    has_text = any(field.is_text for field in ordered)
    return _TypeMasks(plan.records_field, plan.category, fields, ordered, has_text, not keyed.isdisjoint(fields))
