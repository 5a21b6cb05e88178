"""Which statement's values a record shows, and where platforms disagree.

The total order of statements of one record is: rank by the type's authority rule, then tier, newest as-of, platform id,
digest. Fields of one resolve group come from one statement: the first that states any of them. Absent is not a differing
value. A conflict keeps every value and names the rule that chose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, value_pb2
from gateway.domain.catalogue import Catalogue, FieldPlan, RecordPlan, comparable
from gateway.domain.platform import Platform
from gateway.domain.statement import AuthorityIds, Statement
from gateway.domain.wire import delimited, encoder, split_fields, varint

Rank = tuple[int, int, int, int, str, bytes]
_RANK: Final = itemgetter(0)

_ON_VALUE: Final = {name: encoder(f) for name, f in envelope_pb2.FieldValue.DESCRIPTOR.fields_by_name.items()}
_CONFLICT: Final = delimited(envelope_pb2.RecordEnvelope.DESCRIPTOR.fields_by_name["conflicts"])
_VALUE_OF: Final = delimited(envelope_pb2.Conflict.DESCRIPTOR.fields_by_name["values"])
_PLATFORM: Final = encoder(envelope_pb2.ConflictingValue.DESCRIPTOR.fields_by_name["platform"])
_VALUE: Final = delimited(envelope_pb2.ConflictingValue.DESCRIPTOR.fields_by_name["value"])

_DECIDED_BY = (
    None,  # the authority rule, named by the plan
    envelope_pb2.CHOICE_RULE_TIER,
    envelope_pb2.CHOICE_RULE_NEWEST,
    envelope_pb2.CHOICE_RULE_NEWEST,
    envelope_pb2.CHOICE_RULE_STABLE_ORDER,
    envelope_pb2.CHOICE_RULE_STABLE_ORDER,
)
_AUTHORITY_RULES = {
    options_pb2.AUTHORITY_RULE_HOME_PROVINCE: envelope_pb2.CHOICE_RULE_HOME_PROVINCE,
    options_pb2.AUTHORITY_RULE_RECOGNISER_PROVINCE: envelope_pb2.CHOICE_RULE_RECOGNISER_PROVINCE,
    options_pb2.AUTHORITY_RULE_LISTER: envelope_pb2.CHOICE_RULE_LISTER,
    options_pb2.AUTHORITY_RULE_NONE: envelope_pb2.CHOICE_RULE_TIER,
}


@dataclass(slots=True)
class Agreement:
    """How many of a platform's comparable fields equal what is shown."""

    comparable: int = 0
    equal: int = 0


class United(NamedTuple):
    """What the statements of one record say together: its content and the conflicts of its envelope, on the wire."""

    content: bytes
    conflicts: bytes
    conflict_count: int


class _TypeChooser:
    """The compiled choice of one record type."""

    def __init__(self, plan: RecordPlan, authority_ids: AuthorityIds) -> None:
        self.groups = tuple((group, frozenset(field.number for field in group)) for group in plan.groups)
        by_name = plan.message.DESCRIPTOR.fields_by_name
        self.shown = {field.name: _shown(field, by_name[field.name]) for field in plan.fields}
        self.exact = frozenset(field.name for field in plan.fields if _is_exact(field))
        self.forms: Mapping[str, Callable[[Any], object]] = {
            field.name: comparable(field, authority_ids) for field in plan.fields
        }
        authorities = [field.name for field in plan.fields if field.is_authority]
        self.authority = authorities[0] if authorities else None
        self.has_list_code = any(field.name == "list_code" for field in plan.fields)
        self.rule = plan.options.authority_rule
        self.incomparable = tuple(field for field in plan.fields if not field.is_comparable)


