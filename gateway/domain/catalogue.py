"""The unified collection catalogue (统一信息归集目录), compiled once from the proto descriptors into one plan per type.

A plan says how records of a type are keyed, grouped, chosen, summed and run out. Nothing here repeats the schema: a new
record type is one message and one line in `Records`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway._pb.xinyidai.catalogue.v1 import (
    authority_pb2,
    envelope_pb2,
    options_pb2,
    value_pb2,
    view_pb2,
)
from gateway.domain.identifiers import fold_identifier
from gateway.domain.names import normalise_document_number, normalise_name
from gateway.domain.period import fold_period

SCHEMA_VERSION: Final = "1.0"
ENVELOPE: Final = "envelope"
UNMAPPED: Final = "UNMAPPED"
"""What stands in a coded field for a value that its code list does not know; in an enum, the end of that value's name."""

_AUTHORITY = authority_pb2.Authority.DESCRIPTOR.full_name


class CatalogueError(ValueError):
    """A record type declares something that cannot be planned; names the message and field."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field of a record type and what it declares."""

    name: str
    number: int
    is_repeated: bool
    is_message: bool
    is_authority: bool
    has_presence: bool
    enum_names: Mapping[int, str] | None
    options: options_pb2.FieldOptions
    is_comparable: bool
    """Whether a difference between platforms is a conflict."""
    is_plain: bool
    """Whether its value, set or not, is compared and keyed as it stands."""
    unmapped: int | str | None
    """What stands for every value that no code list knows; None unless `raw` tells such values apart."""
    raw: str
    """Name of the field that holds the value as the platform wrote it, empty where there is none."""

    def is_set(self, record: Message) -> bool:
        """Whether the record states this field."""
        if self.has_presence:
            return record.HasField(self.name)
        return bool(getattr(record, self.name))


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """How records of one type are keyed, chosen, summed and run out.

    `groups` are the units of choice: fields of one resolve group, or a field alone. `key_always`, `key_document` and
    `key_weak` are the parts of the natural key; `expiry` dates end a record once past; `event` dates mark its event.
    """

    records_field: str
    message: type[Any]
    category: int
    options: options_pb2.RecordTypeOptions
    fields: tuple[FieldPlan, ...]
    groups: tuple[tuple[FieldPlan, ...], ...]
    key_always: tuple[FieldPlan, ...]
    key_document: FieldPlan | None
    key_weak: tuple[FieldPlan, ...]
    expiry: tuple[FieldPlan, ...]
    event: tuple[FieldPlan, ...]
    additive: tuple[FieldPlan, ...]
    is_adverse: bool
    """Whether records of the type speak against the enterprise, so that repair and publication rules apply."""
    is_series: bool
    """Whether records of the type are keyed by period and region and may be summed."""

    @property
    def is_public(self) -> bool:
        """Whether records of the type need no authorisation."""
        return self.options.sensitivity == options_pb2.SENSITIVITY_PUBLIC

    def field(self, name: str) -> FieldPlan:
        """Gives the field of that name; raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All plans, in the order of `Records`."""

    plans: tuple[RecordPlan, ...]
    by_category: Mapping[int, RecordPlan]
    by_records_field: Mapping[str, RecordPlan]
    default_categories: tuple[int, ...]


def compile_catalogue(records: Descriptor) -> Catalogue:
    """Compiles one plan per field of `records`; raises CatalogueError where a declaration is missing or contradictory."""
    plans = tuple(_plan(field) for field in records.fields)
    by_category = {plan.category: plan for plan in plans}
    if len(by_category) != len(plans):
        raise CatalogueError("two record types declare one category")
    return Catalogue(
        plans=plans,
        by_category=MappingProxyType(by_category),
        by_records_field=MappingProxyType({plan.records_field: plan for plan in plans}),
        default_categories=tuple(sorted(plan.category for plan in plans if plan.options.asked_by_default)),
    )


