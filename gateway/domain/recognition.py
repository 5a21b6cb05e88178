"""Recognition (认定): would an enterprise be recognised as severely dishonest, by which province's criterion, on which facts.

The provinces' criteria differ (制度协同不够); here the difference is shown instead of hidden. Each criterion is a decision
table, named by province in `JointList.criteria`; the facts are those of the green review, read once from the merged view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import Any, Final

import msgspec

from gateway.domain.decision import TableResult
from gateway.domain.decision_table import FactKind
from gateway.domain.green_facts import Evidence, GreenFacts, Missing

ENVIRONMENT_CRITERIA: Final = tuple((province, f"recognise_env_{province}") for province in ("31", "32", "33", "34"))
"""Whose criteria are compared where a list names none of its own: the three provinces and Shanghai (三省一市)."""


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
    """Gives what each criterion, as (province, table), says of the facts; raises KeyError for an unknown table.

    NO is said only where nothing is missing: an adverse record that was not heard might meet the criterion.
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
    result = evaluate(table, facts.values)
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
