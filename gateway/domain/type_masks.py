"""Which fields of each record type are masked, and how: compiled once from the catalogue's options (JR/T 0171-2020: C2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.catalogue.v1 import options_pb2
from gateway.domain.catalogue import Catalogue, RecordPlan
from gateway.domain.masks import MASKS, Mask
from gateway.domain.wire import Encode, delimited, tag_of


@dataclass(frozen=True, slots=True)
class MaskedField:
    """One field that is masked."""

    name: str
    mask: Mask
    is_repeated: bool
    is_name: bool
    """Whether a person's consent can lift the mask: only a name tells whose it is."""
    is_text: bool
    """Whether persons that other fields name may be named in it."""
    stays_empty: bool
    """Whether an empty value is still written."""
    write: Encode


@dataclass(frozen=True, slots=True)
class TypeMasks:
    """What is masked in records of one type; `by_tag`, `by_name` and `names` are the same fields, or those that are names."""

    records_field: str
    category: int
    by_tag: Mapping[int, MaskedField]
    by_name: Mapping[bytes, MaskedField]
    names: Mapping[int, MaskedField]
    has_text: bool
    is_keyed: bool
    """Whether a masked field enters the record's key, so that the key's digest shows the value to whoever guesses it."""

    def may_conflict(self, envelope: bytes) -> bool:
        """Whether there may be a conflict on a masked field: it has the field's name in it."""
        for name in self.by_name:  # noqa: SIM110  # `any` costs more than the searches
            if name in envelope:
                return True
        return False


def masked_fields(catalogue: Catalogue) -> Mapping[int, tuple[str, ...]]:
    """Gives the names of the fields that are masked, by category."""
    kinds = map(compile_masks, catalogue.plans)
    return {kind.category: tuple(f.name for f in kind.by_tag.values()) for kind in kinds if kind.by_tag}


def compile_masks(plan: RecordPlan) -> TypeMasks:
    """Gives what is masked in records of one type."""
    fields: dict[str, MaskedField] = {}
    descriptors = plan.message.DESCRIPTOR.fields_by_name
    texts = {field.name: field for field in descriptors.values() if field.type == FieldDescriptor.TYPE_STRING}
    for field in plan.fields:
        mask = MASKS.get(field.options.mask)
        if mask is not None:
            is_name = field.options.mask in (options_pb2.MASK_NAME, options_pb2.MASK_PARTY)
            is_text = field.options.mask == options_pb2.MASK_TEXT
            for name in (field.name, f"{field.name}_raw"):
                if (text := texts.get(name)) is not None:
                    stays_empty = text.is_repeated or text.has_presence
                    fields[name] = MaskedField(
                        name, mask, text.is_repeated, is_name, is_text, stays_empty, delimited(text)
                    )
    keyed = {field.name for field in (*plan.key_always, *plan.key_weak)}
    if plan.key_document is not None:
        keyed.add(plan.key_document.name)
    is_keyed = not keyed.isdisjoint(fields)
    by_tag = {tag_of(texts[name]): field for name, field in fields.items()}
    return TypeMasks(
        plan.records_field,
        plan.category,
        by_tag,
        {name.encode(): field for name, field in fields.items()},
        {tag: field for tag, field in by_tag.items() if field.is_name},
        any(field.is_text for field in fields.values()),
        is_keyed,
    )
