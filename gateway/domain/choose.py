"""Which statement's values a record shows, and where platforms disagree.

The total order of statements of one record is: rank by the type's authority rule, then tier, newest as-of, platform id; of
one platform's own, the record's newest day (决定, 评定, 核准), then digest. Fields of one resolve group come from one
statement: the first that states any of them. Absent is not a differing value. A conflict keeps every value and names the rule
that chose.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2
from gateway.domain.catalogue import Catalogue, FieldPlan, RecordPlan, comparable
from gateway.domain.conflict import conflict_of, heading_of, platform_of, shown_as_value
from gateway.domain.publication import event_day
from gateway.domain.standing import REMOVAL, still_listing
from gateway.domain.statement import AuthorityIds, Reading, Statement
from gateway.domain.wire import split_fields

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


class _TypeChooser:
    """The compiled choice of one record type."""

    def __init__(self, plan: RecordPlan, authority_ids: AuthorityIds) -> None:
        self.groups = tuple((group, frozenset(field.number for field in group)) for group in plan.groups)
        self.group_of = {field.number: place for place, group in enumerate(plan.groups) for field in group}
        self.numbers = frozenset(self.group_of)
        by_name = plan.message.DESCRIPTOR.fields_by_name
        self.shown = {field.name: shown_as_value(field, by_name[field.name]) for field in plan.fields}
        self.exact = frozenset(field.name for field in plan.fields if _is_exact(field))
        self.forms: Mapping[str, Callable[[Any], object]] = {
            field.name: comparable(field, authority_ids) for field in plan.fields
        }
        authorities = [field.name for field in plan.fields if field.is_authority]
        self.authority = authorities[0] if authorities else None
        self.has_list_code = any(field.name == "list_code" for field in plan.fields)
        self.rule = plan.options.authority_rule
        in_key = [field.name for field in plan.key_always]
        self.authority_in_key: int | None = None
        """Where the authority's canonical id stands in a record's key, None where it does not: behind strength and number."""
        if self.authority in in_key:
            self.authority_in_key = in_key.index(self.authority) + (2 if plan.key_document is not None else 1)
        self.comparable = frozenset(field.number for field in plan.fields if field.is_comparable)
        removals = [field.number for field in plan.fields if field.name == REMOVAL and plan.is_adverse]
        self.removal = removals[0] if removals else 0  # the number of no field
        """The day of removal: only its recogniser ends an entry, so that copies fill it in for nobody who still lists it."""


class Counted:
    """Counts, for the statements of one record, how many of their fields were compared and how many equal what is shown.

    `stated` are their fields by number.
    """

    __slots__ = ("_compared", "_is_one_each", "_platforms", "_stated", "_unequal", "all_equal")

    def __init__(self, ranked: Sequence[Statement], stated: Sequence[Mapping[int, bytes]]) -> None:
        self._platforms = [statement.platform.id for statement in ranked]
        self._is_one_each = len(set(self._platforms)) == len(ranked)
        self._stated = stated
        self.all_equal = 0
        """Of the fields that all state alike: nothing need be compared of those."""
        self._compared: set[int] = set()
        self._unequal = [0] * len(ranked)

    def compare(
        self, number: int, differ: Callable[[int, int], bool] | None, said: Sequence[tuple[int, bytes]], chosen: int
    ) -> int | None:
        """Counts one field and gives the first statement that differs from what is shown, if any.

        `said` are the statements that state the field, at least two, by rank; nothing is counted where one platform alone
        states it. Equal as written is equal; what is written in another way differs, unless `differ` says it does not.
        """
        first, shown = said[0]
        if first == chosen:
            unlike = [i for i, written in said if written != shown]
            if differ is not None:
                unlike = [i for i in unlike if differ(i, chosen)]
        else:  # the group's chosen statement leaves this field out
            unlike = [i for i, _ in said]
        if self._is_one_each or len({self._platforms[i] for i, _ in said}) > 1:
            self._compared.add(number)
            for i in unlike:
                self._unequal[i] += 1
        return unlike[0] if unlike else None

    def add_to(self, agreement: Mapping[str, Agreement]) -> None:
        """Adds the counts to those of the platforms."""
        alike = self.all_equal if self._is_one_each or len(set(self._platforms)) > 1 else 0
        compared = self._compared
        for platform, stated, unequal in zip(self._platforms, self._stated, self._unequal, strict=True):
            comparable = alike + len(compared.intersection(stated))
            if comparable:
                count = agreement[platform]
                count.comparable += comparable
                count.equal += comparable - unequal


United = tuple[bytes, bytes, int, Counted]
"""What the statements of one record say together: its content and the conflicts of its envelope, on the wire.

