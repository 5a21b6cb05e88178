"""The envelope of a record in a view, on the wire: what its statements wrote on theirs, and what the merge adds.

The bytes are canonical: fields by ascending number, nothing that says the default. Most platforms write nothing on an
envelope but provenance and perhaps a status, so that is written without looking into anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import (
    KEY_STRENGTH_STRONG,
    KEY_STRENGTH_WEAK,
    RECORD_STATUS_VALID,
    RecordStatus,
)
from gateway.domain.standing import HIDDEN, shown_status
from gateway.domain.statement import STRONG, WEAK, Statement
from gateway.domain.wire import encoder, split_fields

_NUMBERS: Final = {f.name: f.number for f in envelope_pb2.RecordEnvelope.DESCRIPTOR.fields}
_WRITE: Final = {f.name: encoder(f) for f in envelope_pb2.RecordEnvelope.DESCRIPTOR.fields}
_STATUS: Final = {status: _WRITE["status"](shown_status(status)) for status in RecordStatus.values()}
_RECORD_KEY: Final = _WRITE["record_key"](bytes(16))[:-16]
_STRENGTH: Final[Mapping[str, bytes]] = {
    STRONG: _WRITE["key_strength"](KEY_STRENGTH_STRONG),
    WEAK: _WRITE["key_strength"](KEY_STRENGTH_WEAK),
}
_DUPLICATES: Final = _WRITE["possible_duplicate_of"]
_CONFLICTS: Final = _WRITE["conflicts"]
_ONLY_STATUS: Final = frozenset({b"", *map(_WRITE["status"], RecordStatus.values())})


def has_only_status(more: bytes) -> bool:
    """Whether a statement wrote nothing on its envelope beside provenance but, perhaps, a status."""
    return more in _ONLY_STATUS


def has_stated_end(more: bytes) -> bool:
    """Whether an end of publication may be stated in what a statement wrote on its envelope beside provenance."""
    return more not in _ONLY_STATUS


def has_drifts(record: Any) -> bool:
    """Whether a record tells of values that could not be read."""
    return bool(record.envelope.drifts)


def envelope_of(
    provenances: bytes,
    status: RecordStatus.ValueType,
    more: bytes,
    conflicts: bytes,
    strength: str,
    record_key: bytes,
    duplicates: Sequence[bytes] = (),
) -> bytes:
    """Gives the envelope of a shown record.

    `more` is what statements wrote beside their provenances; where it says what is the merge's to say, it is overridden.
    """
    if more in _ONLY_STATUS and not duplicates:
        return b"".join((provenances, _STATUS[status], conflicts, _RECORD_KEY, record_key, _STRENGTH[strength]))
    fields = split_fields(more)
    fields[_NUMBERS["status"]] = _STATUS[status]
    fields[_NUMBERS["record_key"]] = _RECORD_KEY + record_key
    fields[_NUMBERS["key_strength"]] = _STRENGTH[strength]
    for name, added in (("conflicts", conflicts), ("possible_duplicate_of", _DUPLICATES(duplicates))):
        fields[_NUMBERS[name]] = fields.get(_NUMBERS[name], b"") + added
    return provenances + in_order(fields)


def in_order(fields: Mapping[int, bytes]) -> bytes:
    """Gives the fields of a message in their canonical order: an unknown one of a newer schema has a higher number."""
    return b"".join([fields[number] for number in sorted(fields)])


def united_envelopes(ranked: Sequence[Statement], speaker: Statement) -> bytes:
    """Gives what statements say on their envelopes beside provenance: the first's, all drifts, and any known publication.

    The status's own words and day are those of the `speaker`, whose status the record has.
    """
    united = envelope_pb2.RecordEnvelope.FromString(ranked[0].more)
    if speaker is not ranked[0]:
        of_status = envelope_pb2.RecordEnvelope.FromString(speaker.more)
        united.ClearField("status_on")
        united.status_raw = of_status.status_raw
        if of_status.HasField("status_on"):
            united.status_on.CopyFrom(of_status.status_on)
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


def status_conflict(ranked: Sequence[Statement]) -> bytes:
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
    return _CONFLICTS([conflict])