class _Tally:
    """Counts, for the statements of one record, how many of their fields were compared and how many equal what is shown."""

    __slots__ = ("_compared", "_equal", "_platform_count", "_platforms", "all_equal")

    def __init__(self, ranked: Sequence[Statement]) -> None:
        self._platforms = [statement.platform.id for statement in ranked]
        self._platform_count = len(set(self._platforms))
        self.all_equal = 0
        self._compared, self._equal = [0] * len(ranked), [0] * len(ranked)

    def compare(
        self, differ: Callable[[int, int], bool] | None, said: Sequence[tuple[int, bytes]], chosen: int
    ) -> int | None:
        """Counts one field and gives the first statement that differs from what is shown, if any.

        `said` are the statements that state the field, at least two, by rank; nothing is counted where one platform alone
        states it. Equal as written is equal; what is written in another way differs, unless `differ` says it does not.
        """
        is_shown = said[0][0] == chosen  # else the group's chosen statement leaves this field out
        is_counted = self._platform_count == len(self._platforms) or len({self._platforms[i] for i, _ in said}) > 1
        shown = said[0][1]
        rival = None
        for i, written in said:
            is_equal = is_shown and (written == shown or (differ is not None and not differ(i, chosen)))
            if not is_equal and rival is None:
                rival = i
            if is_counted:
                self._compared[i] += 1
                self._equal[i] += is_equal
        return rival

    def add_to(self, agreement: Mapping[str, Agreement]) -> None:
        """Adds the counts to those of the platforms."""
        alike = self.all_equal if self._platform_count > 1 else 0
        for platform, compared, equal in zip(self._platforms, self._compared, self._equal, strict=True):
            if compared or alike:
                count = agreement[platform]
                count.comparable += compared + alike
                count.equal += equal + alike


class Chooser:
    """Ranks statements and merges those of one key into one record; compiled once."""

    def __init__(self, catalogue: Catalogue, authority_ids: AuthorityIds) -> None:
        self.authority_ids = authority_ids
        self._types = {plan.records_field: _TypeChooser(plan, authority_ids) for plan in catalogue.plans}

    def ranked(
        self, plan: RecordPlan, group: Sequence[Statement], home: str | None, *, are_alike: bool
    ) -> tuple[list[Statement], list[Rank]]:
        """Gives the statements of one record in the total order, with their ranks: the smallest first.

        `are_alike` says that all have the same content.
        """
        kind = self._types[plan.records_field]
        speaks_first = self._speaks_first(kind, group[0].record, home)
        pairs = []
        for statement in group:
            if not are_alike:
                speaks_first = self._speaks_first(kind, statement.record, home)
            platform = statement.platform
            seconds, nanos = statement.as_of
            is_first = speaks_first(platform)
            rank = (0 if is_first else 1, platform.tier, -seconds, -nanos, platform.id, statement.digest)
            pairs.append((rank, statement))
        pairs.sort(key=_RANK)
        return [s for _, s in pairs], [rank for rank, _ in pairs]

    def _speaks_first(self, kind: _TypeChooser, record: Any, home: str | None) -> Callable[[Platform], bool]:
        """Gives whether the type's authority rule ranks a platform first that states this record."""
        rule = kind.rule
        if rule == options_pb2.AUTHORITY_RULE_NONE:
            return lambda platform: False
        if rule == options_pb2.AUTHORITY_RULE_HOME_PROVINCE:
            province = home
        else:
            authority = kind.authority
            province = self.authority_ids.province(getattr(record, authority)) if authority is not None else None
        if not kind.has_list_code:
            return lambda platform: platform.province == province is not None
        code = record.list_code
        return lambda platform: code in platform.lists_kept or platform.province == province is not None

    def count_alike(self, plan: RecordPlan, alike: Sequence[Statement], agreement: Mapping[str, Agreement]) -> None:
        """Counts copies that say the same to the byte: every comparable field agrees, and nothing need be compared."""
        first = alike[0].platform
        if all(s.platform is first for s in alike):
            return
        record = alike[0].record
        fields = len(record.ListFields()) - 1  # less the envelope
        for field in self._types[plan.records_field].incomparable:
            fields -= field.is_set(record)
        for statement in alike:
            count = agreement[statement.platform.id]
            count.comparable += fields
            count.equal += fields

    def unite(
        self,
        plan: RecordPlan,
        ranked: Sequence[Statement],
        ranks: Sequence[Rank],
        agreement: Mapping[str, Agreement],
    ) -> United:
        """Gives the first-ranked statement's content filled from the others, and where they contradict each other.

        `agreement` is counted up for every field that at least two platforms state.
        """
        kind = self._types[plan.records_field]
        stated = [split_fields(statement.content) for statement in ranked]
        united = dict(stated[0])
        conflicts: list[bytes] = []
        count = len(stated)
        tally = _Tally(ranked)
        for group, numbers in kind.groups:
            if len(group) == 1:  # most fields: all state it, and alike, or nobody does
                field = group[0]
                number = field.number
                written = [fields.get(number) for fields in stated]
                if written.count(written[0]) == count:
                    tally.all_equal += written[0] is not None and field.is_comparable
                    continue
            chosen = next((i for i, fields in enumerate(stated) if not numbers.isdisjoint(fields)), None)
            if chosen is None:
                continue
            for field in group:
                number = field.number
                said = [(i, fields[number]) for i, fields in enumerate(stated) if number in fields]
                if not said:
                    continue
                if said[0][0] == chosen:
                    united[number] = said[0][1]
                if len(said) > 1 and field.is_comparable:
                    name = field.name
                    differ = None if name in kind.exact else _differing(kind.forms[name], name, ranked)
                    rival = tally.compare(differ, said, chosen)
                    if rival is not None:
                        heading = _heading(name, _rule(plan, ranks[chosen], ranks[rival]), ranked[chosen].platform.id)
                        conflicts.append(_conflict(heading, kind.shown[name], ranked, said))
        tally.add_to(agreement)
        content = b"".join([united[number] for number in sorted(united)])
        return United(content, b"".join(conflicts), len(conflicts))


