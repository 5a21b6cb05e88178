"""Setters: what writes one field of a record from a payload's row, compiled from its line in mapping.toml.

A setter converts the value of its key and gives the field's bytes on the wire; what cannot be read it raises as a flaw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.type.date_pb2 import Date

from connectors.kit.quick import (
    Write,
    as_read,
    clean_texts,
    remembering,
    remembering_texts,
    small_counts,
    whole_money,
)
from connectors.kit.values import FEN, LARGEST_WHOLE, NULLS, Indefinite, Unreadable, converter, text
from gateway._pb.xinyidai.catalogue.v1 import options_pb2
from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway.domain.catalogue import UNMAPPED
from gateway.domain.identifiers import fold_identifier
from gateway.domain.masks import mask_text
from gateway.domain.period import fold_period
from gateway.domain.wire import encoder

Row = Mapping[str, Any]
Flagged = list[tuple[str, str, Any]]
"""(payload key, reason, raw value) of each value that could not be read."""


class Flaw(Exception):  # noqa: N818  # it is what the platform sent, not an error of ours
    """What is wrong with a value, as reasons with the raw value to be shown; `written` is what is written all the same."""

    def __init__(self, *notes: tuple[str, Any], written: bytes = b"") -> None:
        super().__init__()
        self.notes: Sequence[tuple[str, Any]] = notes
        self.written = written


class Setter(NamedTuple):
    """What writes one field from the value of its payload key, from both values of two keys, or a constant without any.

    `read` has all the rules. `write` gives the same, sooner for the values that `quicken` knows, and may raise a TypeError
    for a list or object. One that is mandatory is asked about rows without its key too, as if they had None there.
    """

    keys: tuple[str, ...]
    read: Write
    quicken: Callable[[Write], Write]
    write: Write
    is_mandatory: bool

    @classmethod
    def of(
        cls, keys: tuple[str, ...], read: Write, quicken: Callable[[Write], Write], *, is_mandatory: bool = False
    ) -> Setter:
        """Gives the setter that reads so."""
        return cls(keys, read, quicken, quicken(read), is_mandatory)


def compile_field(message: Any, target: str, spec: Any, where: str, faults: list[str]) -> list[Setter]:
    """Gives the setters of one field, none when its line has a fault."""
    if isinstance(spec, str):
        spec = {"from": spec}
    if not isinstance(spec, Mapping):
        faults.append(f"{where}: must be a key of the payload, or a table with from and as")
        return []
    settings = dict(spec)
    kind = settings.pop("as", "text")
    field = message.fields_by_name[target]
    try:
        if "constant" in settings:
            setter = Setter.of((), _constant(field, settings.pop("constant")), as_read)
        elif kind == "authority":
            setter = _authority(field, settings.pop("name", ""), settings.pop("code", ""))
        else:
            setter = Setter.of((_needed(settings, "from"),), *_rules(kind, message, field, settings))
        if settings:
            raise ValueError(f"{', '.join(sorted(settings))}: unknown key")
    except ValueError as error:
        faults.append(f"{where}: {error}")
        return []
    return [setter]


def _needed(settings: dict[str, Any], key: str) -> Any:
    if key not in settings:
        raise ValueError(f"{key} is missing")
    return settings.pop(key)


def _rules(
    kind: str, message: Any, field: FieldDescriptor, settings: dict[str, Any]
) -> tuple[Write, Callable[[Write], Write]]:
    """Gives how a kind of value is read, and how that is quickened; takes what it knows out of the settings."""
    if kind in ("code", "codes"):
        if field.enum_type is None:
            raise ValueError(f"a field of this type cannot be read as {kind!r}")
        raw_sibling = message.fields_by_name.get(f"{field.name}_raw")
        codes = _codes(field.enum_type, _needed(settings, "codes"))
        if kind == "codes":
            return _several_codes(field, raw_sibling, codes, settings.pop("split", ";")), remembering_texts
        return _code(field, raw_sibling, codes), remembering
    if kind == "names":
        return _names(field, settings.pop("split", ";")), as_read
    if kind == "table":
        raw = settings.pop("raw", None)
        if raw is not None and raw not in message.fields_by_name:
            raise ValueError(f"raw: no field {raw!r}")
        ids = _needed(settings, "codes")
        if not isinstance(ids, Mapping) or not all(isinstance(one, str) for one in ids.values()):
            raise ValueError('codes: must be a table of texts, such as { "纳税信用" = "TAX_CREDIT" }')
        return _table(field, message.fields_by_name.get(raw), ids), remembering
    indefinite = settings.pop("indefinite", None)
    if indefinite is not None and indefinite not in message.fields_by_name:
        raise ValueError(f"no field {indefinite!r}")
    unit = settings.get("unit", "")
    convert = converter(kind, **settings)
    is_identifier = kind == "text" and _declared(field).key_form == options_pb2.KEY_FORM_IDENTIFIER
    is_period = kind == "text" and _declared(field).key_form == options_pb2.KEY_FORM_PERIOD
    if is_identifier:
        convert = _identifier
    if is_period:
        convert = _period
    settings.clear()
    _check_fit(kind, field)
    read = _plain(field, convert, message.fields_by_name.get(indefinite))
    if kind in ("date", "flag"):
        return read, remembering
    if is_identifier:
        return read, as_read
    if kind == "text":
        return read, remembering if is_period or _is_coded(field) else clean_texts(field)
    if kind == "money":
        return read, whole_money(field, FEN[unit], least=0 if _declared(field).never_negative else 1 - LARGEST_WHOLE)
    return read, small_counts(field) if kind == "count" else as_read


def _is_coded(field: FieldDescriptor) -> bool:
    """Whether the texts of a field are codes, or name the periods of a series."""
    declared = _declared(field)
    message: Any = field.containing_type
    of_type: options_pb2.RecordTypeOptions = message.GetOptions().Extensions[options_pb2.record_type]
    if declared.personal:
        return False
    is_series = of_type.combination == options_pb2.COMBINATION_SERIES
    return bool(declared.code_list) or (is_series and declared.key == options_pb2.KEY_ROLE_ALWAYS)


def _declared(field: FieldDescriptor) -> options_pb2.FieldOptions:
    declared: options_pb2.FieldOptions = field.GetOptions().Extensions[options_pb2.field]
    return declared


def _identifier(raw: Any) -> str | None:
    """Gives a code or number of an enterprise or public body in its one form, whatever width, case or hyphens it has."""
    value = text(raw)
    return fold_identifier(value) or None if value is not None else None


def _period(raw: Any) -> str | None:
    """Gives the period of a series in its one form."""
    value = text(raw)
    return fold_period(value) if value is not None else None


_FITTING: Final[Mapping[str, frozenset[Any]]] = {
    "text": frozenset({FieldDescriptor.TYPE_STRING}),
    "date": frozenset({Date.DESCRIPTOR}),
    "money": frozenset({Money.DESCRIPTOR}),
    "money_text": frozenset({Money.DESCRIPTOR}),
    "fine_in_text": frozenset({Money.DESCRIPTOR}),
    "count": frozenset({FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_INT64}),
    "ratio": frozenset({FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_INT64}),
    "flag": frozenset({FieldDescriptor.TYPE_BOOL}),
}
"""The kinds of field each converter's values fit."""


