"""Payload keys → catalogue fields, as data: `mapping.toml` is compiled at start-up into plain key access and converters.

    subject_code = "creditCode"                  # the enterprise's code in the payload: checked against the question
    as_of = { from = "asOf", as = "date", format = "iso" }

    [penalties]                                  # a field of Records
    rows = "records.penalty"                     # where its rows stand
    category_key = "penalty"                     # what the platform calls the category in a request
    record_key = "id"                            # the platform's own key of a row
    ignored = ["traceNo"]                        # keys known to be of no use; any other unknown key is drift

    [penalties.fields]
    document_number = "decisionNo"               # as text
    fine = { from = "fineAmount", as = "money", unit = "元" }
    decided_on = { from = "decisionDate", as = "date", format = "iso" }
    valid_to = { from = "validTo", as = "date", format = "iso", indefinite = "valid_is_indefinite" }
    kinds = { from = "kinds", as = "codes", split = ";；、,，", codes = { "罚款" = "FINE" } }
    authority = { as = "authority", name = "authorityName", code = "authorityCode" }
    period_type = { constant = "MONTH" }

    [penalties.envelope]                         # status, status_on, publish_start, publish_end
    status = { from = "status", as = "code", codes = { "0" = "VALID" } }

A value that cannot be read leaves its field absent and is flagged with its path; a coded value that is not in the table
becomes UNMAPPED with its raw sibling kept. Nothing is guessed and nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.kit.values import NULLS, Indefinite, Unreadable, converter, text
from gateway._pb.xinyidai.catalogue.v1.authority_pb2 import Authority
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import (
    MATCH_METHOD_CODE,
    MATCH_METHOD_ORG_CODE,
    MATCH_METHOD_REGISTRATION_NUMBER,
    RecordEnvelope,
)
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Drift
from gateway.domain.catalogue import CATALOGUE, ENVELOPE, RecordPlan

Row = Mapping[str, Any]
Setter = Callable[[Row, dict[str, Any], list[tuple[str, str, Any]]], None]

_SHOWN: Final = 64
_LAYOUTS_KEPT: Final = 1_000
_KEPT: Final = 10_000
_ENVELOPE_FIELDS: Final = frozenset({"status", "status_on", "publish_start", "publish_end"})
_ENVELOPE_INDEFINITE: Final = {"publish_end": "publish_is_indefinite"}


class MappingFault(ValueError):  # noqa: N818  # a list of faults, for the operator
    """What is wrong in a mapping; `faults` are texts that name the key."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(slots=True)
class Drifts:
    """What could not be read outside of any record, each kind of unknown key once per answer."""

    found: list[Drift] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, path: str, reason: str, raw: Any = None) -> None:
        """Notes one drift unless the same path was noted."""
        if path not in self.seen:
            self.seen.add(path)
            self.found.append(Drift(path=path, reason=reason, raw=shorten(raw)))


def shorten(raw: Any) -> str:
    """Gives the raw value as a drift shows it."""
    return "" if raw is None else str(raw)[:_SHOWN]


@dataclass(frozen=True, slots=True)
class TypeMapping:
    """The compiled mapping of one record type."""

    plan: RecordPlan
    rows_path: tuple[str, ...]
    category_key: str
    record_key: str | None
    subject_keys: tuple[tuple[str, int], ...]
    known_keys: frozenset[str]
    setters: tuple[Setter, ...]
    envelope_setters: tuple[Setter, ...]
    personal_keys: frozenset[str]
    layouts: set[tuple[str, ...]]

    def record(self, row: Row, path: str, number: int, platform: str, drifts: Drifts) -> Any:
        """Gives the record of one row; what cannot be read is flagged on its envelope."""
        values: dict[str, Any] = {}
        flagged: list[tuple[str, str, Any]] = []
        for setter in self.setters:
            setter(row, values, flagged)
        record = self.plan.message(**values)
        envelope = record.envelope
        provenance = envelope.provenances.add(platform=platform, match_method=MATCH_METHOD_CODE)
        if self.record_key is not None:
            provenance.platform_record_key = str(row.get(self.record_key) or "")
        for key, method in self.subject_keys:
            if row.get(key):
                provenance.match_method = method
                break
        if self.envelope_setters:
            on_envelope: dict[str, Any] = {}
            for setter in self.envelope_setters:
                setter(row, on_envelope, flagged)
            if on_envelope:
                envelope.MergeFrom(RecordEnvelope(**on_envelope))
        for key, reason, raw in flagged:
            shown = "" if key in self.personal_keys else shorten(raw)
            envelope.drifts.add(path=f"{path}[{number}].{key}", reason=reason, raw=shown)
        layout = tuple(row)
        if layout not in self.layouts:
            self._note_unknown(row, layout, path, drifts)
        return record

    def _note_unknown(self, row: Row, layout: tuple[str, ...], path: str, drifts: Drifts) -> None:
        """Flags unknown keys; a layout that has none is remembered, so that most rows cost one look-up."""
        unknown = row.keys() - self.known_keys
        if not unknown and len(self.layouts) < _LAYOUTS_KEPT:
            self.layouts.add(layout)
        for key in sorted(unknown):
            # The value of an unknown key may be personal: its name is enough to find it in the platform's answer.
            drifts.add(f"{path}[].{key}", "field.unknown")


@dataclass(frozen=True, slots=True)
class PayloadMapping:
    """The compiled mapping of one platform, by field of Records."""

    types: Mapping[str, TypeMapping]
    by_category: Mapping[int, TypeMapping]
    subject_path: tuple[str, ...]
    as_of_path: tuple[str, ...]
    as_of: Callable[[Any], Any] | None