def _plan(field: FieldDescriptor) -> RecordPlan:
    descriptor = field.message_type
    if descriptor is None:
        raise CatalogueError(f"{field.full_name}: Records holds record types only")
    where = descriptor.full_name
    declared: options_pb2.RecordTypeOptions = descriptor.GetOptions().Extensions[options_pb2.record_type]
    first = descriptor.fields_by_number.get(1)
    if first is None or first.message_type is not envelope_pb2.RecordEnvelope.DESCRIPTOR:
        raise CatalogueError(f"{where}: field 1 must be the RecordEnvelope")
    for name in ("category", "sensitivity", "update_cycle", "combination", "authority_rule"):
        if not getattr(declared, name):
            raise CatalogueError(f"{where}: option {name} is missing")
    fields = tuple(_field_plan(f) for f in descriptor.fields if f.name != ENVELOPE)
    documents = [f for f in fields if f.options.key == options_pb2.KEY_ROLE_DOCUMENT]
    always = tuple(f for f in fields if f.options.key == options_pb2.KEY_ROLE_ALWAYS)
    if len(documents) > 1:
        raise CatalogueError(f"{where}: more than one document number")
    if declared.combination != options_pb2.COMBINATION_AUTHORITATIVE and not (documents or always):
        raise CatalogueError(f"{where}: no natural key")
    return RecordPlan(
        records_field=field.name,
        message=GetMessageClass(descriptor),
        category=declared.category,
        options=declared,
        fields=fields,
        groups=_groups(fields),
        key_always=always,
        key_document=documents[0] if documents else None,
        key_weak=tuple(f for f in fields if f.options.key == options_pb2.KEY_ROLE_WEAK),
        expiry=tuple(f for f in fields if f.options.expiry),
        event=tuple(f for f in fields if f.options.event),
        additive=tuple(f for f in fields if f.options.additive),
        is_adverse=declared.adverse_kind != options_pb2.ADVERSE_KIND_UNSPECIFIED,
        is_series=declared.combination == options_pb2.COMBINATION_SERIES,
    )


def _field_plan(field: FieldDescriptor) -> FieldPlan:
    declared: options_pb2.FieldOptions = field.GetOptions().Extensions[options_pb2.field]
    if not declared.title_zh:
        raise CatalogueError(f"{field.full_name}: option title_zh is missing")
    if declared.data_class == options_pb2.DATA_CLASS_C3:
        raise CatalogueError(f"{field.full_name}: data of class C3 is never stored nor returned; leave the field out")
    enum = field.enum_type
    message = field.message_type
    raw = declared.raw_field or f"{field.name}_raw"
    of: Any = field.containing_type
    if raw not in of.fields_by_name:
        if declared.raw_field:
            raise CatalogueError(f"{field.full_name}: there is no field {raw}")
        raw = ""
    return FieldPlan(
        name=field.name,
        number=field.number,
        is_repeated=field.is_repeated,
        is_message=message is not None,
        is_authority=message is not None and message.full_name == _AUTHORITY,
        has_presence=field.has_presence and not field.is_repeated,
        enum_names=None if enum is None else MappingProxyType({value.number: value.name for value in enum.values}),
        options=declared,
        is_comparable=not declared.local,
        is_plain=(
            message is None
            and not field.is_repeated
            and not field.has_presence
            and declared.key_form == options_pb2.KEY_FORM_UNSPECIFIED
        ),
        unmapped=_unmapped(field) if raw and not field.is_repeated else None,
        raw=raw,
    )


def _unmapped(field: FieldDescriptor) -> int | str | None:
    if field.enum_type is not None:
        return next((value.number for value in field.enum_type.values if value.name.endswith(f"_{UNMAPPED}")), None)
    return UNMAPPED if field.type == FieldDescriptor.TYPE_STRING else None


def _groups(fields: tuple[FieldPlan, ...]) -> tuple[tuple[FieldPlan, ...], ...]:
    groups: dict[str, list[FieldPlan]] = {}
    for field in fields:
        groups.setdefault(field.options.resolve_group or f"={field.name}", []).append(field)
    return tuple(tuple(group) for group in groups.values())


def comparable(field: FieldPlan, authority_id: Callable[[authority_pb2.Authority], str]) -> Callable[[Any], object]:
    """Gives the function that turns a field's value into the hashable form in which it is compared and keyed.

    Document numbers lose the style of their brackets, names and identifiers their width and spaces, and an authority becomes
    its canonical id by `authority_id`, so that a difference of writing is neither a conflict nor another record.
    """
    one = _comparable_one(field, authority_id)
    if not field.is_repeated:
        return one
    return lambda values: tuple(sorted(one(value) for value in values))


def _comparable_one(field: FieldPlan, authority_id: Callable[[authority_pb2.Authority], str]) -> Callable[[Any], Any]:
    if field.is_authority:
        return authority_id
    if field.is_message:
        return _message_form
    if field.options.key_form == options_pb2.KEY_FORM_DOCUMENT_NUMBER:
        return normalise_document_number
    if field.options.key_form == options_pb2.KEY_FORM_NAME:
        return normalise_name
    if field.options.key_form == options_pb2.KEY_FORM_IDENTIFIER:
        return fold_identifier
    if field.options.key_form == options_pb2.KEY_FORM_PERIOD:
        return fold_period
    return lambda value: value


def _message_form(value: Any) -> object:
    if isinstance(value, value_pb2.Money):
        return (value.minor_units, value.currency)
    return (value.year, value.month, value.day)


CATALOGUE: Final = compile_catalogue(view_pb2.Records.DESCRIPTOR)
