"""Which statement's values a record shows, and where platforms disagree.

The total order of statements of one record is: rank by the type's authority rule, then tier, newest as-of, platform id,
digest. Fields of one resolve group come from one statement: the first that states any of them. Absent is not a differing
value. A conflict keeps every value and names the rule that chose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.message import Message

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, value_pb2
from gateway.domain.catalogue import Catalogue, FieldPlan, RecordPlan, comparable
from gateway.domain.platform import Platform
from gateway.domain.statement import AuthorityIds, Statement

Rank = tuple[int, int, int, int, str, bytes]

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
    """One resolve group: its fields, their names, and those whose difference is a conflict."""

    fields: tuple[FieldPlan, ...]
    names: frozenset[str]
    comparable: tuple[FieldPlan, ...]


class _TypeChooser:
    """The compiled choice of one record type."""

    def __init__(self, plan: RecordPlan, authority_ids: AuthorityIds) -> None:
        self.plan = plan
        self.groups = tuple(
            _Group(group, frozenset(f.name for f in group), tuple(f for f in group if f.is_comparable))
            for group in plan.groups
        )
        self.comparable = frozenset(field.name for field in plan.fields if field.is_comparable)
        self.forms: Mapping[str, Callable[[Any], object]] = {
            field.name: comparable(field, authority_ids) for field in plan.fields
        }
        authorities = [field.name for field in plan.fields if field.is_authority]
        self.authority = authorities[0] if authorities else None
        self.has_list_code = any(field.name == "list_code" for field in plan.fields)


class Chooser:
    """Ranks statements and merges those of one key into one record; compiled once."""

    def __init__(self, catalogue: Catalogue, authority_ids: AuthorityIds) -> None:
        self._authority_ids = authority_ids
        self._types = {plan.records_field: _TypeChooser(plan, authority_ids) for plan in catalogue.plans}

    def speaks_first(self, plan: RecordPlan, statement: Statement, home: str | None) -> bool:
        """Whether the type's authority rule ranks this statement's platform first."""
        rule = plan.options.authority_rule
        province = statement.platform.province
        if rule == options_pb2.AUTHORITY_RULE_HOME_PROVINCE:
            return province is not None and province == home
        if rule == options_pb2.AUTHORITY_RULE_NONE:
            return False
        kind = self._types[plan.records_field]
        if kind.has_list_code and statement.record.list_code in statement.platform.lists_kept:
            return True
        if province is None or kind.authority is None:
            return False
        return self._authority_ids.province(getattr(statement.record, kind.authority)) == province

    def rank(self, plan: RecordPlan, statement: Statement, home: str | None) -> Rank:
        """Gives the statement's place in the total order; the smallest ranks first."""
        platform: Platform = statement.platform
        seconds, nanos = statement.as_of
        return (
            0 if self.speaks_first(plan, statement, home) else 1,
            platform.tier,
            -seconds,
            -nanos,
            platform.id,
            statement.digest,
        )

    def ranked(
        self, plan: RecordPlan, group: Sequence[Statement], home: str | None
    ) -> tuple[list[Statement], list[Rank]]:
        """Gives the statements of one record in the total order, with their ranks."""
        pairs = sorted(((self.rank(plan, s, home), s) for s in group), key=lambda pair: pair[0])
        return [s for _, s in pairs], [rank for rank, _ in pairs]

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
        content = ranked[0].content
        if all(s.content == content for s in ranked):
            _count_full_agreement(kind, ranked, agreement)
            return
        stated = [{descriptor.name: value for descriptor, value in s.record.ListFields()} for s in ranked]
        top = stated[0]
        for group in kind.groups:
            names = group.names
            if names.isdisjoint(top):
                chosen = next((i for i, fields in enumerate(stated) if not names.isdisjoint(fields)), None)
                if chosen is None:
                    continue
                for field in group.fields:
                    if field.name in stated[chosen]:
                        _copy(field, stated[chosen][field.name], record)
            else:
                chosen = 0
            for field in group.comparable:
                name = field.name
                stating = [i for i, fields in enumerate(stated) if name in fields]
                if len(stating) > 1:
                    self._compare(kind, field, record, ranked, ranks, stated, stating, chosen, agreement)

    def _compare(
        self,
        kind: _TypeChooser,
        field: FieldPlan,
        record: Any,
        ranked: Sequence[Statement],
        ranks: Sequence[Rank],
        stated: Sequence[Mapping[str, Any]],
        stating: Sequence[int],
        chosen: int,
        agreement: Mapping[str, Agreement],
    ) -> None:
        """Counts agreement on a field that at least two statements state, and notes a conflict where they differ."""
        name = field.name
        shown = stated[chosen].get(name)
        form = kind.forms[name]
        shown_form = form(shown) if shown is not None else None
        rival = None
        differs = [False] * len(stated)
        for i in stating:
            value = stated[i][name]
            # Equal as written is equal; only what differs needs its comparable form.
            if i != chosen and (shown is None or (value != shown and form(value) != shown_form)):
                differs[i] = True
                rival = i if rival is None else rival
        first = ranked[stating[0]].platform.id
        if any(ranked[i].platform.id != first for i in stating):
            for i in stating:
                count = agreement[ranked[i].platform.id]
                count.comparable += 1
                count.equal += not differs[i]
        if rival is None:
            return
        conflict = record.envelope.conflicts.add(
            field=name,
            rule=_rule(kind.plan, ranks[chosen], ranks[rival]),
            chosen_platform=ranked[chosen].platform.id,
        )
        for i in sorted(stating, key=lambda i: (i != chosen, i)):
            value = conflict.values.add(platform=ranked[i].platform.id, value=field_value(field, stated[i][name]))
            seconds, nanos = ranked[i].as_of
            if seconds:
                value.as_of.seconds = seconds
                value.as_of.nanos = nanos


def _count_full_agreement(kind: _TypeChooser, ranked: Sequence[Statement], agreement: Mapping[str, Agreement]) -> None:
    """Counts copies that say the same to the byte: every comparable field agrees, and nothing need be compared."""
    first = ranked[0].platform.id
    if all(s.platform.id == first for s in ranked):
        return
    fields = sum(descriptor.name in kind.comparable for descriptor, _ in ranked[0].record.ListFields())
    for statement in ranked:
        count = agreement[statement.platform.id]
        count.comparable += fields
        count.equal += fields


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


def field_value(field: FieldPlan, value: Any) -> envelope_pb2.FieldValue:
    """Gives a field's value in the form a conflict shows; enum values by name, lists joined by commas."""
    if field.is_repeated:
        names = field.enum_names
        parts = sorted(names.get(v, str(v)) if names else str(v) for v in value)
        return envelope_pb2.FieldValue(text=",".join(parts))
    if field.is_authority:
        return envelope_pb2.FieldValue(text=value.name or value.code)
    if isinstance(value, value_pb2.Money):
        return envelope_pb2.FieldValue(money=value)
    if field.is_message:
        return envelope_pb2.FieldValue(date=value)
    if field.enum_names is not None:
        return envelope_pb2.FieldValue(text=field.enum_names.get(value, str(value)))
    if isinstance(value, bool):
        return envelope_pb2.FieldValue(flag=value)
    if isinstance(value, int):
        return envelope_pb2.FieldValue(number=value)
    return envelope_pb2.FieldValue(text=value)
