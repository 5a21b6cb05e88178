"""Statements (陈述): platforms' records as the merge sees them, each with a key of its own.

A record's key is computed from that record alone. A record with its document number has a strong key; one without has a
weak key made of circumstances, a namespace of its own: weak and strong never merge, since a fallback match inside the
grouping gives other results for other orders of arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import authority_pb2, envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER
from gateway.domain.answer import HEARD, Answer, failed_answer
from gateway.domain.catalogue import Catalogue, FieldPlan, RecordPlan, comparable
from gateway.domain.coverage import Stated, stated_of
from gateway.domain.identifiers import fold_identifier
from gateway.domain.names import normalise_name
from gateway.domain.platform import Platform
from gateway.domain.provenance import as_of_field, completing
from gateway.domain.wire import split_entries, tag_of, take_delimited

_SM3: Final = hashlib.new("sm3")
STRONG: Final = "strong"
WEAK: Final = "weak"

Key = tuple[Any, ...]
Order = tuple[int, int, int, str]
"""Tier, newest data time, platform id."""

_UNSPECIFIED: Final = envelope_pb2.RECORD_STATUS_UNSPECIFIED
_STATUSES: Final = frozenset(envelope_pb2.RecordStatus.values())
_RECORDS: Final = view_pb2.Records.DESCRIPTOR.fields_by_name


def sm3(content: bytes) -> bytes:
    """Gives the SM3 digest (GB/T 32905-2016), 32 bytes."""
    digest = _SM3.copy()
    digest.update(content)
    return digest.digest()


@dataclass(slots=True, eq=False)
class Statement:
    """One platform's record: never changed after it was made.

    `as_of` is (seconds, nanoseconds) of the platform's data time, (0, 0) when it does not say; `digest` the SM3 of the
    record's deterministic bytes; `key[0]` tells strong from weak. Three parts of those bytes, on the wire: `content` is the
    record without its envelope; `provenance` the envelope's field `provenances`, completed by digest, data time and the
    status as stated; `more` what else the platform wrote on the envelope, nothing for most records. `status` is as stated.
    """

    platform: Platform
    record: Any
    key: Key
    digest: bytes
    content: bytes
    as_of: tuple[int, int]
    provenance: bytes
    more: bytes
    status: envelope_pb2.RecordStatus.ValueType

    @property
    def is_weak(self) -> bool:
        """Whether the key was made from circumstances only."""
        return self.key[0] is WEAK


_folded = lru_cache(maxsize=4096)(fold_identifier)


_NATIONAL: Final = "10"
"""Where a province stands in other codes: a national body is of none."""


class AuthorityIds:
    """Canonical ids of authorities: the code where there is one, else the code of a known name, else the folded name."""

    def __init__(self, codes_by_name: Mapping[str, str]) -> None:
        self._codes = {normalise_name(name): code for name, code in codes_by_name.items()}

    def __call__(self, authority: authority_pb2.Authority) -> str:
        """Gives the canonical id, empty when the authority is not stated."""
        code = authority.code
        if code:
            return _folded(code)
        name = normalise_name(authority.name)
        return self._codes.get(name, name)

    def province(self, authority: authority_pb2.Authority) -> str | None:
        """Gives the two-digit province of the authority from its code, None when only an unknown name is stated."""
        return self.province_of(self(authority))

    def province_of(self, authority_id: str) -> str | None:
        """Gives the two-digit province in a canonical id that is a code, None in one that is a name or a national body's."""
        province = authority_id[2:4]
        return province if len(authority_id) == 18 and province.isdecimal() and province != _NATIONAL else None


def key_function(plan: RecordPlan, authority_ids: AuthorityIds) -> Callable[[Any], Key | None]:
    """Gives what makes a record's natural key from the record alone; None where it states no part of it."""
    if not plan.key_always and plan.key_document is None:
        only: Key = (STRONG,)
        return lambda record: only
    always = _parts(plan.key_always, authority_ids)
    weak = _parts(plan.key_weak, authority_ids)
    if plan.key_document is None:
        told_apart = _telling_apart(plan.key_always)

        def key_of_parts(record: Any) -> Key | None:
            parts = always(record)
            if told_apart is not None:
                parts = told_apart(record, parts)
            return (STRONG, *parts) if any(parts) else None

        return key_of_parts
    told_apart = _telling_apart((*plan.key_always, *plan.key_weak))
    document = _part(plan.key_document, authority_ids)

    def key_of_document(record: Any) -> Key | None:
        number = document(record)
        parts = always(record)
        if number and all(parts):
            return (STRONG, number, *parts)
        parts += weak(record)
        if told_apart is not None:
            parts = told_apart(record, parts)
        return (WEAK, number, *parts) if number or any(parts) else None

    return key_of_document