def _check_fit(kind: str, field: FieldDescriptor) -> None:
    if field.is_repeated or (field.message_type or field.type) not in _FITTING[kind]:
        raise ValueError(f"a field of this type cannot be read as {kind!r}")


def _plain(field: FieldDescriptor, convert: Callable[[Any], Any], indefinite: FieldDescriptor | None) -> Write:
    encode = encoder(field)
    is_uint32 = field.type == field.TYPE_UINT32
    is_never_negative = _declared(field).never_negative
    without_end = encoder(indefinite)(True) if indefinite is not None else None

    def read(raw: Any) -> bytes:
        if raw is None:
            return b""
        try:
            value = convert(raw)
        except Unreadable as error:
            raise Flaw((error.reason, raw)) from error
        if value is None:
            return b""
        if type(value) is Indefinite:
            if without_end is None:
                raise Flaw(("date.indefinite", raw))
            return without_end
        if is_uint32 and not 0 <= value < 2**32:
            raise Flaw(("number.range", raw))
        if is_never_negative and value.minor_units < 0:
            raise Flaw(("money.negative", raw))
        return encode(value)

    return read


def _constant(field: FieldDescriptor, constant: Any) -> Write:
    value = constant
    if field.enum_type is not None:
        value = _codes(field.enum_type, {"": constant})[""]
    try:
        written = encoder(field)(value)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"constant {constant!r} is no value of this field") from error
    return lambda _raw: written