def _differing(form: Callable[[Any], object], name: str, ranked: Sequence[Statement]) -> Callable[[int, int], bool]:
    """Gives whether two of the statements mean different things in a field that they write differently."""

    def differ(one: int, other: int) -> bool:
        return form(getattr(ranked[one].record, name)) != form(getattr(ranked[other].record, name))

    return differ


@lru_cache(maxsize=4096)
def _heading(name: str, rule: envelope_pb2.ChoiceRule.ValueType, chosen_platform: str) -> bytes:
    """Gives a conflict on the wire up to its values."""
    conflict = envelope_pb2.Conflict(field=name, rule=rule, chosen_platform=chosen_platform)
    return conflict.SerializeToString(deterministic=True)


def _conflict(heading: bytes, shown: _Shown, ranked: Sequence[Statement], said: Sequence[tuple[int, bytes]]) -> bytes:
    """Gives one field's conflict on the wire; `said` are the places of the statements that state it, and what they wrote."""
    values = [
        _VALUE_OF(_platform(ranked[i].platform.id) + _VALUE(shown(ranked[i].record, written))) for i, written in said
    ]
    return _CONFLICT(heading + b"".join(values))


@lru_cache(maxsize=1024)
def _platform(platform_id: str) -> bytes:
    return _PLATFORM(platform_id)


def _rule(plan: RecordPlan, chosen: Rank, rival: Rank) -> envelope_pb2.ChoiceRule.ValueType:
    place = next(i for i, (a, b) in enumerate(zip(chosen, rival, strict=True)) if a != b)
    return _DECIDED_BY[place] or _AUTHORITY_RULES[plan.options.authority_rule]


_SHOWN_AS: Final[Mapping[Any, str]] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: "flag",
    value_pb2.Money.DESCRIPTOR.name: "money",
    Date.DESCRIPTOR.name: "date",
}
_EMPTY: Final[Mapping[str, Any]] = {"text": "", "number": 0, "flag": False, "money": value_pb2.Money(), "date": Date()}
_Shown = Callable[[Any, bytes], bytes]
"""Gives how a conflict shows a field, as a `FieldValue` on the wire, from the record and the field's bytes in it."""


def _is_exact(field: FieldPlan) -> bool:
    """Whether whatever is written differently in this field means something else."""
    return not (field.is_repeated or field.is_authority or field.options.key_form)


def _shown(field: FieldPlan, descriptor: FieldDescriptor) -> _Shown:
    """Gives how a conflict shows this field; enum values by name, lists joined by commas."""
    name, names, text = field.name, field.enum_names, _ON_VALUE["text"]
    if field.is_repeated:

        def listed(record: Any, written: bytes) -> bytes:
            values = getattr(record, name)
            return text(",".join(sorted(names.get(v, str(v)) if names else str(v) for v in values)))

        return listed
    if field.is_authority:

        def authority(record: Any, written: bytes) -> bytes:
            stated = getattr(record, name)
            return text(stated.name or stated.code)

        return authority
    if names is not None:
        return lambda record, written: text(names.get(getattr(record, name), str(getattr(record, name))))
    # A text, number, claim, amount or date is written alike in both: all but the tag can stay.
    kind = descriptor.message_type.name if descriptor.message_type is not None else descriptor.type
    shown_as = _SHOWN_AS.get(kind, "number")
    tag, own_tag_size = _ON_VALUE[shown_as](_EMPTY[shown_as])[:1], len(varint(field.number << 3))
    return lambda record, written: tag + written[own_tag_size:]
