"""Setters: what writes one field of a record from a payload's row, compiled from its line in mapping.toml.

A setter reads its keys, converts, and puts the value by the field's name; what it cannot read it flags and leaves out. Values
of coded fields and public bodies repeat endlessly and say nothing of a person: how they were read is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.kit.values import NULLS, Indefinite, Unreadable, converter, text
from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority

Row = Mapping[str, Any]
Flagged = list[tuple[str, str, Any]]
"""(payload key, reason, raw value) of each value that could not be read."""
Setter = Callable[[Row, dict[str, Any], Flagged], None]

_KEPT: Final = 10_000


def compile_field(
    message: Any, target: str, spec: Any, where: str, faults: list[str]
) -> tuple[list[Setter], list[str]]:
    """Gives the setters of one field and the payload keys they read."""
    if isinstance(spec, str):
        spec = {"from": spec}
    settings = dict(spec)
    kind = settings.pop("as", "text")
    descriptor = message.fields_by_name[target]
    try:
        if "constant" in settings:
            return [_constant(descriptor, target, settings["constant"])], []
        if kind == "authority":
            keys = [settings[part] for part in ("name", "code") if part in settings]
            return [_authority(target, settings.get("name"), settings.get("code"))], keys
        key = settings.pop("from")
        if kind in ("code", "codes"):
            raw_sibling = f"{target}_raw" if f"{target}_raw" in message.fields_by_name else None
            codes = _codes(descriptor.enum_type, settings.pop("codes"))
            unmapped = _unmapped(descriptor.enum_type)
            if kind == "codes":
                separators = settings.pop("split", ";")
                return [_codes_setter(target, raw_sibling, key, codes, unmapped, separators)], [key]
            return [_code_setter(target, raw_sibling, key, codes, unmapped)], [key]
        if kind == "names":
            return [_names_setter(target, key, settings.pop("split", ";"))], [key]
        if kind == "table":
            raw_target = settings.pop("raw", None)
            return [_table_setter(target, raw_target, key, settings.pop("codes"))], [key]
        indefinite = settings.pop("indefinite", None)
        if indefinite is not None and indefinite not in message.fields_by_name:
            raise ValueError(f"no field {indefinite!r}")
        convert = converter(kind, **settings)
        if descriptor.type == descriptor.TYPE_UINT32:
            convert = _within_uint32(convert)
        if kind == "text":
            return [_text(target, key)], [key]
        put = _plain(target, key, convert, indefinite)
        return [_remembered(target, key, put) if kind in ("date", "flag") else put], [key]
    except (ValueError, KeyError) as error:
        faults.append(f"{where}: {error}")
        return [], []


def _within_uint32(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(raw: Any) -> Any:
        value = convert(raw)
        if value is not None and not 0 <= value < 2**32:
            raise Unreadable("number.range")
        return value

    return checked


def _plain(target: str, key: str, convert: Callable[[Any], Any], indefinite: str | None) -> Setter:
    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = row.get(key)
        if raw is None:
            return
        try:
            value = convert(raw)
        except Unreadable as error:
            flagged.append((key, error.reason, raw))
            return
        if value is None:
            return
        if value.__class__ is Indefinite:
            if indefinite is not None:
                values[indefinite] = True
            else:
                flagged.append((key, "date.indefinite", raw))
            return
        values[target] = value

    return put


def _text(target: str, key: str) -> Setter:
    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = row.get(key)
        if raw is None:
            return
        try:
            value = text(raw)
        except Unreadable as error:
            flagged.append((key, error.reason, raw))
            return
        if value is not None:
            values[target] = value

    return put


def _remembered(target: str, key: str, put: Setter) -> Setter:
    """Gives a setter that keeps how texts were read: days and claims are few, and say nothing of a person."""
    seen: dict[Any, Any] = {}

    def put_remembered(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = row.get(key)
        try:
            values[target] = seen[raw]
        except (KeyError, TypeError):  # not seen yet, or nothing that could have been
            put(row, values, flagged)
            if raw.__class__ is str and target in values and len(seen) < _KEPT:
                seen[raw] = values[target]

    return put_remembered


def _constant(descriptor: Any, target: str, constant: Any) -> Setter:
    value = constant
    if descriptor.enum_type is not None:
        value = _codes(descriptor.enum_type, {"": constant})[""]

    def put(_row: Row, values: dict[str, Any], _flagged: Flagged) -> None:
        values[target] = value

    return put


def _authority(target: str, name_key: str | None, code_key: str | None) -> Setter:
    # Public bodies are few and say nothing of a person: what was read once is kept.
    seen: dict[tuple[Any, Any], Authority | None] = {}

    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = (row.get(name_key or ""), row.get(code_key or ""))
        try:
            authority = seen[raw]
        except (KeyError, TypeError):  # a TypeError: an unhashable value, which `text` refuses below
            try:
                name, code = text(raw[0]), text(raw[1])
            except Unreadable as error:
                flagged.append((name_key or code_key or "", error.reason, None))
                return
            authority = Authority(name=name or "", code=code or "") if name or code else None
            if len(seen) < _KEPT:
                seen[raw] = authority
        if authority is not None:
            values[target] = authority

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


def _code_setter(target: str, raw_sibling: str | None, key: str, codes: Mapping[str, int], unmapped: int) -> Setter:
    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = row.get(key)
        if raw is None:
            return
        label = raw.strip() if isinstance(raw, str) else str(raw)
        value = codes.get(label)
        if value is None:
            if label in NULLS:
                return
            value = unmapped
            flagged.append((key, "code.unmapped", raw))
        values[target] = value
        if raw_sibling is not None:
            values[raw_sibling] = label

    return put


def _codes_setter(
    target: str,
    raw_sibling: str | None,
    key: str,
    codes: Mapping[str, int],
    unmapped: int,
    separators: str,
) -> Setter:
    seen: dict[str, list[int]] = {}

    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        raw = row.get(key)
        if raw is None or raw == "":
            return
        if not isinstance(raw, (str, list)):
            flagged.append((key, "codes.type", None))
            return
        written = raw if isinstance(raw, str) else ";".join(map(str, raw))
        found = seen.get(written)
        if found is None:
            labels = split(raw, separators)
            unknown = [label for label in labels if label not in codes]
            flagged.extend((key, "code.unmapped", label) for label in unknown)
            found = sorted({codes.get(label, unmapped) for label in labels})
            if not unknown and len(seen) < _KEPT:
                seen[written] = found
        values[target] = found
        if raw_sibling is not None:
            values[raw_sibling] = written

    return put


def _names_setter(target: str, key: str, separators: str) -> Setter:
    def put(row: Row, values: dict[str, Any], _flagged: Flagged) -> None:
        names = split(row.get(key), separators)
        if names:
            values[target] = names

    return put


def _table_setter(target: str, raw_target: str | None, key: str, table: Mapping[str, str]) -> Setter:
    """For codes that are texts kept as data (list codes, schemes): an unknown one becomes "UNMAPPED"."""

    def put(row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        try:
            label = text(row.get(key))
        except Unreadable as error:
            flagged.append((key, error.reason, None))
            return
        if label is None:
            return
        if label not in table:
            flagged.append((key, "code.unmapped", label))
        values[target] = table.get(label, "UNMAPPED")
        if raw_target is not None:
            values[raw_target] = label

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
