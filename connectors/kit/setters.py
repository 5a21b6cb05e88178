"""Setters: what writes one field of a record from a payload's row, compiled from its line in mapping.toml.

A setter reads its keys, converts, and gives the field's bytes on the wire; what it cannot read it flags and leaves out. Days,
claims, coded values and public bodies repeat endlessly and say nothing of a person: how they were read is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.type.date_pb2 import Date

from connectors.kit.values import FEN, LARGEST_WHOLE, NULLS, Indefinite, Unreadable, converter, text
from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway.domain.wire import encoder, short_heads, varint

Row = Mapping[str, Any]
Flagged = list[tuple[str, str, Any]]
"""(payload key, reason, raw value) of each value that could not be read."""
Put = Callable[[Row, Flagged], bytes]
"""Gives the bytes of what a row says of a field, none where it says nothing."""


class Setter(NamedTuple):
    """What writes one field, and the payload keys it reads; without any it writes a constant."""

    put: Put
    keys: tuple[str, ...]


_KEPT: Final = 10_000
_LONGEST_KEPT: Final = 64


def compile_field(message: Any, target: str, spec: Any, where: str, faults: list[str]) -> list[Setter]:
    """Gives the setters of one field, none when its line has a fault."""
    if isinstance(spec, str):
        spec = {"from": spec}
    settings = dict(spec)
    kind = settings.pop("as", "text")
    field = message.fields_by_name[target]
    try:
        if "constant" in settings:
            return [Setter(_constant(field, settings["constant"]), ())]
        if kind == "authority":
            name_key, code_key = settings.get("name", ""), settings.get("code", "")
            return [Setter(_authority(field, name_key, code_key), tuple(key for key in (name_key, code_key) if key))]
        key = settings.pop("from")
        return [Setter(_put(kind, message, field, key, settings), (key,))]
    except (ValueError, KeyError) as error:
        faults.append(f"{where}: {error}")
        return []


def _put(kind: str, message: Any, field: FieldDescriptor, key: str, settings: dict[str, Any]) -> Put:
    if kind in ("code", "codes"):
        raw_sibling = message.fields_by_name.get(f"{field.name}_raw")
        codes = _codes(field.enum_type, settings.pop("codes"))
        if kind == "codes":
            return _remembered(key, _several_codes(field, raw_sibling, key, codes, settings.pop("split", ";")))
        return _remembered(key, _code(field, raw_sibling, key, codes))
    if kind == "names":
        return _names(field, key, settings.pop("split", ";"))
    if kind == "table":
        raw_sibling = message.fields_by_name[settings.pop("raw")] if "raw" in settings else None
        return _remembered(key, _table(field, raw_sibling, key, settings.pop("codes")))
    indefinite = settings.pop("indefinite", None)
    if indefinite is not None and indefinite not in message.fields_by_name:
        raise ValueError(f"no field {indefinite!r}")
    convert = converter(kind, **settings)
    _check_fit(kind, field)
    if kind == "text":
        return _text(field, key)
    put = _plain(field, key, convert, message.fields_by_name.get(indefinite))
    if kind in ("date", "flag"):
        return _remembered(key, put)
    return _whole_money(field, key, FEN[settings["unit"]], put) if kind == "money" else put


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


def _plain(field: FieldDescriptor, key: str, convert: Callable[[Any], Any], indefinite: FieldDescriptor | None) -> Put:
    encode = encoder(field)
    is_uint32 = field.type == field.TYPE_UINT32
    without_end = encoder(indefinite)(True) if indefinite is not None else None

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw is None:
            return b""
        try:
            value = convert(raw)
        except Unreadable as error:
            flagged.append((key, error.reason, raw))
            return b""
        if value is None:
            return b""
        if value.__class__ is Indefinite:
            if without_end is None:
                flagged.append((key, "date.indefinite", raw))
                return b""
            return without_end
        if is_uint32 and not 0 <= value < 2**32:
            flagged.append((key, "number.range", raw))
            return b""
        return encode(value)

    return put


def _text(field: FieldDescriptor, key: str) -> Put:
    heads, encode = short_heads(field), encoder(field)

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw.__class__ is str:
            encoded: bytes = raw.encode()
            length = len(encoded)
            # Most texts are clean, which is told most quickly here; `text` has the rules and the last word on all others.
            if 6 < length < 128 and raw.isprintable() and encoded[0] != 32 != encoded[-1] and "\ufffd" not in raw:
                return heads[length] + encoded
        elif raw is None:
            return b""
        try:
            value = text(raw)
        except Unreadable as error:
            flagged.append((key, error.reason, raw))
            return b""
        return encode(value) if value is not None else b""

    return put


def _whole_money(field: FieldDescriptor, key: str, factor: int, otherwise: Put) -> Put:
    """For amounts sent as whole numbers, as most are: written without a message in between."""
    heads = short_heads(field)
    tag = b"\x08"  # Money.minor_units
    currency = Money(currency="CNY").SerializeToString()
    around = len(tag) + len(currency)

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw.__class__ is int and -LARGEST_WHOLE < raw < LARGEST_WHOLE:
            number = varint(raw * factor)
            return heads[around + len(number)] + tag + number + currency
        return otherwise(row, flagged)

    return put


def _remembered(key: str, put: Put) -> Put:
    """Gives a setter that keeps how texts without a flaw were read."""
    seen: dict[str, bytes] = {}

    def put_remembered(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw.__class__ is not str:
            return put(row, flagged)
        found = seen.get(raw)
        if found is None:
            flaws = len(flagged)
            found = put(row, flagged)
            if len(flagged) == flaws and len(seen) < _KEPT and len(raw) <= _LONGEST_KEPT:
                seen[raw] = found
        return found

    return put_remembered


def _constant(field: FieldDescriptor, constant: Any) -> Put:
    value = constant
    if field.enum_type is not None:
        value = _codes(field.enum_type, {"": constant})[""]
    try:
        written = encoder(field)(value)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"constant {constant!r} is no value of this field") from error
    return lambda _row, _flagged: written


def _authority(field: FieldDescriptor, name_key: str, code_key: str) -> Put:
    # Public bodies are few and say nothing of a person: what was read once is kept.
    seen: dict[tuple[Any, Any], bytes] = {}
    encode = encoder(field)

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = (row.get(name_key), row.get(code_key))
        try:
            return seen[raw]
        except (KeyError, TypeError):  # a TypeError: an unhashable value, which `text` refuses below
            try:
                name, code = text(raw[0]), text(raw[1])
            except Unreadable as error:
                flagged.append((name_key or code_key, error.reason, None))
                return b""
        written = encode(Authority(name=name or "", code=code or "")) if name or code else b""
        if len(seen) < _KEPT:
            seen[raw] = written
        return written

    return put


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
    return int(enum.values_by_name[_enum_prefix(enum) + "UNMAPPED"].number)


def _code(field: FieldDescriptor, raw_sibling: FieldDescriptor | None, key: str, codes: Mapping[str, int]) -> Put:
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)
    unmapped = _unmapped(field.enum_type)

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw is None:
            return b""
        label = raw.strip() if isinstance(raw, str) else str(raw)
        value = codes.get(label)
        if value is None:
            if label in NULLS:
                return b""
            value = unmapped
            flagged.append((key, "code.unmapped", raw))
        return encode(value) + encode_raw(label)

    return put


def _several_codes(
    field: FieldDescriptor,
    raw_sibling: FieldDescriptor | None,
    key: str,
    codes: Mapping[str, int],
    separators: str,
) -> Put:
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)
    unmapped = _unmapped(field.enum_type)

    def put(row: Row, flagged: Flagged) -> bytes:
        raw = row.get(key)
        if raw is None or raw == "":
            return b""
        if not isinstance(raw, (str, list)):
            flagged.append((key, "codes.type", None))
            return b""
        labels = split(raw, separators)
        flagged.extend((key, "code.unmapped", label) for label in labels if label not in codes)
        found = sorted({codes.get(label, unmapped) for label in labels})
        return encode(found) + encode_raw(raw if isinstance(raw, str) else ";".join(map(str, raw)))

    return put


def _encode_raw(field: FieldDescriptor | None) -> Callable[[str], bytes]:
    return encoder(field) if field is not None else lambda _label: b""


def _names(field: FieldDescriptor, key: str, separators: str) -> Put:
    encode = encoder(field)
    return lambda row, _flagged: encode(split(row.get(key), separators))


def _table(field: FieldDescriptor, raw_sibling: FieldDescriptor | None, key: str, table: Mapping[str, str]) -> Put:
    """For codes that are texts kept as data (list codes, schemes): an unknown one becomes "UNMAPPED"."""
    encode, encode_raw = encoder(field), _encode_raw(raw_sibling)

    def put(row: Row, flagged: Flagged) -> bytes:
        try:
            label = text(row.get(key))
        except Unreadable as error:
            flagged.append((key, error.reason, None))
            return b""
        if label is None:
            return b""
        if label not in table:
            flagged.append((key, "code.unmapped", label))
        return encode(table.get(label, "UNMAPPED")) + encode_raw(label)

    return put


def split(raw: Any, separators: str) -> list[str]:
    """Gives the parts of a list written as one text, or of a list, without null words."""
    if raw is None or isinstance(raw, (bool, int, dict)):
        return []
    if isinstance(raw, str):
        for separator in separators[1:]:
            raw = raw.replace(separator, separators[0])
        raw = raw.split(separators[0])
    return [part for part in (str(item).strip() for item in raw) if part not in NULLS]
