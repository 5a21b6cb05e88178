"""Masking (脱敏) of what is about persons, in the records of a view: compiled once from the descriptors.

Which fields are masked, and how, the catalogue says (JR/T 0171-2020: C2). A mask covers the field itself, its raw sibling,
every value of a conflict on it, and every place where the value would show through: a platform's own record key, and the
digests of what was stated, which anyone could compare with those of guessed names. Digests are replaced by HMAC-SM3 of
themselves under a key of the deployment, and stay equal where they were equal.

Records are masked on the wire, before the view is put together: no message is made of them, only the places are looked for
where something personal may stand, and a record without any stays the very bytes it was. Only record types that have such
a field are looked at, and the others where a platform left a note of what it could not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, registration_pb2, value_pb2, view_pb2
from gateway.domain.catalogue import ENVELOPE, Catalogue
from gateway.domain.consent import Permit
from gateway.domain.masks import mask_names, mask_text
from gateway.domain.names import as_seen, normalise_name
from gateway.domain.statement import Statement
from gateway.domain.type_masks import MaskedField, TypeMasks, compile_masks
from gateway.domain.wire import delimited, find_delimited, tag_of, take_delimited, varint

_LIST: Final = ","  # joins the values of a repeated field in a conflict
_SHORTEST_KEY: Final = 16
_MOST_LOOKED_THROUGH: Final = 1_000_000_000
"""Names times bytes of records with texts: some tenths of a second. A rich view is a hundredth of a hundredth of it."""
WITHOUT_NAMES: Final = "****"
"""What is shown of a text in which nobody can look for so many names."""
_BLOCK: Final = 64  # bytes SM3 takes at once

_IsLifted: TypeAlias = Callable[[str], bool] | None
"""Whether the bearer of a name consented to its being shown; None where nobody did."""
Persons: TypeAlias = frozenset[tuple[int, str]]
"""Whose mask is lifted, as a permit says it."""

_ENVELOPE: Final = registration_pb2.Registration.DESCRIPTOR.fields_by_name[ENVELOPE]  # field 1 of every record type
_ENVELOPE_HEAD: Final = varint(tag_of(_ENVELOPE))
_WRITE_ENVELOPE: Final = delimited(_ENVELOPE)
_DRIFT: Final = tag_of(envelope_pb2.RecordEnvelope.DESCRIPTOR.fields_by_name["drifts"])
_DIGEST: Final = bytes((tag_of(envelope_pb2.Provenance.DESCRIPTOR.fields_by_name["digest"]), 32))


_DIGEST_OF: Final[Callable[[Statement], bytes]] = attrgetter("digest")
_MORE: Final[Callable[[Statement], bytes]] = attrgetter("more")


class Told(NamedTuple):
    """What is told of records: the digests of those under a field, and whether any may note what could not be read."""

    digests_of: Callable[[str], Set[bytes]]
    may_drift: bool


_Names: TypeAlias = Sequence[str] | None
"""The persons' names that are masked in texts; None where there are too many to be looked for: then no text is shown."""
_OfType: TypeAlias = tuple[TypeMasks, Set[bytes], bool, _IsLifted, _Names]
"""What masking records of one type takes: its masks, what is told of them, and the names that are masked in its texts."""


