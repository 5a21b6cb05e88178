"""A conflict as it stands in a record's envelope, on the wire: every value that platforms state, and the rule that chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, value_pb2
from gateway.domain.catalogue import FieldPlan
from gateway.domain.statement import Statement
from gateway.domain.wire import delimited, encoder, varint

_ON_VALUE: Final = {name: encoder(f) for name, f in envelope_pb2.FieldValue.DESCRIPTOR.fields_by_name.items()}
_CONFLICT: Final = delimited(envelope_pb2.RecordEnvelope.DESCRIPTOR.fields_by_name["conflicts"])
_VALUE_OF: Final = delimited(envelope_pb2.Conflict.DESCRIPTOR.fields_by_name["values"])
_PLATFORM: Final = encoder(envelope_pb2.ConflictingValue.DESCRIPTOR.fields_by_name["platform"])
_VALUE: Final = delimited(envelope_pb2.ConflictingValue.DESCRIPTOR.fields_by_name["value"])
_SHOWN_AS: Final[Mapping[Any, str]] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: "flag",
    value_pb2.Money.DESCRIPTOR.name: "money",
    Date.DESCRIPTOR.name: "date",
}
_EMPTY: Final[Mapping[str, Any]] = {"text": "", "number": 0, "flag": False, "money": value_pb2.Money(), "date": Date()}
Shown = Callable[[Any, bytes], bytes]
"""Gives how a conflict shows a field, as a `FieldValue` on the wire, from the record and the field's bytes in it."""


@lru_cache(maxsize=4096)
def heading_of(name: str, rule: envelope_pb2.ChoiceRule.ValueType, chosen_platform: str) -> bytes:
    """Gives a conflict on the wire up to its values."""
    conflict = envelope_pb2.Conflict(field=name, rule=rule, chosen_platform=chosen_platform)
    return conflict.SerializeToString(deterministic=True)


def conflict_of(
    heading: bytes,
    shown: Shown,
    ranked: Sequence[Statement],
    platforms: Sequence[bytes],
    said: Sequence[tuple[int, bytes]],
) -> bytes:
    """Gives one field's conflict on the wire; `said` are the places of the statements that state it, and what they wrote.

    `platforms` are those of the statements, as fields of a conflicting value.
    """
    conflict = [heading]
    seen: dict[bytes, bytes] = {}
    for i, written in said:
        value = seen.get(written)  # mostly one of them alone says something else
        if value is None:
            value = seen[written] = _VALUE(shown(ranked[i].record, written))
        conflict.append(_VALUE_OF(platforms[i] + value))
    return _CONFLICT(b"".join(conflict))


@lru_cache(maxsize=1024)
def platform_of(platform_id: str) -> bytes:
    """Gives a platform as a field of a conflicting value."""
    return _PLATFORM(platform_id)


def shown_as_value(field: FieldPlan, descriptor: FieldDescriptor) -> Shown:
    """Gives how a conflict shows this field; enum values by name, lists joined by commas."""
    name, names, text = field.name, field.enum_names, _ON_VALUE["text"]
    if field.is_repeated:

        def listed(record: Any, written: bytes) -> bytes:
            values = getattr(record, name)
            return text(",".join(sorted(names.get(v, str(v)) if names else str(v) for v in values)))

        return listed
    if field.is_authority:

        def authority(record: Any, written: bytes) -> bytes:
            stated = getattr(record, name)
            return text(stated.name or stated.code)

        return authority
    if names is not None:
        return lambda record, written: text(names.get(getattr(record, name), str(getattr(record, name))))
    # A text, number, claim, amount or date is written alike in both: all but the tag can stay.
    kind = descriptor.message_type.name if descriptor.message_type is not None else descriptor.type
    shown_as = _SHOWN_AS.get(kind, "number")
    tag, own_tag_size = _ON_VALUE[shown_as](_EMPTY[shown_as])[:1], len(varint(field.number << 3))
    return lambda record, written: tag + written[own_tag_size:]
