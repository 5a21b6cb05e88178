"""Recognition (认定): would an enterprise be recognised as severely dishonest, by which province's criterion, on which facts.

The provinces' criteria differ (制度协同不够); here the difference is shown instead of hidden. Each criterion is a decision
table, named by province or city in `JointList.criteria`; its facts are those of the list's field, read once from the view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import Any, Final

import msgspec

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JOINT_FIELD_ENVIRONMENT
from gateway.domain.decision import TableResult
from gateway.domain.decision_table import DecisionTable, FactKind
from gateway.domain.green_reading import Evidence, GreenFacts, Missing
from gateway.domain.joint_list_tables import FIELD_NAMES
from gateway.domain.joint_lists import JointList


class Recognised(StrEnum):
    """Whether a criterion is met; UNDECIDED where it depends on what is not known."""

    YES = "YES"
    NO = "NO"
    UNDECIDED = "UNDECIDED"


class ByCriterion(msgspec.Struct, frozen=True):
    """What one province's criterion says: the row that holds, the facts it read, and those it lacks."""

    province: str
    table: str
    version: str
    digest: str
    recognised: Recognised
    row: str
    title_zh: str
    title_en: str
    because: tuple[tuple[str, str | int | bool], ...]
    undecided: tuple[str, ...]


class Recognition(msgspec.Struct, frozen=True):
    """What all criteria say; `differs` where those that decide do not agree."""

    by_criterion: tuple[ByCriterion, ...]
    differs: bool
    facts: dict[str, str | int | bool | None]
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]


def recognise(
    facts: GreenFacts,
    criteria: Sequence[tuple[str, str]],
    evaluate: Callable[[str, Mapping[str, Any]], TableResult],
    kinds: Mapping[str, FactKind],
) -> Recognition:
    """Gives what each criterion, as (province, table), says of the facts.

    A table that is not in force on the day leaves its criterion undecided. NO is said only where nothing is missing: an
    adverse record that was not heard might meet the criterion.
    """
    found = tuple([_by(province, table, facts, evaluate, kinds) for province, table in criteria])
    decided = {each.recognised for each in found if each.recognised is not Recognised.UNDECIDED}
    return Recognition(found, len(decided) > 1, facts.values, facts.evidence, facts.missing)


def _by(
    province: str,
    table: str,
    facts: GreenFacts,
    evaluate: Callable[[str, Mapping[str, Any]], TableResult],
    kinds: Mapping[str, FactKind],
) -> ByCriterion:
    try:
        result = evaluate(table, facts.values)
    except KeyError:
        return ByCriterion(
            province, table, "", "", Recognised.UNDECIDED, "", "该标准当日无有效版本",
            "no version of it is in force on that day", (), (),
        )  # fmt: skip
    lacking = tuple([name for name in _COMPLETE if facts.values.get(name) in _LACKING])
    unknown = result.missing
    if not result.fired:
        # Whatever the unknown facts are, the criterion may say the same.
        completed = [
            evaluate(table, {**facts.values, **dict(zip(unknown, values, strict=True))})
            for values in product(*(kinds[name].values for name in unknown))
        ]
        met = [each for each in completed if each.fired and each.outputs[0]["recognised"] == Recognised.YES]
        if len(met) < len(completed):
            met = []
        result = met[0] if met else result
    if not result.fired:
        return ByCriterion(
            province, table, result.version, result.digest, Recognised.UNDECIDED, "", "所需事实未知",
            "a fact it reads is not known", (), unknown,
        )  # fmt: skip
    rule, output = result.fired[0], result.outputs[0]
    said = Recognised(output["recognised"])
    is_uncertain = said is Recognised.NO and bool(lacking)
    return ByCriterion(
        province,
        table,
        result.version,
        result.digest,
        Recognised.UNDECIDED if is_uncertain else said,
        rule.rule_id,
        rule.title_zh,
        output["en"],
        tuple([(name, value) for name, value in rule.because if name not in unknown]),
        lacking if is_uncertain else (),
    )


_COMPLETE: Final = ("sources", "freshness", "clarity")
"""What must be in order before NO is said. List years are not: these criteria recognise by conduct, not by earlier lists."""
_LACKING: Final = ("MISSING", "STALE", "UNCLEAR")


def criteria_faults(
    lists: Mapping[str, JointList], files: Mapping[str, str], tables: Iterable[DecisionTable]
) -> list[str]:
    """Gives which criteria of lists cannot be run, as "file: key: what is wrong"; `files` are by code."""
    by_id: dict[str, list[DecisionTable]] = {}
    for table in tables:
        by_id.setdefault(table.table_id, []).append(table)
    return [
        f"{files[code]}: list.{code}.criteria.{place}: {fault}"
        for code, one in lists.items()
        for place, name in one.criteria
        for fault in _criterion_faults(name, one.field, by_id.get(name, ()))
    ]


def _criterion_faults(name: str, field: int, versions: Sequence[DecisionTable]) -> list[str]:
    if not field:
        return ["the list has no joint_field, so that nobody knows which facts it is about"]
    if not versions:
        return [f"{name} is no decision table of rules/"]
    is_environmental = field == JOINT_FIELD_ENVIRONMENT
    faults: dict[str, None] = {}
    for table in versions:
        for row in table.rows:
            if row.outputs.get("recognised") not in _DECIDED or not row.outputs.get("en"):
                faults[f"{name}: row {row.row_id}: needs recognised, YES or NO, and en"] = None
        for fact in table.facts:
            if fact not in _OF_ALL and fact.startswith("field_") == is_environmental:
                faults[f"{name}: reads {fact}, which is no fact of {FIELD_NAMES[field]}"] = None
        if not table.is_first_hit:
            faults[f"{name}: hitPolicy: a criterion gives one answer: first"] = None
    return list(faults)


_DECIDED: Final = (Recognised.YES, Recognised.NO)
_OF_ALL: Final = frozenset({"sources", "freshness", "clarity", "list_years", "disputed"})
"""Facts that are read in every field."""
