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

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import call, itemgetter
from typing import Any, Final, NamedTuple

from connectors.kit.quick import Write
from connectors.kit.setters import Flagged, Flaw, Row, Setter, compile_field
from connectors.kit.values import converter
from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import Penalty
from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import (
    MATCH_METHOD_CODE,
    MATCH_METHOD_ORG_CODE,
    MATCH_METHOD_REGISTRATION_NUMBER,
    Provenance,
    RecordEnvelope,
)
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Drift
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Records
from gateway.domain.catalogue import CATALOGUE, ENVELOPE, RecordPlan
from gateway.domain.masks import mask_text
from gateway.domain.wire import Encode, delimited

_SHOWN: Final = 64
_LOOKED_AT: Final = 2 * _SHOWN
DRIFTS_TOLD: Final = 100
"""So many drifts are told of an answer: more of them say nothing new, and a platform could fill log and trail."""
_LAYOUTS_KEPT: Final = 1_000
_ENVELOPE: Final = delimited(Penalty.DESCRIPTOR.fields_by_name[ENVELOPE])  # field 1 of every type
_PROVENANCE: Final = delimited(RecordEnvelope.DESCRIPTOR.fields_by_name["provenances"])
_RECORD_KEY: Final = delimited(Provenance.DESCRIPTOR.fields_by_name["platform_record_key"])
_DRIFT: Final = delimited(RecordEnvelope.DESCRIPTOR.fields_by_name["drifts"])
_ENVELOPE_FIELDS: Final = frozenset({"status", "status_on", "publish_start", "publish_end"})
_TYPE_KEYS: Final = frozenset({"rows", "category_key", "record_key", "ignored", "subject", "fields", "envelope"})
_ENVELOPE_INDEFINITE: Final = {"publish_end": "publish_is_indefinite"}


class MappingFault(ValueError):  # noqa: N818  # a list of faults, for the operator
    """What is wrong in a mapping; `faults` are texts that name the key."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class Drifts:
    """What could not be read outside of any record, each kind of unknown key once per answer."""

    __slots__ = ("found", "seen")

    def __init__(self) -> None:
        self.found: list[Drift] = []
        self.seen: set[str] = set()

    def add(self, path: str, reason: str, raw: Any = None) -> None:
        """Notes one drift unless the same path was noted, or one more than are told: that there are more can then be said."""
        if len(self.found) <= DRIFTS_TOLD and path not in self.seen:
            self.seen.add(path)
            self.found.append(Drift(path=path, reason=reason, raw=shorten(raw)))


def shorten(raw: Any) -> str:
    """Gives a raw value as a drift shows it: masked, then cut, half a number being none; of an object or list, nothing."""
    return "" if raw is None or isinstance(raw, (list, dict)) else mask_text(str(raw)[:_LOOKED_AT])[:_SHOWN]


class _Part(NamedTuple):
    """What rows of one set of keys say of a record, or of its envelope.

    `take` gives the values of single keys, and each of `writes` writes one of them; `others` read more keys than one, or a
    key that these rows lack. `setters` are all of them in the order of the mapping, but for the constants.
    """

    take: Callable[[Row], Sequence[Any]]
    writes: Sequence[Write]
    others: Sequence[tuple[Callable[[Row], Any], Write]]
    constants: bytes
    setters: Sequence[Setter]

    def of(self, row: Row) -> bytes:
        """Gives the part on the wire; raises Flaw or TypeError where it takes a closer look to read the row."""
        take, writes, others, constants, _ = self
        written = b"".join(map(call, writes, take(row)))
        for take, write in others:
            written += write(take(row))
        return written + constants if constants else written

    def of_flawed(self, row: Row, flagged: Flagged) -> bytes:
        """Gives the part of a row that may have flaws, and flags them in the order of the mapping."""
        written = []
        for setter in self.setters:
            try:
                written.append(setter.read(_value(setter.keys)(row)))
            except Flaw as flaw:
                written.append(flaw.written)
                flagged.extend((setter.keys[0], reason, raw) for reason, raw in flaw.notes)
        return b"".join(written) + self.constants


def _part(setters: Sequence[Setter], keys: frozenset[str]) -> _Part:
    asked = [s for s in setters if s.is_mandatory or not keys.isdisjoint(s.keys)]
    plain = [s for s in asked if len(s.keys) == 1 and s.keys[0] in keys]
    return _Part(
        take=_values([s.keys[0] for s in plain]),
        writes=[s.write for s in plain],
        others=[
            (itemgetter(*s.keys) if keys.issuperset(s.keys) else _value(s.keys), s.write)
            for s in asked
            if s not in plain
        ],
        constants=b"".join([s.write(None) for s in setters if not s.keys]),
        setters=asked,
    )


def _value(keys: Sequence[str]) -> Callable[[Row], Any]:
    """Gives what takes the value of one key or the values of two, None where a row lacks it."""
    if len(keys) == 1:
        (only,) = keys
        return lambda row: row.get(only)
    first, second = keys
    return lambda row: (row.get(first), row.get(second))


def _values(keys: Sequence[str]) -> Callable[[Row], Sequence[Any]]:
    """Gives what takes the values of keys that all rows have."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda row: [row[key] for key in keys]


