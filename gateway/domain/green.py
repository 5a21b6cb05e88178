"""The green assessment (绿色信贷评估): facts and rules in, a proposed measure with its whole explanation out.

    view ── green_facts ──► facts ── tables, the bank's policy ──► verdict ──► Assessment ── SM3 ──► decision digest

A proposal, never a decision: people decide. What is missing never improves a result: unless the known facts already demand
the utmost (EXIT, and no new credit at all), anything missing makes the result INCOMPLETE, with `at_least` what is known.
Everything is a pure function of the view, the policy and the tables, so a stored assessment can be made again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import combinations
from typing import Any, Final, NamedTuple

import msgspec

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, view_pb2
from gateway.domain.crosswalk import Crosswalk
from gateway.domain.dates import iso
from gateway.domain.decision import TableResult
from gateway.domain.decision_table import DecisionTable, FactKind
from gateway.domain.field_facts import field_facts
from gateway.domain.green_facts import green_facts
from gateway.domain.green_policy import ADMISSIONS, MEASURES, Admission, GreenPolicy, Measure
from gateway.domain.green_reading import Evidence, Expected, GreenFacts, Missing
from gateway.domain.platform import Platform
from gateway.domain.statement import sm3

VETO: Final = "green_veto"
POSITIVE: Final = "green_positive"
_TABLES: Final = (VETO, POSITIVE)
_WHOLE: Final = (("sources", "COMPLETE"), ("list_years", "COMPLETE"), ("freshness", "FRESH"), ("clarity", "CLEAR"))
_MOST_CHANGED: Final = 3
_MOST_SHOWN: Final = 3
_MOST_KEPT: Final = 4_000
_ORDER: Final = {
    Measure.NONE: 0, Measure.RECTIFY: 1, Measure.REDUCE: 2, Measure.INCOMPLETE: 3, Measure.EXIT: 4
}  # fmt: skip
_MEASURE: Final = {measure.value: measure for measure in Measure}
_ADMISSION: Final = {admission.value: admission for admission in Admission}
_ADMITTED: Final = {admission: place for place, admission in enumerate(ADMISSIONS)}

Evaluate = Callable[[str, Mapping[str, Any]], TableResult]
Facts = Mapping[str, str | int | bool | None]


class ReasonGiven(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that fired: what it is, what it proposes at this bank, and the facts it read.

    `table_measure` and `table_admission` are what the table proposes, only where the bank's policy says otherwise: a reason
    by the table alone is stored as it always was, and keeps its digest.
    """

    rule: str
    row: str
    title_zh: str
    title_en: str
    measure: Measure
    admission: Admission
    because: tuple[tuple[str, str | int | bool], ...]
    table_measure: Measure | None = None
    table_admission: Admission | None = None


class NearlyFired(msgspec.Struct, frozen=True):
    """A rule that lacks one condition: the fact, what it is, and what the rule wants."""

    row: str
    title_zh: str
    fact: str
    actual: str | int | bool
    wanted: str


class FactChange(msgspec.Struct, frozen=True):
    """One fact that would have to be another."""

    fact: str
    actual: str | int | bool | None
    other: str | int | bool


class Change(msgspec.Struct, frozen=True):
    """A smallest change of facts that would alter the result, and the result it would give."""

    facts: tuple[FactChange, ...]
    measure: Measure
    admission: Admission


class RulesUsed(msgspec.Struct, frozen=True):
    """A table that was used."""

    table: str
    version: str
    digest: str


class Verdict(msgspec.Struct, frozen=True):
    """What the rules say of facts alone; the same facts give the same verdict."""

    measure: Measure
    at_least: Measure
    admission: Admission
    reasons: tuple[ReasonGiven, ...]
    nearly: tuple[NearlyFired, ...]
    undecided: tuple[str, ...]
    changes: tuple[Change, ...]
    rules: tuple[RulesUsed, ...]


class Assessment(msgspec.Struct, frozen=True):
    """A proposal with everything it rests on; `view_id` is the digest of the view, `policy` the bank's policy by digest."""

    uscc: str
    as_of: str
    view_id: str
    measure: Measure
    at_least: Measure
    admission: Admission
    reasons: tuple[ReasonGiven, ...]
    nearly: tuple[NearlyFired, ...]
    undecided: tuple[str, ...]
    changes: tuple[Change, ...]
    facts: dict[str, str | int | bool | None]
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]
    waived: tuple[str, ...]
    grades: tuple[str, ...]
    policy: RulesUsed
    rules: tuple[RulesUsed, ...]
    decision_digest: str = ""


