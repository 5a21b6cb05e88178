"""Gaps: the values without which a record has no full key of its own are flagged on it where the platform left them out.

The record is kept, under its weak key where it has one. A value that came and could not be read is flagged already; one that
the platform never gives, since no line of the mapping reads it, is no gap but part of the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.kit.mapping import PayloadMapping, TypeMapping
from connectors.kit.quick import Write
from connectors.kit.setters import Flaw, Setter
from gateway.domain.catalogue import RecordPlan


def flagging_gaps(mapping: PayloadMapping, document: Mapping[str, Any]) -> PayloadMapping:
    """Gives the compiled mapping with gaps flagged; `document` is the mapping.toml it was compiled from."""
    types = {name: _flagging(compiled, document[name].get("fields", {})) for name, compiled in mapping.types.items()}
    return replace(mapping, types=types, by_category={held.plan.category: held for held in types.values()})


def _flagging(compiled: TypeMapping, fields: Mapping[str, Any]) -> TypeMapping:
    mandatory = _mandatory(compiled.plan)
    setters = [  # one for each field of the table, in its order
        Setter.of(setter.keys, _flagged_if_missing(setter.read), setter.quicken, is_mandatory=True)
        if target in mandatory and setter.keys
        else setter
        for target, setter in zip(fields, compiled.setters, strict=True)
    ]
    return replace(compiled, setters=tuple(setters))


def _mandatory(plan: RecordPlan) -> set[str]:
    always = {field.name for field in plan.key_always}
    return always | ({plan.key_document.name} if plan.key_document is not None else set())


def _flagged_if_missing(read: Write) -> Write:
    def read_or_flag(raw: Any) -> bytes:
        written = read(raw)
        if not written:
            raise Flaw(("value.missing", None))
        return written

    return read_or_flag