def _authority(field: FieldDescriptor, name_key: str, code_key: str) -> Setter:
    encode = encoder(field)

    def read_both(raw: tuple[Any, Any]) -> bytes:
        try:
            name, code = text(raw[0]), _identifier(raw[1])
        except Unreadable as error:
            raise Flaw((error.reason, None)) from error
        return encode(Authority(name=name or "", code=code or "")) if name or code else b""

    if not (name_key or code_key):
        raise ValueError("say under which keys the body's name and code stand, by name, code or both")
    if name_key and code_key:
        return Setter.of((name_key, code_key), read_both, remembering)
    if name_key:
        return Setter.of((name_key,), lambda raw: read_both((raw, None)), remembering)
    return Setter.of((code_key,), lambda raw: read_both((None, raw)), remembering)


def _enum_prefix(enum: Any) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


def _codes(enum: Any, table: Mapping[str, str]) -> dict[str, int]:
    prefix = _enum_prefix(enum)
    codes = {}
    for raw, name in table.items():
        value = enum.values_by_name.get(prefix + name)
        if value is None:
            raise ValueError(f"{raw!r} → {name!r}: {enum.name} has no such value")
        codes[raw] = value.number
    return codes


def _unmapped(enum: Any) -> int:
    return int(enum.values_by_name[_enum_prefix(enum) + UNMAPPED].number)


def _code(field: FieldDescriptor, raw_sibling: FieldDescriptor | None, codes: Mapping[str, int]) -> Write:
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)
    unmapped = encode(_unmapped(field.enum_type))

    def read(raw: Any) -> bytes:
        if raw is None:
            return b""
        if isinstance(raw, (list, dict)):  # no label: whatever is in it may be about a person
            raise Flaw(("code.type", None), written=unmapped)
        label = raw.strip() if isinstance(raw, str) else str(raw)
        value = codes.get(label)
        if value is not None:
            return encode(value) + encode_raw(label)
        if label in NULLS:
            return b""
        raise Flaw(("code.unmapped", raw), written=unmapped + encode_raw(mask_text(label)))

    return read


def _several_codes(
    field: FieldDescriptor, raw_sibling: FieldDescriptor | None, codes: Mapping[str, int], separators: str
) -> Write:
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)
    unmapped = _unmapped(field.enum_type)

    def read(raw: Any) -> bytes:
        if raw is None or raw == "":
            return b""
        if not isinstance(raw, (str, list)):
            raise Flaw(("codes.type", None))
        flat = _without_nested(raw)
        labels = split(flat, separators)
        found = {codes.get(label, unmapped) for label in labels}
        stated = flat if isinstance(flat, str) else ";".join(map(str, flat))
        unknown: list[tuple[str, Any]] = [("code.unmapped", label) for label in labels if label not in codes]
        if len(flat) < len(raw):
            found.add(unmapped)
            unknown.append(("code.type", None))
        if unknown:
            raise Flaw(*unknown, written=encode(sorted(found)) + encode_raw(mask_text(stated)))
        return encode(sorted(found)) + encode_raw(stated)

    return read


def _encode_raw(field: FieldDescriptor | None) -> Callable[[str], bytes]:
    return encoder(field) if field is not None else lambda _label: b""


def _names(field: FieldDescriptor, separators: str) -> Write:
    encode = encoder(field)

    def read(raw: Any) -> bytes:
        if raw is None:
            return b""
        if not isinstance(raw, (str, list)):
            raise Flaw(("names.type", None))
        flat = _without_nested(raw)
        written = encode(split(flat, separators))
        if len(flat) < len(raw):
            raise Flaw(("names.type", None), written=written)
        return written

    return read


def _table(field: FieldDescriptor, raw_sibling: FieldDescriptor | None, table: Mapping[str, str]) -> Write:
    """For codes that are texts kept as data (list codes, schemes): an unknown one becomes "UNMAPPED"."""
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)

    def read(raw: Any) -> bytes:
        try:
            label = text(raw)
        except Unreadable as error:
            raise Flaw((error.reason, None)) from error
        if label is None:
            return b""
        if label not in table:
            raise Flaw(("code.unmapped", label), written=encode(UNMAPPED) + encode_raw(mask_text(label)))
        return encode(table[label]) + encode_raw(label)

    return read


def _without_nested(raw: str | list[Any]) -> str | list[Any]:
    """Gives a text, or a list without the objects and lists in it: they are no labels, and anything may stand in them."""
    return raw if isinstance(raw, str) else [item for item in raw if not isinstance(item, (list, dict))]


def split(raw: str | list[Any], separators: str) -> list[str]:
    """Gives the parts of a list written as one text, or of a list, without null words."""
    if isinstance(raw, str):
        for separator in separators[1:]:
            raw = raw.replace(separator, separators[0])
        raw = raw.split(separators[0])
    return [part for part in (str(item).strip() for item in raw) if part not in NULLS]
