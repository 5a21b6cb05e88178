"""Which statement's values a record shows, and where platforms disagree.

The total order of statements of one record is: rank by the type's authority rule, then tier, newest as-of, platform id,
digest. Fields of one resolve group come from one statement: the first that states any of them. Absent is not a differing
value. A conflict keeps every value and names the rule that chose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, value_pb2
from gateway.domain.catalogue import Catalogue, FieldPlan, RecordPlan, comparable
from gateway.domain.platform import Platform
from gateway.domain.statement import AuthorityIds, Statement

Rank = tuple[int, int, int, int, str, bytes]
_RANK: Final = itemgetter(0)

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


class _Group(NamedTuple):
    """One resolve group: its fields, each under the descriptor by which a record lists it."""

    fields: tuple[tuple[FieldDescriptor, FieldPlan], ...]
    descriptors: frozenset[FieldDescriptor]


class _TypeChooser:
    """The compiled choice of one record type."""

    def __init__(self, plan: RecordPlan, authority_ids: AuthorityIds) -> None:
        self.plan = plan
        by_name = plan.message.DESCRIPTOR.fields_by_name
        pairs = [tuple((by_name[field.name], field) for field in group) for group in plan.groups]
        self.groups = tuple(_Group(group, frozenset(descriptor for descriptor, _ in group)) for group in pairs)
        self.fillers = {field.name: _filler(field) for field in plan.fields}
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

    def compare(self, form: Callable[[Any], object], said: Sequence[tuple[int, Any]], chosen: int) -> int | None:
        """Counts one field and gives the first statement that differs from what is shown, if any.

        `said` are the statements that state the field, at least two, by rank; nothing is counted where one platform alone
        states it. Equal as written is equal; only what differs needs its comparable form.
        """
        is_shown = said[0][0] == chosen  # else the group's chosen statement leaves this field out
        is_counted = self._platform_count == len(self._platforms) or len({self._platforms[i] for i, _ in said}) > 1
        shown = said[0][1]
        shown_form = None
        rival = None
        for i, value in said:
            is_equal = is_shown and (i == chosen or value == shown)
            if not is_equal and is_shown:
                if shown_form is None:
                    shown_form = form(shown)
                is_equal = form(value) == shown_form
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
        self._authority_ids = authority_ids
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
            province = self._authority_ids.province(getattr(record, authority)) if authority is not None else None
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
        record: Any,
        ranked: Sequence[Statement],
        ranks: Sequence[Rank],
        agreement: Mapping[str, Agreement],
    ) -> None:
        """Fills `record`, a copy of the first-ranked statement's, from the others and notes conflicts on its envelope.

        `agreement` is counted up for every field that at least two platforms state.
        """
        kind = self._types[plan.records_field]
        stated = [dict(s.record.ListFields()) for s in ranked]
        count = len(stated)
        tally = _Tally(ranked)
        for group in kind.groups:
            if len(group.fields) == 1:  # most fields: all state it, and alike, or nobody does
                ((descriptor, field),) = group.fields
                values = [fields.get(descriptor) for fields in stated]
                shown = values[0]
                if values.count(shown) == count:
                    tally.all_equal += shown is not None and field.is_comparable
                    continue
            chosen = next((i for i, fields in enumerate(stated) if not group.descriptors.isdisjoint(fields)), None)
            if chosen is None:
                continue
            for descriptor, field in group.fields:
                said = [(i, fields[descriptor]) for i, fields in enumerate(stated) if descriptor in fields]
                if not said:
                    continue
                if chosen > 0 and said[0][0] == chosen:
                    _copy(field, said[0][1], record)
                if len(said) > 1 and field.is_comparable:
                    rival = tally.compare(kind.forms[field.name], said, chosen)
                    if rival is not None:
                        rule = _rule(plan, ranks[chosen], ranks[rival])
                        self._note(kind, field, record, ranked, rule, said, chosen)
        tally.add_to(agreement)

    def _note(
        self,
        kind: _TypeChooser,
        field: FieldPlan,
        record: Any,
        ranked: Sequence[Statement],
        rule: envelope_pb2.ChoiceRule.ValueType,
        said: Sequence[tuple[int, Any]],
        chosen: int,
    ) -> None:
        conflict = record.envelope.conflicts.add(
            field=field.name, rule=rule, chosen_platform=ranked[chosen].platform.id
        )
        fill = kind.fillers[field.name]
        values = conflict.values
        for i, stated in said:
            value = values.add()
            value.platform = ranked[i].platform.id
            fill(value.value, stated)


def _copy(field: FieldPlan, value: Any, record: Message) -> None:
    if field.is_repeated:
        getattr(record, field.name).extend(value)
    elif field.is_message:
        getattr(record, field.name).CopyFrom(value)
    else:
        setattr(record, field.name, value)


def _rule(plan: RecordPlan, chosen: Rank, rival: Rank) -> envelope_pb2.ChoiceRule.ValueType:
    place = next(i for i, (a, b) in enumerate(zip(chosen, rival, strict=True)) if a != b)
    return _DECIDED_BY[place] or _AUTHORITY_RULES[plan.options.authority_rule]


def _filler(field: FieldPlan) -> Callable[[envelope_pb2.FieldValue, Any], None]:
    """Gives what writes a value of this field as a conflict shows it; enum values by name, lists joined by commas."""
    names = field.enum_names

    def text_of_list(target: envelope_pb2.FieldValue, value: Any) -> None:
        target.text = ",".join(sorted(names.get(v, str(v)) if names else str(v) for v in value))

    def authority(target: envelope_pb2.FieldValue, value: Any) -> None:
        target.text = value.name or value.code

    def message(target: envelope_pb2.FieldValue, value: Any) -> None:
        if isinstance(value, value_pb2.Money):
            target.money.CopyFrom(value)
        else:
            target.date.CopyFrom(value)

    def scalar(target: envelope_pb2.FieldValue, value: Any) -> None:
        if names is not None:
            target.text = names.get(value, str(value))
        elif isinstance(value, bool):
            target.flag = value
        elif isinstance(value, int):
            target.number = value
        else:
            target.text = value

    if field.is_repeated:
        return text_of_list
    if field.is_authority:
        return authority
    return message if field.is_message else scalar