Then how many conflicts these are, and what was compared.
"""


def in_order_of_platforms(readings: Sequence[Reading], permitted: Container[str]) -> Mapping[str, Sequence[Statement]]:
    """Gives the statements of all readings by permitted type, in the total order but for two parts.

    The authority rule is a record's matter; the digest tells only one platform's own copies apart.
    """
    speaking = [reading for reading in readings if reading.statements]
    orders = {reading.order for reading in speaking}
    is_for_all = None not in orders and len(orders) == len(speaking)  # mostly: then it is the same for every type
    if is_for_all and len(speaking) > 1:
        speaking.sort(key=_ORDER_OF_READING)
    sets: dict[str, list[Sequence[Statement]]] = {}
    for reading in speaking:
        for name, statements in reading.statements.items():
            if statements and name in permitted:
                of_type = sets.get(name)
                if of_type is None:
                    sets[name] = [statements]
                else:
                    of_type.append(statements)
    if not is_for_all:
        for of_type in sets.values():
            of_type.sort(key=_order_of_first)
    return {
        name: of_type[0] if len(of_type) == 1 else list(chain.from_iterable(of_type)) for name, of_type in sets.items()
    }


_ORDER_OF_READING: Final = attrgetter("order")


def _order_of_first(said: Sequence[Statement]) -> tuple[int, int, int, str, bytes]:
    return _order(said[0])


def _order(statement: Statement) -> tuple[int, int, int, str, bytes]:
    platform = statement.platform
    seconds, nanos = statement.as_of
    return (platform.tier, -seconds, -nanos, platform.id, statement.digest)


def _order_within(plan: RecordPlan, statement: Statement) -> tuple[Any, ...]:
    """Gives the order of statements among which one platform has several."""
    *order, digest = _order(statement)
    newest = [-part for part in event_day([getattr(statement.record, field.name) for field in plan.event])]
    return (*order, *newest, digest)


class Chooser:
    """Ranks statements and merges those of one key into one record; compiled once."""

    def __init__(self, catalogue: Catalogue, authority_ids: AuthorityIds) -> None:
        self.authority_ids = authority_ids
        self._types = {plan.records_field: _TypeChooser(plan, authority_ids) for plan in catalogue.plans}

    def ranked(
        self, plan: RecordPlan, group: Sequence[Statement], home: str | None, *, are_alike: bool
    ) -> tuple[Sequence[Statement], int]:
        """Gives the statements of one record in the total order, and how many of them the authority rule ranks first.

        They come in the order of `in_order_of_platforms`. `are_alike` says that all have the same content.
        """
        kind = self._types[plan.records_field]
        firsts: list[Statement] = []
        others: list[Statement] = []
        is_told = is_repeated = False
        province = code = None
        previous = None
        for statement in group:
            if not is_told:
                province, code, is_told = self._recogniser(kind, statement, home)
                is_told = is_told or are_alike
            platform = statement.platform
            is_repeated = is_repeated or platform is previous
            previous = platform
            if (province is not None and platform.province == province) or code in platform.lists_kept:
                firsts.append(statement)
            else:
                others.append(statement)
        if is_repeated:  # one platform's own copies: a history, of which the newest counts
            order = partial(_order_within, plan)
            firsts.sort(key=order)
            others.sort(key=order)
        return (firsts + others if firsts else others), len(firsts)

    def _recogniser(
        self, kind: _TypeChooser, statement: Statement, home: str | None
    ) -> tuple[str | None, str | None, bool]:
        """Gives the province whose platforms, and the list whose keepers, the authority rule ranks first for this record.

        Then whether that holds for every statement of the same key.
        """
        rule = kind.rule
        if rule == options_pb2.AUTHORITY_RULE_NONE:
            return None, None, True
        if rule == options_pb2.AUTHORITY_RULE_HOME_PROVINCE:
            province, is_told = home, True
        elif kind.authority_in_key is not None:
            province, is_told = self.authority_ids.province_of(statement.key[kind.authority_in_key]), True
        else:
            authority = kind.authority
            stated = getattr(statement.record, authority) if authority is not None else None
            province, is_told = self.authority_ids.province(stated) if stated is not None else None, authority is None
        return (province, statement.record.list_code, False) if kind.has_list_code else (province, None, is_told)

    def count_alike(self, plan: RecordPlan, alike: Sequence[Statement]) -> int:
        """Gives how many comparable fields copies state that say the same to the byte: all agree; 0 for one platform's."""
        first = alike[0].platform
        for statement in alike:
            if statement.platform is not first:
                stated = split_fields(statement.content)
                return len(self._types[plan.records_field].comparable.intersection(stated))
        return 0

    def unite(self, plan: RecordPlan, ranked: Sequence[Statement], first_count: int) -> United:
        """Gives the first-ranked statement's content filled from the others, and where they contradict each other.

        The authority rule ranks `first_count` of them first. Every field that at least two platforms state is counted.
        """
        kind = self._types[plan.records_field]
        parted: dict[bytes, Mapping[int, bytes]] = {}
        stated: list[Mapping[int, bytes]] = []
        for statement in ranked:  # mostly some are copies of each other
            content = statement.content
            fields = parted.get(content)
            if fields is None:
                fields = parted[content] = split_fields(content, *stated[:1])
            stated.append(fields)
        united = dict(stated[0])
        platforms = [platform_of(statement.platform.id) for statement in ranked]
        conflicts: list[bytes] = []
        counted = Counted(ranked, stated)
        differing = self._unlike(kind, stated, counted)
        for place in sorted({kind.group_of[number] for number in differing}):
            group, numbers = kind.groups[place]
            removal = kind.removal
            if removal in numbers and (keeper := still_listing(ranked, first_count)) is not None:
                for number in numbers:
                    united.pop(number, None)
                said = [(i, fields[removal]) for i, fields in enumerate(stated) if removal in fields]
                if said:
                    heading = heading_of(REMOVAL, _AUTHORITY_RULES[plan.options.authority_rule], keeper.platform.id)
                    conflicts.append(conflict_of(heading, kind.shown[REMOVAL], ranked, platforms, said))
                continue
            together = None
            if len(group) > 1:
                together = next(i for i, fields in enumerate(stated) if not numbers.isdisjoint(fields))
            for field in group:
                number = field.number
                if number not in differing:
                    continue
                said = [(i, fields[number]) for i, fields in enumerate(stated) if number in fields]
                first, written = said[0]
                chosen = together if together is not None else first
                if first == chosen:
                    united[number] = written
                if len(said) > 1 and field.is_comparable:
                    name = field.name
                    differ = None if name in kind.exact else _differing(kind.forms[name], name, ranked)
                    rival = counted.compare(number, differ, said, chosen)
                    if rival is not None:
                        rule = _rule(plan, ranked, first_count, chosen, rival)
                        heading = heading_of(name, rule, ranked[chosen].platform.id)
                        conflicts.append(conflict_of(heading, kind.shown[name], ranked, platforms, said))
        content = b"".join([united[number] for number in sorted(united)])
        return content, b"".join(conflicts), len(conflicts), counted

    def _unlike(self, kind: _TypeChooser, stated: Sequence[Mapping[int, bytes]], counted: Counted) -> set[int]:
        """Gives the fields that not all state alike, and counts those that all do: most."""
        first = stated[0]
        differing: set[int] = set()
        for fields in stated[1:]:
            if fields is not first:
                differing.update(dict(first.items() ^ fields.items()))
        counted.all_equal = len(kind.comparable.intersection(first) - differing)
        return differing & kind.numbers


def _differing(form: Callable[[Any], object], name: str, ranked: Sequence[Statement]) -> Callable[[int, int], bool]:
    """Gives whether two of the statements mean different things in a field that they write differently."""

    def differ(one: int, other: int) -> bool:
        return form(getattr(ranked[one].record, name)) != form(getattr(ranked[other].record, name))

    return differ


def _rule(
    plan: RecordPlan, ranked: Sequence[Statement], first_count: int, chosen: int, rival: int
) -> envelope_pb2.ChoiceRule.ValueType:
    """Gives the rule by which the chosen statement stands before its rival: the first part of the order that tells them."""
    if (chosen < first_count) != (rival < first_count):
        return _AUTHORITY_RULES[plan.options.authority_rule]
    one, other = ranked[chosen], ranked[rival]
    if one.platform.tier != other.platform.tier:
        return envelope_pb2.CHOICE_RULE_TIER
    return envelope_pb2.CHOICE_RULE_STABLE_ORDER if one.as_of == other.as_of else envelope_pb2.CHOICE_RULE_NEWEST


def _is_exact(field: FieldPlan) -> bool:
    """Whether whatever is written differently in this field means something else."""
    return not (field.is_repeated or field.is_authority or field.options.key_form)