class Assessor:
    """Assesses by one policy and the tables of one day; keeps verdicts, because few combinations of facts occur."""

    def __init__(
        self,
        policy: GreenPolicy,
        evaluate: Evaluate,
        kinds: Mapping[str, FactKind],
        platforms: Mapping[str, Platform],
        crosswalk: Crosswalk,
    ) -> None:
        self._policy = policy
        self._evaluate = evaluate
        self._kinds = kinds
        self._expected = Expected(platforms, policy)
        self._crosswalk = crosswalk
        self._kept: dict[tuple[Any, ...], Verdict] = {}
        self._proposals: dict[tuple[str, str, str], _Proposed] = {}
        self._policy_used = RulesUsed(policy.name, policy.version, policy.digest)

    def facts(self, view: view_pb2.CreditView) -> GreenFacts:
        """Gives the facts of a view."""
        return green_facts(view, self._policy, self._expected, self._crosswalk)

    def field_facts(self, view: view_pb2.CreditView, field: int) -> GreenFacts:
        """Gives the facts of a view on a joint field; those of environment are the green review's own."""
        if field == conduct_pb2.JOINT_FIELD_ENVIRONMENT:
            return self.facts(view)
        return field_facts(view, field, self._policy, self._expected, self._crosswalk)

    def assess(self, view: view_pb2.CreditView) -> Assessment:
        """Gives the assessment of a view."""
        return self.of_facts(self.facts(view), view)

    def of_facts(self, found: GreenFacts, view: view_pb2.CreditView) -> Assessment:
        """Gives the assessment of facts that were read from the view."""
        verdict = self.verdict(found.values)
        bare = Assessment(
            uscc=view.query.uscc,
            as_of=iso(view.as_of),
            view_id=view.view_id,
            measure=verdict.measure,
            at_least=verdict.at_least,
            admission=verdict.admission,
            reasons=verdict.reasons,
            nearly=verdict.nearly,
            undecided=verdict.undecided,
            changes=verdict.changes,
            facts=found.values,
            evidence=found.evidence,
            missing=found.missing,
            waived=found.waived,
            grades=found.grades,
            policy=self._policy_used,
            rules=verdict.rules,
        )
        return msgspec.structs.replace(bare, decision_digest=sm3(canonical(bare)).hex())

    def verdict(self, facts: Facts) -> Verdict:
        """Gives what the rules say of facts, by name."""
        key = tuple(facts.items())
        kept = self._kept.get(key)
        if kept is None:
            kept = self._judge(facts)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _judge(self, facts: Facts) -> Verdict:
        results = [self._evaluate(table, facts) for table in _TABLES]
        outcome = self._outcome(facts, *results)
        reasons, nearly = [], []
        for result in results:
            for rule, output in zip(result.fired, result.outputs, strict=True):
                if result.table == POSITIVE and outcome.admission is not Admission.GREEN_CHANNEL:
                    continue
                measure, admission = self._proposed(output)[:2]
                by_table = _MEASURE[output["measure"]], _ADMISSION[output["admission"]]
                reasons.append(
                    ReasonGiven(
                        output["rule"],
                        rule.rule_id,
                        rule.title_zh,
                        output["en"],
                        measure,
                        admission,
                        rule.because,
                        by_table[0] if by_table[0] is not measure else None,
                        by_table[1] if by_table[1] is not admission else None,
                    )
                )
            nearly += [
                NearlyFired(near.rule_id, near.title_zh, near.fact, near.actual, near.wanted) for near in result.nearly
            ]
        veto, positive = results
        # Only what fired, what is not known, and what the positive measures lack can make a result better.
        relevant = dict.fromkeys(
            [name for rule in veto.fired for name, _ in rule.because]
            + list(veto.missing)
            + [near.fact for near in positive.nearly]
        )
        return Verdict(
            outcome.measure,
            outcome.at_least,
            outcome.admission,
            tuple(reasons),
            tuple(nearly),
            veto.missing,
            self._changes(facts, outcome, relevant),
            tuple([RulesUsed(result.table, result.version, result.digest) for result in results]),
        )

    def _proposed(self, output: Mapping[str, Any]) -> _Proposed:
        stated = (output["rule"], output["measure"], output["admission"])
        found = self._proposals.get(stated)
        if found is None:
            rule, *named = stated
            measure = self._policy.measures.get(rule) or _MEASURE[named[0]]
            admission = self._policy.admissions.get(rule) or _ADMISSION[named[1]]
            severity = 0 if measure is Measure.INCOMPLETE else MEASURES.index(measure)
            found = _Proposed(
                measure, admission, severity, _ADMITTED[admission], 1 + _ORDER[measure] + _ADMITTED[admission]
            )
            self._proposals[stated] = found
        return found

    def _outcome(self, facts: Facts, veto: TableResult, positive: TableResult) -> _Outcome:
        measure, admission, weight = 0, _ADMITTED[Admission.OPEN], 0
        # Whatever the tables say: no table of a deployment can let incomplete data pass.
        is_incomplete = bool(veto.missing)
        for name, whole in _WHOLE:
            if facts.get(name) not in (None, whole):
                is_incomplete = True
        for output in veto.outputs:
            proposed = self._proposed(output)
            is_incomplete = is_incomplete or proposed.measure is Measure.INCOMPLETE
            measure = max(measure, proposed.severity)
            admission = max(admission, proposed.admitted)
            weight += proposed.weight
        known = MEASURES[measure]
        if is_incomplete and not (known is Measure.EXIT and ADMISSIONS[admission] is Admission.CLOSED):
            held = max(admission, _ADMITTED[Admission.HOLD])
            return _Outcome(Measure.INCOMPLETE, known, ADMISSIONS[held], weight)
        is_green = any(output["admission"] == Admission.GREEN_CHANNEL for output in positive.outputs)
        if is_green and known is Measure.NONE and ADMISSIONS[admission] is Admission.OPEN:
            return _Outcome(known, known, Admission.GREEN_CHANNEL, weight)
        return _Outcome(known, known, ADMISSIONS[admission], weight)

    # --- what would alter it ---

    def _changes(self, facts: Facts, now: _Outcome, relevant: Iterable[str]) -> tuple[Change, ...]:
        """Gives the smallest changes that would better the result; without one, the smallest that would alter it at all."""
        harmless = self._harmless(facts, relevant)
        helpful = [name for name, (_, outcome) in harmless.items() if outcome.rank < now.rank]
        for size in range(1, _MOST_CHANGED + 1):
            found = []
            for names in combinations(helpful, size):
                outcome = self._with(facts, {name: harmless[name][0] for name in names})
                if outcome.result != now.result and outcome.rank < now.rank:
                    found.append((outcome.rank, names, outcome))
            if found:
                found.sort(key=lambda each: (each[0], each[1]))
                return tuple(
                    _change(facts, {name: harmless[name][0] for name in names}, outcome)
                    for _, names, outcome in found[:_MOST_SHOWN]
                )
        altering = ((name, value, self._with(facts, {name: value})) for name, value in self._others(facts, facts))
        worse = [(name, value, outcome) for name, value, outcome in altering if outcome.result != now.result]
        return tuple([_change(facts, {name: value}, outcome) for name, value, outcome in worse[:_MOST_SHOWN]])

    def _others(self, facts: Facts, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        for name in names:
            for value in self._kinds[name].values:
                if value != facts[name]:
                    yield name, value

    def _harmless(self, facts: Facts, names: Iterable[str]) -> dict[str, tuple[Any, _Outcome]]:
        """Gives of each fact the other value that speaks least against the enterprise, and the outcome with it."""
        found: dict[str, tuple[Any, _Outcome]] = {}
        for name, value in self._others(facts, names):
            outcome = self._with(facts, {name: value})
            if name not in found or outcome.rank < found[name][1].rank:
                found[name] = (value, outcome)
        return found

    def _with(self, facts: Facts, other: Facts) -> _Outcome:
        changed = {**facts, **other}
        return self._outcome(changed, self._evaluate(VETO, changed), self._evaluate(POSITIVE, changed))


class _Proposed(NamedTuple):
    """What a row proposes at this bank, and how much that is: the places of both, and both together."""

    measure: Measure
    admission: Admission
    severity: int
    admitted: int
    weight: int


class _Outcome(NamedTuple):
    measure: Measure
    at_least: Measure
    admission: Admission
    weight: int

    @property
    def result(self) -> tuple[Measure, Admission]:
        return self.measure, self.admission

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """A smaller rank speaks less against the enterprise; weight tells apart what the worst rule hides."""
        return (_ORDER[self.measure], _ADMITTED[self.admission], MEASURES.index(self.at_least), self.weight)


def _change(facts: Facts, other: Mapping[str, Any], outcome: _Outcome) -> Change:
    changed = tuple([FactChange(name, facts[name], value) for name, value in other.items()])
    return Change(changed, outcome.measure, outcome.admission)


def table_faults(tables: Iterable[DecisionTable], day: date) -> list[str]:
    """Gives why tables cannot serve the green review on a day: one is not in force, or proposes what is no measure."""
    faults = []
    found = [table for table in tables if table.table_id in _TABLES]
    for name in _TABLES:
        if not any(table.table_id == name and table.valid_from <= day <= table.valid_to for table in found):
            faults.append(f"rules: {name}: no version is in force on {day}")
    for table in found:
        for row in table.rows:
            measure, admission = row.outputs.get("measure"), row.outputs.get("admission")
            if measure not in _MEASURE or admission not in _ADMISSION or not row.outputs.get("en"):
                faults.append(
                    f"rules: {table.table_id} {table.version}: row {row.row_id}: needs measure, admission and en"
                )
    return faults


def canonical(assessment: Assessment) -> bytes:
    """Gives the bytes in which an assessment is stored, digested and compared."""
    return msgspec.json.encode(assessment)


def stored(content: bytes) -> Assessment:
    """Gives a stored assessment; raises msgspec.DecodeError for what is none."""
    return msgspec.json.decode(content, type=Assessment)


def facts_digest(facts: Facts) -> str:
    """Gives the SM3 of facts in hexadecimal."""
    return sm3(msgspec.json.encode(dict(facts), order="sorted")).hex()


def is_no_better(after: Assessment, before: Assessment) -> bool:
    """Whether one assessment is INCOMPLETE or at least as severe, in measure and admission, as another."""
    if after.measure is Measure.INCOMPLETE:
        return True
    if (
        before.measure is Measure.INCOMPLETE
    ):  # a repair that is no longer heard: what is left may be the utmost, nothing else
        return (after.measure, after.admission) == (Measure.EXIT, Admission.CLOSED)
    return _ORDER[after.measure] >= _ORDER[before.measure] and _ADMITTED[after.admission] >= _ADMITTED[before.admission]
