"""How facts are read from a merged view: what was heard, what is missing, and who said what a fact rests on.

Adverse evidence counts wherever it was seen. That there is none may be concluded only where every required source was heard:
otherwise the fact is None, not known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, evaluation_pb2, options_pb2, view_pb2
from gateway.domain.crosswalk import CanonicalGrade, Crosswalk, Domain, Grade, Nature, Rating, worst_current
from gateway.domain.dates import CHINA, day_of, first_day, iso, plus_months
from gateway.domain.green_policy import GreenPolicy
from gateway.domain.platform import Platform

_LIST: Final = options_pb2.CATEGORY_LIST_ENTRY
_EVALUATION: Final = options_pb2.CATEGORY_EVALUATION
_CATEGORY: Final[Mapping[int, str]] = {
    value: name.removeprefix("CATEGORY_") for name, value in options_pb2.Category.items()
}
_OUTCOME: Final[Mapping[int, str]] = {value: name.removeprefix("OUTCOME_") for name, value in view_pb2.Outcome.items()}
_GRADE: Final = {
    value: Grade[name.removeprefix("CANONICAL_GRADE_")]
    for name, value in evaluation_pb2.CanonicalGrade.items()
    if name.removeprefix("CANONICAL_GRADE_") in Grade.__members__
}
_PARTIAL: Final = view_pb2.OUTCOME_PARTIAL
_DISPUTED: Final = envelope_pb2.RECORD_STATUS_DISPUTED


class Source(msgspec.Struct, frozen=True):
    """Who said it: the platform, its own key of the record, when that was true there, and the digest of what it said."""

    platform: str
    record_key: str
    as_of: str
    digest: str


class Evidence(msgspec.Struct, frozen=True):
    """One record that a fact rests on; `text` names it for a reader and holds nothing personal."""

    fact: str
    category: str
    text: str
    on: str
    province: str
    is_disputed: bool
    sources: tuple[Source, ...]


class Missing(msgspec.Struct, frozen=True):
    """What is missing; `kind` is PLATFORM, PARTIAL, CATEGORY, NOT_COVERED, LIST_YEAR, STALE, UNCLEAR or UNKNOWN.

    `detail` is the outcome and reason, the years, the age in days, or what cannot be read.
    """

    kind: str
    platform: str
    category: str
    detail: str


class GreenFacts(msgspec.Struct, frozen=True):
    """The facts by name, None where not known; `waived` are list years the bank decided to do without, with its reason."""

    values: dict[str, str | int | bool | None]
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]
    waived: tuple[str, ...]
    grades: tuple[str, ...]


class Expected:
    """What should have been asked: of each platform the required categories that it covers, and where it stands."""

    def __init__(self, platforms: Mapping[str, Platform], policy: GreenPolicy) -> None:
        self.required = policy.required_categories
        self.covers = {name: [c for c in self.required if p.covers(c)] for name, p in platforms.items()}
        self.province = {name: p.province or "" for name, p in platforms.items()}


class Reading:
    """One view while it is read; each kind of review reads its own facts over it."""

    def __init__(
        self, view: view_pb2.CreditView, policy: GreenPolicy, expected: Expected, crosswalk: Crosswalk
    ) -> None:
        self._view = view
        self._records = view.records
        self._policy = policy
        self._expected = expected
        self._crosswalk = crosswalk
        self._as_of = date(view.as_of.year, view.as_of.month, view.as_of.day)
        self._evidence: list[Evidence] = []
        self._missing: list[Missing] = []
        self._waived: list[str] = []
        self._grades: list[str] = []
        self._incomplete: set[int] = set()
        self._noted: tuple[Any, tuple[Source, ...], str, bool] = (None, (), "", False)
        self._values: dict[str, str | int | bool | None] = {}

    # --- what was heard ---

    def coverage(self) -> None:
        """Finds what is missing, by platform and category."""
        expected, limit = self._expected, self._policy.stale_after_days
        answers = {answer.platform: answer for answer in self._view.answers}
        for name, categories in expected.covers.items():
            answer = answers.get(name)
            if answer is None:
                for category in categories:
                    self._lacks("PLATFORM", name, category, "not_asked")
                continue
            for said in answer.categories:
                if said.outcome == _PARTIAL and said.category in categories:
                    self._lacks("PARTIAL", name, said.category, said.reason)
            age = answer.age_days
            if age > limit and categories:
                self._missing.append(Missing("STALE", name, "", str(age)))
        by_category: dict[int, view_pb2.Coverage] = {coverage.category: coverage for coverage in self._view.coverage}
        home = self._view.home_province
        at_home = [name for name, province in expected.province.items() if province == home] if home else []
        for category in expected.required:
            coverage = by_category.get(category)
            if coverage is None:
                self._lacks("CATEGORY", "", category, "not_asked")
                continue
            silent = coverage.missing
            if not (silent or coverage.heard):
                self._lacks("CATEGORY", "", category, "nobody_covers_it")
                continue
            for name in silent:
                self._lacks("PLATFORM", name, category, _why(answers[name], category))
            if at_home and (strangers := coverage.not_covered):
                for name in at_home:
                    if name in strangers:
                        self._lacks("NOT_COVERED", name, category, "home_province")
            if category == _LIST:
                self._years(coverage.missing_years)
        self._values["sources"] = "MISSING" if self._incomplete else "COMPLETE"
        kinds = {missing.kind for missing in self._missing}
        self._values["freshness"] = "STALE" if "STALE" in kinds else "FRESH"
        self._values["list_years"] = "MISSING" if "LIST_YEAR" in kinds else "COMPLETE"

    def _lacks(self, kind: str, platform: str, category: int, detail: str) -> None:
        self._incomplete.add(category)
        self._missing.append(Missing(kind, platform, _CATEGORY.get(category, ""), detail))

    def _years(self, missing: Iterable[view_pb2.MissingYear]) -> None:
        by_platform: dict[str, list[int]] = {}
        for entry in missing:
            because = self._policy.waived.get((entry.platform, entry.year))
            if because is None:
                by_platform.setdefault(entry.platform, []).append(entry.year)
            else:
                self._waived.append(f"{entry.platform} {entry.year}: {because}")
        for platform, years in by_platform.items():
            self._missing.append(Missing("LIST_YEAR", platform, "LIST_ENTRY", ", ".join(map(str, years))))

    def _known(self, seen: bool, *categories: int) -> bool | None:
        """Gives true where it was seen, false where it was looked for everywhere, None otherwise."""
        if seen:
            return True
        return None if self._incomplete.intersection(categories) else False

    def _unclear(self, category: int, what: str) -> None:
        self._missing.append(Missing("UNCLEAR", "", _CATEGORY[category], what))

    # --- what several kinds of facts share ---

    def state(self, fact: str, value: str | int | bool | None) -> None:
        """States a fact; None where it is not known."""
        self._values[fact] = value

    def is_incomplete(self, category: int) -> bool:
        """Whether somebody who covers the category was not heard on it."""
        return category in self._incomplete

    def _is_environmental(self, text: str) -> bool:
        return any(word in text for word in self._policy.environment_words)

    def worst_grade(self, domain: Domain, fact: str) -> str | None:
        """Gives the worst current grade of a domain; None where nothing current is known."""
        ratings: list[Rating] = []
        for evaluation in self._records.evaluations:
            scheme_id, rated_on = evaluation.scheme_id, evaluation.rated_on
            scheme = self._crosswalk.schemes.get(scheme_id)
            if scheme is not None and scheme.domain is not domain:
                continue
            grade = _GRADE.get(evaluation.canonical_grade, Grade.UNMAPPED)
            canonical = _UNMAPPED if scheme is None else _canonical(grade, scheme.domain, scheme.nature)
            rated = _day(rated_on)
            current_from = valid_to = None
            if rated is not None:
                # One dated ahead is current: a clock that goes wrong must not hide a grade.
                current_from = min(rated, self._as_of)
                valid_to = date(*plus_months(day_of(current_from), self._policy.grade_valid_months))
            authority = evaluation.authority
            rater = authority.code or authority.name
            ratings.append(Rating(scheme_id, rater, canonical, current_from, valid_to))
            name = scheme_id or evaluation.scheme_raw
            text = f"{name} {evaluation.period} {evaluation.raw_grade} = {_GRADE_NAME[grade]}".replace("  ", " ")
            self._grades.append(text)
            self._note(fact, _EVALUATION, evaluation, text, rated_on)
        worst = worst_current(ratings, domain, self._as_of)
        if not worst.is_certain:
            self._unclear(_EVALUATION, "a grade nobody here can read, or without its day")
        if worst.grade is not None:
            return _GRADE_NAME[worst.grade]
        return None if worst.is_certain else "UNMAPPED"

    def _repeats(self, violations: list[tuple[str, tuple[int, int, int]]]) -> bool:
        """Whether two of (violation, day) are for the same violation within the policy's months."""
        violations.sort()
        for (one, earlier), (other, later) in itertools.pairwise(violations):
            if one == other and earlier[0] and later <= plus_months(earlier, self._policy.repeat_within_months):
                return True
        return False

    def facts(self) -> GreenFacts:
        """Gives what was found."""
        values = self._values
        values["disputed"] = any(evidence.is_disputed for evidence in self._evidence)
        values["clarity"] = "UNCLEAR" if any(m.kind == "UNCLEAR" for m in self._missing) else "CLEAR"
        return GreenFacts(
            dict(sorted(values.items())),
            tuple(self._evidence),
            tuple(self._missing),
            tuple(self._waived),
            tuple(self._grades),
        )

    # --- provenance ---

    def _note(self, fact: str, category: int, record: Any, text: str, on: Any) -> None:
        if record is not self._noted[0]:  # a penalty may bear on several facts
            self._noted = (record, *self._said_by(record))
        _, sources, province, is_disputed = self._noted
        self._evidence.append(
            Evidence(
                fact,
                _CATEGORY[category],
                text,
                iso(on) if on is not None else "",
                province,
                is_disputed,
                sources,
            )
        )

    def _said_by(self, record: Any) -> tuple[tuple[Source, ...], str, bool]:
        """Gives who said a record, the province it comes from, and whether it is disputed."""
        envelope = record.envelope
        provinces = self._expected.province
        sources = []
        province = ""
        for said in envelope.provenances:
            platform, seconds = said.platform, said.as_of.seconds
            as_of = _moment(seconds) if seconds else ""
            sources.append(Source(platform, said.platform_record_key, as_of, said.digest.hex()))
            province = province or provinces.get(platform, "")
        authority = getattr(record, "authority", None)
        if authority is not None:
            code = authority.code[2:4]
            province = code if code.isdecimal() and code != "10" else province  # national bodies are of none
        return tuple(sources), province, envelope.status == _DISPUTED


def _why(answer: view_pb2.PlatformAnswer, category: int) -> str:
    for said in answer.categories:
        if said.category == category:
            return f"{_OUTCOME[said.outcome]} {said.reason}".strip()
    return f"{_OUTCOME[answer.outcome]} {answer.reason}".strip()


_UNMAPPED: Final = CanonicalGrade(Grade.UNMAPPED)
_GRADE_NAME: Final = {grade: grade.name for grade in Grade}


@lru_cache(maxsize=256)
def _canonical(grade: Grade, domain: Domain, nature: Nature) -> CanonicalGrade:
    return CanonicalGrade(grade, domain=domain, nature=nature)


@lru_cache(maxsize=16_384)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, CHINA).isoformat()


def _day(value: Any) -> date | None:
    """Gives the earliest day a date can mean; None where it means none."""
    try:
        return date(*first_day(value))
    except ValueError:
        return None