class Masker:
    """Masks views; built once from the catalogue and the deployment's key for digests of what is about persons."""

    def __init__(self, catalogue: Catalogue, key: bytes) -> None:
        if len(key) < _SHORTEST_KEY:
            raise ValueError(f"the key for masking must have {_SHORTEST_KEY} bytes or more, so that nobody guesses it")
        kinds = [kind for kind in map(compile_masks, catalogue.plans) if kind.by_tag]
        numbers = view_pb2.Records.DESCRIPTOR.fields_by_name
        self._by_tag = {varint(tag_of(numbers[kind.records_field])): kind for kind in kinds}
        self._texts = frozenset(tag for tag, kind in self._by_tag.items() if kind.has_text)
        # HMAC's two halves with the key taken in already (RFC 2104): what `hmac` would do anew for each digest.
        padded = (hashlib.new("sm3", key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.new("sm3", bytes([byte ^ 0x36 for byte in padded]))
        self._outer = hashlib.new("sm3", bytes([byte ^ 0x5C for byte in padded]))

    def digest(self, content: bytes) -> bytes:
        """Gives HMAC-SM3 (GB/T 15852.2) of the content under the deployment's key, 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return outer.digest()

    def person(self, uscc: str, name: str) -> str:
        """Gives the reference under which a person's consent about an enterprise is kept: it tells no name."""
        return self.digest(f"{uscc}\n{normalise_name(name)}".encode()).hex()

    def mask_entries(
        self, entries: list[bytes], told: Told, uscc: str, persons: Persons, beside: Sequence[bytes] = ()
    ) -> None:
        """Masks records in place as they stand in `Records` on the wire, each as its tag, its length and its content.

        `told` is what is told of them; `persons` are those of the permit. Names that records `beside` them state are masked
        in their texts too.
        """
        # Of all records before any is masked; without a type that has texts, or a note, nobody asks for them.
        may_drift = told.may_drift
        names: _Names = ()
        if may_drift or not self._texts.isdisjoint(entries[::3]):
            names = self._names_for_texts([*entries, *beside])
        last, kind = b"", None
        for place in range(2, len(entries), 3):
            tag = entries[place - 2]
            if tag != last:  # those of one type stand together
                last, kind = tag, self._by_tag.get(tag)
                if kind is not None:
                    of_type = self._of_type(kind, told, uscc, persons, names)
            raw = entries[place]
            if kind is not None:
                shown = self._masked(raw, of_type)
            elif may_drift:
                shown = _with_drifts_masked(raw, names)
            else:
                continue
            if shown is not raw:
                entries[place - 1 : place + 1] = varint(len(shown)), shown

    def mask(self, view: view_pb2.CreditView, permit: Permit) -> bool:
        """Masks a view in place, unless the permit lifts it; whether anything changed, so that its id must be anew."""
        if not permit.is_masked:
            return False
        changed = self._mask_records(view.records, view.query.uscc, permit.persons)
        for answer in view.answers:
            changed |= mask_drifts(answer.drifts)
        return changed

    def mask_answer(
        self, said: view_pb2.Answer, uscc: str, permit: Permit, beside: view_pb2.Records | None = None
    ) -> None:
        """Masks one platform's answer in place, as it stands in a stream beside a view's records, which are not yet masked.

        A name that the view masks in a text, since another platform states it, is not told by the answer either.
        """
        if permit.is_masked:
            self._mask_records(said.records, uscc, permit.persons, _entries(beside)[1] if beside is not None else ())
            mask_drifts(said.drifts)

    def _mask_records(
        self, records: view_pb2.Records, uscc: str, persons: Persons, beside: Sequence[bytes] = ()
    ) -> bool:
        rows, entries = _entries(records)

        def digests_of(name: str) -> Set[bytes]:
            return {p.digest for record in getattr(records, name) for p in record.envelope.provenances}

        before = entries[2::3]
        self.mask_entries(entries, Told(digests_of, may_drift=True), uscc, persons, beside)
        changed = False
        for record, raw, shown in zip(rows, before, entries[2::3], strict=True):
            if shown is not raw:
                record.ParseFromString(shown)
                changed = True
        return changed

    def _names_for_texts(self, entries: Sequence[bytes]) -> _Names:
        """Gives the persons' names that the records state, as they are seen, the longest first; None where too many do."""
        names: set[str] = set()
        text_bytes = 0
        for tag, raw in zip(entries[::3], entries[2::3], strict=True):
            kind = self._by_tag.get(tag)
            if kind is None:
                continue
            if kind.has_text:
                text_bytes += len(raw)
            if kind.names:
                names.update([as_seen(name) for name in _names(kind, raw)])
        if len(names) * text_bytes > _MOST_LOOKED_THROUGH:
            return None
        return sorted((name for name in names if len(name) > 1), key=lambda name: (-len(name), name))

    def _of_type(self, kind: TypeMasks, told: Told, uscc: str, persons: Persons, names: _Names) -> _OfType:
        """Gives what masking records of the type takes."""
        digests = told.digests_of(kind.records_field)
        lifted = {person for category, person in persons if category == kind.category} if persons else None
        if not lifted:
            return kind, digests, told.may_drift, None, names

        def is_lifted(name: str) -> bool:
            return self.person(uscc, name) in lifted

        left = None if names is None else [name for name in names if not is_lifted(name)]
        return kind, digests, told.may_drift, is_lifted, left

    def _masked(self, raw: bytes, of_type: _OfType) -> bytes:
        """Gives a record as it may be shown: the very bytes where that is as it stands."""
        kind, digests, may_drift, is_lifted, names = of_type
        start, end = _envelope(raw)
        hidden: list[str] = []
        content: list[bytes] = []
        done = end
        for field, at, value_at, after in find_delimited(raw, end, len(raw), kind.by_tag):
            value = raw[value_at:after].decode()
            shown = _one(field, value, is_lifted, names, hidden)
            if shown is not value:
                content += raw[done:at], field.write(shown.encode()) if shown or field.stays_empty else b""
                done = after
        envelope = raw[:end]
        # Most envelopes hold nothing to be masked but digests, which a few searches tell, and none where nothing is hidden.
        if kind.is_keyed or may_drift or kind.may_conflict(envelope) or _show(envelope, hidden):
            envelope = self._masked_envelope(kind, raw[start:end], is_lifted, names, hidden)
        elif hidden:
            keyed = self._with_keyed_digests(envelope, digests)
            envelope = keyed or self._masked_envelope(kind, raw[start:end], is_lifted, names, hidden)
        else:
            return raw
        return b"".join((envelope, *content, raw[done:]))

    def _with_keyed_digests(self, envelope: bytes, digests: Set[bytes]) -> bytes | None:
        """Gives an envelope with these digests keyed: each is as long as it was.

        None where anything else looks like one, be it in a platform's own key: then the envelope is to be read.
        """
        parts = envelope.split(_DIGEST)
        keyed = [parts[0]]
        for part in parts[1:]:
            digest = part[:32]
            if digest not in digests:
                return None
            keyed.append(self.digest(digest) + part[32:])
        return _DIGEST.join(keyed)

    def _masked_envelope(
        self, kind: TypeMasks, raw: bytes, is_lifted: _IsLifted, names: _Names, hidden: list[str]
    ) -> bytes:
        """Gives an envelope as it may be shown, with its head, where more of it is masked than digests."""
        envelope = envelope_pb2.RecordEnvelope.FromString(raw)
        for conflict in envelope.conflicts:
            field = kind.by_name.get(conflict.field.encode())
            if field is not None:
                for stated in conflict.values:
                    text = stated.value.text
                    parts = text.split(_LIST) if field.is_repeated else (text,)
                    stated.value.text = _LIST.join([_one(field, part, is_lifted, names, hidden) for part in parts])
        mask_drifts(envelope.drifts, names)
        if kind.is_keyed:
            self._replace_keys(envelope)
        for provenance in envelope.provenances if hidden else ():
            if provenance.digest:
                provenance.digest = self.digest(provenance.digest)
            own_key = provenance.platform_record_key
            if own_key and any(value in own_key for value in hidden):
                provenance.platform_record_key = ""
        return _WRITE_ENVELOPE(envelope.SerializeToString(deterministic=True)) if raw else b""

    def _replace_keys(self, envelope: envelope_pb2.RecordEnvelope) -> None:
        """Replaces the digests of keys that contain a name, of every record of the type alike: links between them hold."""
        if envelope.record_key:
            envelope.record_key = self.digest(envelope.record_key)[: len(envelope.record_key)]
        if envelope.possible_duplicate_of:
            envelope.possible_duplicate_of[:] = [self.digest(k)[: len(k)] for k in envelope.possible_duplicate_of]


def _entries(records: view_pb2.Records) -> tuple[list[Any], list[bytes]]:
    """Gives records, and them as they stand in `Records` on the wire, each as its tag, no length, and its content."""
    rows: list[Any] = []
    entries: list[bytes] = []
    for descriptor, found in records.ListFields():
        tag = varint(tag_of(descriptor))
        for record in found:
            rows.append(record)
            entries += tag, b"", record.SerializeToString(deterministic=True)
    return rows, entries


def mask_drifts(drifts: Iterable[value_pb2.Drift], names: _Names = ()) -> bool:
    """Masks notes of what could not be read in place, and the names in them; whether any changed."""
    changed = False
    for drift in drifts:
        shown = mask_text(drift.raw)
        if shown:
            shown = WITHOUT_NAMES if names is None else mask_names(shown, names)
        if shown != drift.raw:
            drift.raw = shown
            changed = True
    return changed


def told_by(state: Mapping[str, Sequence[Statement]]) -> Told:
    """Gives what statements tell of their records, by field of `Records`."""
    # The tag of such a note must be in what a statement wrote beside its provenance: mostly that is nothing.
    more = b"".join(map(_MORE, chain.from_iterable(state.values())))
    return Told(lambda name: set(map(_DIGEST_OF, state[name])), _DRIFT in more)


def _envelope(raw: bytes) -> tuple[int, int]:
    """Gives where a record's envelope starts and ends, its head left out; it comes first, if there is one."""
    return take_delimited(raw, 0) if raw[:1] == _ENVELOPE_HEAD else (0, 0)


def _show(envelope: bytes, hidden: Iterable[str]) -> bool:
    """Whether any of the values stands in an envelope, as in a platform's own key of the record."""
    for value in hidden:  # noqa: SIM110  # as above
        if value.encode() in envelope:
            return True
    return False


def _names(kind: TypeMasks, raw: bytes) -> Iterator[str]:
    """Gives what a record states as names that are masked, in conflicts too."""
    start, end = _envelope(raw)
    for field, _, value_at, after in find_delimited(raw, end, len(raw), kind.names):
        name = raw[value_at:after].decode()
        if field.mask(name) != name:
            yield name
    if not kind.may_conflict(raw[:end]):
        return
    for conflict in envelope_pb2.RecordEnvelope.FromString(raw[start:end]).conflicts:
        about = kind.by_name.get(conflict.field.encode())
        if about is not None and about.is_name:
            for value in conflict.values:
                for name in value.value.text.split(_LIST) if about.is_repeated else (value.value.text,):
                    if about.mask(name) != name:
                        yield name


def _one(field: MaskedField, value: str, is_lifted: _IsLifted, names: _Names, hidden: list[str]) -> str:
    """Gives a value as it may be shown, and notes in `hidden` one that may not be shown as it stands."""
    if is_lifted is not None and field.is_name and is_lifted(value):
        return value
    shown = field.mask(value)
    if field.is_text and names is None:
        shown = WITHOUT_NAMES
    elif names and field.is_text:
        shown = mask_names(shown, names)
    if shown == value:
        return value
    hidden.append(value)
    return shown


def _with_drifts_masked(raw: bytes, names: _Names) -> bytes:
    """Gives a record of a type without masked fields as it may be shown: the very bytes where that is as it stands."""
    start, end = _envelope(raw)
    if _DRIFT not in raw[start:end]:
        return raw
    envelope = envelope_pb2.RecordEnvelope.FromString(raw[start:end])
    if not mask_drifts(envelope.drifts, names):
        return raw
    return _WRITE_ENVELOPE(envelope.SerializeToString(deterministic=True)) + raw[end:]