def _telling_apart(fields: Sequence[FieldPlan]) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]] | None:
    """Gives what puts, in a key's parts, the value as it was written beside one that no code list knows.

    Two lists that nobody here knows are two lists. None where no part is of a code list.
    """
    coded = [(place, field.unmapped, field.raw) for place, field in enumerate(fields) if field.unmapped is not None]
    if not coded:
        return None

    def told_apart(record: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        for place, unmapped, raw in coded:
            if parts[place] == unmapped and (written := normalise_name(getattr(record, raw))):
                parts = (*parts[:place], (unmapped, written), *parts[place + 1 :])
        return parts

    return told_apart


def _parts(fields: Sequence[FieldPlan], authority_ids: AuthorityIds) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1 and all(field.is_plain for field in fields):
        return attrgetter(*(field.name for field in fields))
    parts = tuple(_part(field, authority_ids) for field in fields)
    if len(parts) == 1:
        (only,) = parts
        return lambda record: (only(record),)
    if len(parts) == 2:
        first, second = parts
        return lambda record: (first(record), second(record))
    return lambda record: tuple([part(record) for part in parts])


def _part(field: FieldPlan, authority_ids: AuthorityIds) -> Callable[[Any], Any]:
    form = comparable(field, authority_ids.__call__)
    name = field.name
    if field.is_authority:
        # An absent authority reads as an empty message, whose id is the empty text: no presence check is needed.
        return lambda record: form(getattr(record, name))
    if field.has_presence:
        return lambda record: form(getattr(record, name)) if record.HasField(name) else None
    return lambda record: form(getattr(record, name))


@dataclass(slots=True, eq=False)
class Reading:
    """One answer read into statements, by field of `Records`; without any when the platform was not heard.

    It is never changed after it was made.
    `stated` is what the answer says by category, `as_of` its data time as in a statement, read from its message once.
    `order` is where all its statements stand in the total order of `choose`, but for the authority rule and the digest; None
    where they have several data times.
    """

    answer: Answer
    statements: Mapping[str, Sequence[Statement]]
    stated: Mapping[int, Stated]
    as_of: tuple[int, int]
    order: Order | None = None

    @classmethod
    def without_statements(cls, answer: Answer) -> Reading:
        """Gives the reading of an answer of which nothing enters the merge."""
        moment = answer.said.as_of
        return cls(answer, {}, stated_of(answer.said), (moment.seconds, moment.nanos))


class Reader:
    """Reads answers into statements: the one door into the merge."""

    def __init__(self, catalogue: Catalogue, authority_ids: AuthorityIds, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms
        self._kinds = {
            tag_of(_RECORDS[plan.records_field]): _Kind(
                plan.records_field, plan.category, key_function(plan, authority_ids)
            )
            for plan in catalogue.plans
        }

    def read(self, answer: Answer, uscc: str) -> Reading:
        """Gives the answer's statements; an answer that may not enter the merge becomes BAD_ANSWER.

        An answer about another enterprise is dropped whole ("wrong_subject"): one foreign record makes all of them
        doubtful. So is one with a record that states no part of its key ("no_key") or has not exactly one provenance
        ("provenance").
        """
        said = answer.said
        if said.outcome not in HEARD:
            return Reading.without_statements(answer)
        records = said.records
        if (subjects := records.subjects) and any(
            subject.uscc and fold_identifier(subject.uscc) != uscc for subject in subjects
        ):
            return Reading.without_statements(_refused(answer, "wrong_subject"))
        platform = self._platforms[said.platform]
        moment = said.as_of
        default_as_of = (moment.seconds, moment.nanos)
        stated = stated_of(said)
        order: Order | None = (platform.tier, -default_as_of[0], -default_as_of[1], platform.id)
        by_field: dict[str, list[Statement]] = {}
        # All records are written at once and parted here: a call of the library for each costs more than all the parting.
        raw = records.SerializeToString(deterministic=True)
        last_tag = 0
        for tag, start, end in split_entries(raw):
            if tag != last_tag:
                kind = self._kinds.get(tag)
                if kind is None:  # a field that this schema does not know
                    continue
                last_tag = tag
                rows = iter(getattr(records, kind.name))
                key_of = kind.key_of
                of_category = stated.get(kind.category)
                as_of = default_as_of
                if of_category is not None and of_category[2] is not None:
                    as_of, order = of_category[2], None
                complete = completing(platform.id, as_of_field(*as_of))
                found = by_field[kind.name] = []
            record = next(rows)
            key = key_of(record)
            if key is None:
                return Reading.without_statements(_refused(answer, "no_key"))
            hashing = _SM3.copy()
            hashing.update(raw[start:end])
            digest = hashing.digest()
            # Most envelopes hold one provenance and nothing else, which their first bytes tell.
            content_at = start + _ALONE.get(raw[start : start + 4], _NEVER)
            if content_at <= end:
                provenance, more, content = raw[start + 4 : content_at], b"", raw[content_at:end]
                status = _UNSPECIFIED
            else:
                parts = _split(raw, start, end)
                if parts is None:
                    return Reading.without_statements(_refused(answer, "provenance"))
                provenance, more, content = parts
                status = record.envelope.status
                if status not in _STATUSES:  # of a newer schema: as one that nobody here can read
                    status = envelope_pb2.RECORD_STATUS_UNMAPPED
            provenance = complete(provenance, digest, status)
            found.append(Statement(platform, record, key, digest, content, as_of, provenance, more, status))
        return Reading(answer, by_field, stated, default_as_of, order)


class _Kind(NamedTuple):
    """What reading a record of one type takes: its field of `Records`, its category, and what makes its key."""

    name: str
    category: int
    key_of: Callable[[Any], Key | None]


def _split(raw: bytes, start: int, end: int) -> tuple[bytes, bytes, bytes] | None:
    """Parts the deterministic bytes of a record into its provenance, what else its envelope holds, and the rest.

    Field 1 of a record is the envelope and field 1 of that are the provenances, so both stand first. Gives None when there
    is not exactly one provenance.
    """
    if start == end or raw[start] != _FIRST_FIELD:
        return None
    start, envelope_end = take_delimited(raw, start)
    if start == envelope_end or raw[start] != _FIRST_FIELD:
        return None
    start, after = take_delimited(raw, start)
    if after < envelope_end and raw[after] == _FIRST_FIELD:
        return None
    return raw[start:after], raw[after:envelope_end], raw[envelope_end:end]


_FIRST_FIELD: Final = 0x0A  # the tag of a length-delimited field of number 1
_ALONE: Final = {bytes((_FIRST_FIELD, 2 + size, _FIRST_FIELD, size)): 4 + size for size in range(126)}
"""Size of an envelope that is one short provenance, its head included, by the first bytes of its record."""
_NEVER: Final = 1 << 62


def _refused(answer: Answer, reason: str) -> Answer:
    refused = failed_answer(
        answer.platform,
        OUTCOME_BAD_ANSWER,
        reason,
        [category.category for category in answer.said.categories],
        raw_digest=answer.said.raw_digest,
    )
    return answer._replace(said=refused.said)


def group_by_key(state: Sequence[Statement]) -> dict[Key, list[Statement]]:
    """Groups statements of one type by key, dropping exact repetitions by one platform."""
    groups: dict[Key, list[Statement]] = {}
    known: dict[Key, set[tuple[bytes, str, tuple[int, int]]]] = {}
    for statement in state:
        group = groups.get(statement.key)
        if group is None:
            groups[statement.key] = [statement]
            continue
        if len(group) >= _MANY:
            if (whole := known.get(statement.key)) is None:
                whole = known[statement.key] = set(map(_WHOLE, group))
            if (this := _WHOLE(statement)) not in whole:
                whole.add(this)
                group.append(statement)
            continue
        for same in group:
            if (
                same.digest == statement.digest
                and same.platform.id == statement.platform.id
                and same.as_of == statement.as_of
            ):
                break
        else:
            group.append(statement)
    return groups


_WHOLE: Final[Callable[[Statement], tuple[bytes, str, tuple[int, int]]]] = attrgetter("digest", "platform.id", "as_of")
_MANY: Final = 16
"""From so many statements of one key on a set tells repetitions: a platform may send thousands, all with one key."""