class _Layout(NamedTuple):
    """What rows with just those keys, in that order, need."""

    record: _Part
    envelope: _Part | None


@lru_cache(maxsize=4096)
def _opening(said_by: bytes, key_length: int) -> bytes:
    """Gives an envelope that holds a provenance only, as most do, up to the bytes of the platform's own key of the record."""
    return _ENVELOPE(_provenance(said_by, bytes(key_length)))[: -key_length or None]


def _provenance(said_by: bytes, key: bytes) -> bytes:
    return _PROVENANCE(said_by + _RECORD_KEY(key) if key else said_by)


@dataclass(frozen=True, slots=True)
class TypeMapping:
    """The compiled mapping of one record type; `layouts` keeps what rows with just those keys need.

    `code_keys` are those of the keys that tell the subject under which its code stands.
    """

    plan: RecordPlan
    rows_path: tuple[str, ...]
    category_key: str
    record_key: str | None
    subject_keys: tuple[tuple[str, int], ...]
    code_keys: tuple[str, ...]
    known_keys: frozenset[str]
    setters: tuple[Setter, ...]
    envelope_setters: tuple[Setter, ...]
    personal_keys: frozenset[str]
    layouts: dict[tuple[str, ...], _Layout]
    entry: Encode

    @property
    def path(self) -> str:
        """Where the rows stand, as drifts name it."""
        return ".".join(self.rows_path)

    def encode(self, rows: Sequence[Row], said_by: Mapping[int, bytes], drifts: Drifts) -> list[bytes]:
        """Gives each row's record as an entry of `Records` on the wire; what cannot be read is flagged in its envelope.

        `said_by` holds the platform's provenance on the wire, by the method of matching.
        """
        record_key, subject_keys, layouts, entry = self.record_key, self.subject_keys, self.layouts, self.entry
        said, key, more = said_by[MATCH_METHOD_CODE], b"", b""
        opening = _opening(said, 0)
        unlike: dict[tuple[str, ...], _Layout] = {}
        entries = []
        for number, row in enumerate(rows):
            keys = tuple(row)
            layout = layouts.get(keys) or unlike.get(keys) or self._layout(keys, unlike, drifts)
            record, envelope = layout
            try:
                content = record.of(row)
                if envelope is not None:
                    more = envelope.of(row)
            except (Flaw, TypeError):
                content, more = self._flawed(row, layout, f"{self.path}[{number}]")
            if subject_keys:
                said = said_by[self._method(row)]
                opening = _opening(said, 0)
            if record_key is not None:
                key = str(row.get(record_key) or "").encode()
            if more:
                entries.append(entry(_ENVELOPE(_provenance(said, key) + more) + content))
                more = b""
            elif key:
                entries.append(entry(_opening(said, len(key)) + key + content))
            else:
                entries.append(entry(opening + content))
        return entries

    def _layout(self, layout: tuple[str, ...], unlike: dict[tuple[str, ...], _Layout], drifts: Drifts) -> _Layout:
        """Gives what rows of these keys need, and keeps it: with an unknown key, which is flagged, for this answer only."""
        keys = frozenset(layout)
        envelope = _part(self.envelope_setters, keys)
        needed = _Layout(_part(self.setters, keys), envelope if envelope.setters or envelope.constants else None)
        unknown = keys - self.known_keys
        for key in heapq.nsmallest(DRIFTS_TOLD + 1, unknown):  # by name: the same ones every time
            # The value of an unknown key may be personal: its name is enough to find it in the platform's answer.
            drifts.add(f"{self.path}[].{key}", "field.unknown")
        held = unlike if unknown else self.layouts
        if len(held) < _LAYOUTS_KEPT:
            held[layout] = needed
        return needed

    def _flawed(self, row: Row, layout: _Layout, where: str) -> tuple[bytes, bytes]:
        """Gives the content of a row that may have flaws, and what its envelope holds beside provenance."""
        flagged: Flagged = []
        content = layout.record.of_flawed(row, flagged)
        more = layout.envelope.of_flawed(row, flagged) if layout.envelope is not None else b""
        return content, more + self._drifts(flagged, where)

    def _method(self, row: Row) -> int:
        for key, method in self.subject_keys:
            if row.get(key):
                return method
        return MATCH_METHOD_CODE

    def _drifts(self, flagged: Flagged, where: str) -> bytes:
        return b"".join(
            _DRIFT(
                Drift(
                    path=f"{where}.{key}", reason=reason, raw="" if key in self.personal_keys else shorten(raw)
                ).SerializeToString()
            )
            for key, reason, raw in flagged
        )


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
        if type(document) is not dict:  # parsed, hence of no other class that is one
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
            faults.append(f"{name}: no such field of Records; it has {', '.join(CATALOGUE.by_records_field)}")
        elif not isinstance(table, Mapping):
            faults.append(f"{name}: must be a table")
        else:
            types[name] = _compile_type(plan, name, table, faults)
    subject_code = document.get("subject_code")
    if not isinstance(subject_code, str) or not subject_code:
        # Without it an answer about another enterprise would be taken for one about the enterprise that was asked for.
        faults.append("subject_code: is missing; say where the payload states the enterprise's code")
    as_of_path, as_of = _compile_as_of(document.get("as_of"), faults)
    if faults:
        raise MappingFault(faults)
    return PayloadMapping(
        types=types,
        by_category={mapping.plan.category: mapping for mapping in types.values()},
        subject_path=tuple(str(subject_code).split(".")),
        as_of_path=as_of_path,
        as_of=as_of,
    )