def dig(document: Any, path: Sequence[str]) -> Any:
    """Gives what stands at a path of keys, None where a key is missing or the way is no object."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def compile_mapping(document: Mapping[str, Any]) -> PayloadMapping:
    """Compiles a parsed mapping.toml; raises MappingFault with every fault."""
    faults: list[str] = []
    types: dict[str, TypeMapping] = {}
    for name, table in document.items():
        if name in ("subject_code", "as_of"):
            continue
        plan = CATALOGUE.by_records_field.get(name)
        if plan is None:
            faults.append(f"{name}: no such field of Records")
            continue
        types[name] = _compile_type(plan, name, table, faults)
    as_of = document.get("as_of")
    as_of_converter = None
    if as_of is not None:
        try:
            as_of_converter = converter("date", format=as_of.get("format", "iso"))
        except ValueError as error:
            faults.append(f"as_of: {error}")
    if faults:
        raise MappingFault(faults)
    return PayloadMapping(
        types=types,
        by_category={mapping.plan.category: mapping for mapping in types.values()},
        subject_path=tuple(document.get("subject_code", "").split(".")),
        as_of_path=tuple(as_of["from"].split(".")) if as_of else (),
        as_of=as_of_converter,
    )


_SUBJECT_METHODS: Final = {
    "uscc": MATCH_METHOD_CODE,
    "organisation_code": MATCH_METHOD_ORG_CODE,
    "registration_number": MATCH_METHOD_REGISTRATION_NUMBER,
}


def _compile_type(plan: RecordPlan, name: str, table: Mapping[str, Any], faults: list[str]) -> TypeMapping:
    known: set[str] = set(table.get("ignored", ()))
    personal: set[str] = set()
    subject = []
    for kind, key in table.get("subject", {}).items():
        if kind not in _SUBJECT_METHODS:
            faults.append(f"{name}.subject.{kind}: use one of {', '.join(_SUBJECT_METHODS)}")
            continue
        subject.append((key, _SUBJECT_METHODS[kind]))
        known.add(key)
    if "record_key" in table:
        known.add(table["record_key"])
    setters: list[Setter] = []
    for target, spec in table.get("fields", {}).items():
        where = f"{name}.fields.{target}"
        if target == ENVELOPE or target not in plan.message.DESCRIPTOR.fields_by_name:
            faults.append(f"{where}: {plan.message.DESCRIPTOR.name} has no such field")
            continue
        setter, keys = _compile_field(plan.message.DESCRIPTOR, target, spec, where, faults)
        setters.extend(setter)
        known.update(keys)
        if plan.field(target).options.personal or plan.field(target).options.data_class == 2:
            personal.update(keys)
    on_envelope: list[Setter] = []
    for target, spec in table.get("envelope", {}).items():
        where = f"{name}.envelope.{target}"
        if target not in _ENVELOPE_FIELDS:
            faults.append(f"{where}: use one of {', '.join(sorted(_ENVELOPE_FIELDS))}")
            continue
        if isinstance(spec, Mapping) and target in _ENVELOPE_INDEFINITE:
            spec = {"indefinite": _ENVELOPE_INDEFINITE[target], **spec}
        setter, keys = _compile_field(RecordEnvelope.DESCRIPTOR, target, spec, where, faults)
        on_envelope.extend(setter)
        known.update(keys)
    if "rows" not in table:
        faults.append(f"{name}.rows: is missing; say where the rows stand")
    return TypeMapping(
        plan=plan,
        rows_path=tuple(table.get("rows", "").split(".")),
        category_key=table.get("category_key", ""),
        record_key=table.get("record_key"),
        subject_keys=tuple(subject),
        known_keys=frozenset(known),
        setters=tuple(setters),
        envelope_setters=tuple(on_envelope),
        personal_keys=frozenset(personal),
        layouts=set(),
    )


def _compile_field(
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
        return [_plain(target, key, convert, indefinite)], [key]
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
    def put(row: Row, values: dict[str, Any], flagged: list[tuple[str, str, Any]]) -> None:
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


def _constant(descriptor: Any, target: str, constant: Any) -> Setter:
    value = constant
    if descriptor.enum_type is not None:
        value = _codes(descriptor.enum_type, {"": constant})[""]

    def put(_row: Row, values: dict[str, Any], _flagged: list[tuple[str, str, Any]]) -> None:
        values[target] = value

    return put


def _authority(target: str, name_key: str | None, code_key: str | None) -> Setter:
    # Public bodies are few and say nothing of a person: what was read once is kept.
    seen: dict[tuple[Any, Any], Authority | None] = {}

    def put(row: Row, values: dict[str, Any], flagged: list[tuple[str, str, Any]]) -> None:
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
    def put(row: Row, values: dict[str, Any], flagged: list[tuple[str, str, Any]]) -> None:
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

    def put(row: Row, values: dict[str, Any], flagged: list[tuple[str, str, Any]]) -> None:
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
    def put(row: Row, values: dict[str, Any], _flagged: list[tuple[str, str, Any]]) -> None:
        names = split(row.get(key), separators)
        if names:
            values[target] = names

    return put


def _table_setter(target: str, raw_target: str | None, key: str, table: Mapping[str, str]) -> Setter:
    """For codes that are texts kept as data (list codes, schemes): an unknown one becomes "UNMAPPED"."""

    def put(row: Row, values: dict[str, Any], flagged: list[tuple[str, str, Any]]) -> None:
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
