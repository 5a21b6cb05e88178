"""Gaps: the values without which a record has no full key of its own are flagged on it where the platform left them out.

The record is kept, under its weak key where it has one. A value that came and could not be read is flagged already; one that
the platform never gives, since no line of the mapping reads it, is no gap but part of the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.kit.mapping import PayloadMapping, TypeMapping
from connectors.kit.setters import Flagged, Row, Setter
from gateway.domain.catalogue import RecordPlan


def flagging_gaps(mapping: PayloadMapping, document: Mapping[str, Any]) -> PayloadMapping:
    """Gives the compiled mapping with gaps flagged; `document` is the mapping.toml it was compiled from."""
    types = {name: _flagging(compiled, document[name]) for name, compiled in mapping.types.items()}
    return replace(mapping, types=types, by_category={held.plan.category: held for held in types.values()})


def _flagging(compiled: TypeMapping, table: Mapping[str, Any]) -> TypeMapping:
    mandatory = _mandatory(compiled.plan, table.get("fields", {}))
    return replace(compiled, setters=(*compiled.setters, _gaps(mandatory))) if mandatory else compiled


def _mandatory(plan: RecordPlan, fields: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Gives (field, field that may stand in its place, payload key) of each mandatory value the platform's rows have."""
    found = []
    for field in (*plan.key_always, *((plan.key_document,) if plan.key_document is not None else ())):
        spec = fields.get(field.name, {})
        table: Mapping[str, Any] = {"from": spec} if isinstance(spec, str) else spec
        key = table.get("from") or table.get("name") or table.get("code")
        if key is not None:
            found.append((field.name, table.get("indefinite", field.name), key))
    return found


def _gaps(mandatory: Sequence[tuple[str, str, str]]) -> Setter:
    def put(_row: Row, values: dict[str, Any], flagged: Flagged) -> None:
        for target, instead, key in mandatory:
            if target not in values and instead not in values and not any(key == told for told, _, _ in flagged):
                flagged.append((key, "value.missing", None))

    return put