def _compile_as_of(spec: Any, faults: list[str]) -> tuple[tuple[str, ...], Callable[[Any], Any] | None]:
    """Gives where the data date stands and what reads it; neither where a platform states none."""
    if spec is None:
        return (), None
    if not isinstance(spec, Mapping) or "from" not in spec or spec.get("as", "date") != "date":
        faults.append('as_of: must be a table such as { from = "asOf", as = "date", format = "iso" }')
        return (), None
    settings = {key: value for key, value in spec.items() if key not in ("from", "as")}
    try:
        return tuple(spec["from"].split(".")), converter("date", **{"format": "iso", **settings})
    except ValueError as error:
        faults.append(f"as_of: {error}")
        return (), None


_SUBJECT_METHODS: Final = {
    "uscc": MATCH_METHOD_CODE,
    "organisation_code": MATCH_METHOD_ORG_CODE,
    "registration_number": MATCH_METHOD_REGISTRATION_NUMBER,
}


def _compile_type(plan: RecordPlan, name: str, table: Mapping[str, Any], faults: list[str]) -> TypeMapping:
    faults += [f"{name}.{key}: unknown key" for key in sorted(table.keys() - _TYPE_KEYS)]
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
            fields = ", ".join(field.name for field in plan.message.DESCRIPTOR.fields if field.name != ENVELOPE)
            faults.append(f"{where}: {plan.message.DESCRIPTOR.name} has no such field; it has {fields}")
            continue
        found = compile_field(plan.message.DESCRIPTOR, target, spec, where, faults)
        setters += found
        keys = [key for setter in found for key in setter.keys]
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
        found = compile_field(RecordEnvelope.DESCRIPTOR, target, spec, where, faults)
        on_envelope += found
        known.update(key for setter in found for key in setter.keys)
    if "rows" not in table:
        faults.append(f"{name}.rows: is missing; say where the rows stand")
    return TypeMapping(
        plan=plan,
        rows_path=tuple(table.get("rows", "").split(".")),
        category_key=table.get("category_key", ""),
        record_key=table.get("record_key"),
        subject_keys=tuple(subject),
        code_keys=tuple(key for key, method in subject if method == MATCH_METHOD_CODE),
        known_keys=frozenset(known),
        setters=tuple(setters),
        envelope_setters=tuple(on_envelope),
        personal_keys=frozenset(personal),
        layouts={},
        entry=delimited(Records.DESCRIPTOR.fields_by_name[name]),
    )
