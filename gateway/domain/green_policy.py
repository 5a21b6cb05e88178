"""How a bank reads the green rules (绿色信贷政策): `config/green/default.toml`, and what its own file states otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway.domain.decision_reading import content_digest
from gateway.domain.errors import ConfigError

DEFAULT: Final = "default.toml"
_FIXED: Final = "V7"
_INDUSTRY: Final = re.compile(r"[A-T][0-9]{0,4}")
"""By GB/T 4754-2017: sections A to T, then division, group and class."""
_YEARS: Final = range(1990, 2201)
FIELDS: Final = ("TOURISM", "FOOD_AND_DRUG", "QUALITY")
"""The joint fields beside environment, whose words and facts are the green review's own."""


class Measure(StrEnum):
    """What is proposed for an existing credit line; INCOMPLETE is none: a person decides."""

    NONE = "NONE"
    RECTIFY = "RECTIFY"
    REDUCE = "REDUCE"
    EXIT = "EXIT"
    INCOMPLETE = "INCOMPLETE"


class Admission(StrEnum):
    """What is proposed for new credit, the most open first; TREATMENT_ONLY admits loans for treatment (污染治理贷款)."""

    GREEN_CHANNEL = "GREEN_CHANNEL"
    OPEN = "OPEN"
    HOLD = "HOLD"
    TREATMENT_ONLY = "TREATMENT_ONLY"
    CLOSED = "CLOSED"


MEASURES: Final = (Measure.NONE, Measure.RECTIFY, Measure.REDUCE, Measure.EXIT)
"""By severity; INCOMPLETE has no place among them."""
ADMISSIONS: Final = tuple(Admission)


@dataclass(frozen=True, slots=True)
class GreenPolicy:
    """One bank's reading; `waived` are (platform, year) with the reason, `measures` and `admissions` are by rule."""

    name: str
    version: str
    digest: str
    required_categories: tuple[int, ...]
    stale_after_days: int
    grade_valid_months: int
    is_memo_reference: bool
    environmental_lists: frozenset[str]
    repeat_within_months: int
    permit_industries: tuple[str, ...]
    environment_words: tuple[str, ...]
    crime_words: tuple[str, ...]
    field_words: Mapping[str, tuple[str, ...]]
    waived: Mapping[tuple[str, int], str]
    measures: Mapping[str, Measure]
    admissions: Mapping[str, Admission]

    def needs_permit(self, industry: str) -> bool | None:
        """Gives whether an industry needs a discharge licence; None where the code does not tell: "2661", or "C" alone."""
        code = industry.strip().upper()
        if not _INDUSTRY.fullmatch(code):
            return None
        if code.startswith(self.permit_industries):
            return True
        return None if any(one.startswith(code) for one in self.permit_industries) else False


@dataclass(frozen=True, slots=True)
class GreenPolicies:
    """The policies by bank."""

    default: GreenPolicy
    by_bank: Mapping[str, GreenPolicy]

    @classmethod
    def from_tables(cls, files: Mapping[str, Mapping[str, Any]], rules: Collection[str]) -> GreenPolicies:
        """Reads the files by name; raises ConfigError with every fault as "green/file: key: what is wrong".

        `rules` are those whose measure or admission a bank may state otherwise: what else it names would change nothing.
        """
        faults: list[str] = []
        shipped = files.get(DEFAULT, {})
        if not shipped:
            faults.append(f"green/{DEFAULT}: is missing")
        default = _Reader(shipped, DEFAULT, faults, rules).policy("default")
        by_bank = {}
        for name, table in files.items():
            if name != DEFAULT:
                bank = name.removesuffix(".toml")
                by_bank[bank] = _Reader({**shipped, **table}, name, faults, rules).policy(bank)
        if faults:
            raise ConfigError(faults)
        return cls(default, by_bank)

    def of(self, bank: str) -> GreenPolicy:
        """Gives a bank's policy, the default one where it has none of its own."""
        return self.by_bank.get(bank, self.default)


def strangers(policies: GreenPolicies, platforms: Collection[str], lists: Collection[str]) -> list[str]:
    """Gives the faults of what a policy names and nobody knows: waivers that waive nothing, lists that never count."""
    faults: list[str] = []
    for policy in (policies.default, *policies.by_bank.values()):
        at = f"green/{policy.name}.toml"
        waived = sorted({platform for platform, _ in policy.waived} - set(platforms))
        faults += [f"{at}: waived_years: {platform} is not in platforms.toml" for platform in waived]
        # Those of the default file are of the shipped lists, which a deployment may have replaced.
        own = policy.environmental_lists - policies.default.environmental_lists
        unknown = sorted(own - set(lists)) if lists else []  # else lists/ has faults of its own
        faults += [f"{at}: environmental_lists: {code} is in no file of the folder lists/" for code in unknown]
    return faults


_KEYS: Final = frozenset(
    {"version", "required_categories", "stale_after_days", "grade_valid_months", "regional_memo",
     "environmental_lists", "repeat_within_months", "permit_industries", "environment_words", "crime_words", "field_words",
     "waived_years", "measures", "admissions"}
)  # fmt: skip


class _Reader:
    def __init__(self, table: Mapping[str, Any], file: str, faults: list[str], rules: Collection[str]) -> None:
        self._table = table
        self._file = file
        self._faults = faults
        self._rules = rules
        for key in sorted(table.keys() - _KEYS):
            self._fault(key, "is not known here")

    def _fault(self, key: str, what: str) -> None:
        self._faults.append(f"green/{self._file}: {key}: {what}")

    def policy(self, name: str) -> GreenPolicy:
        memo = self._table.get("regional_memo")
        if memo not in ("SANCTION", "REFERENCE"):
            self._fault("regional_memo", "must be SANCTION or REFERENCE")
        return GreenPolicy(
            name=name,
            version=self._version(),
            digest=content_digest(self._table),
            required_categories=self._categories(),
            stale_after_days=self._count("stale_after_days"),
            grade_valid_months=self._count("grade_valid_months"),
            is_memo_reference=memo == "REFERENCE",
            environmental_lists=frozenset(self._texts("environmental_lists", may_be_none=True)),
            repeat_within_months=self._count("repeat_within_months"),
            permit_industries=self._industries(),
            environment_words=self._texts("environment_words"),
            crime_words=self._texts("crime_words"),
            field_words=self._field_words(),
            waived=self._waived(),
            measures=self._by_rule("measures", Measure, {Measure.INCOMPLETE}),
            admissions=self._by_rule("admissions", Admission, {Admission.GREEN_CHANNEL}),
        )

    def _version(self) -> str:
        stated = self._table.get("version")
        if not isinstance(stated, str) or not stated:
            self._fault("version", "must be a text that is not empty")
        return str(stated)

    def _count(self, key: str) -> int:
        stated = self._table.get(key)
        if not isinstance(stated, int) or isinstance(stated, bool) or stated < 1:
            self._fault(key, "must be a whole number of at least 1")
            return 1
        return stated

    def _texts(self, key: str, *, may_be_none: bool = False) -> tuple[str, ...]:
        stated = self._table.get(key)
        if (
            isinstance(stated, list)
            and (stated or may_be_none)
            and all(isinstance(t, str) and t.strip() for t in stated)
        ):
            return tuple(stated)
        self._fault(key, "must be a list of texts that are not empty")
        return ()

    def _field_words(self) -> dict[str, tuple[str, ...]]:
        stated = self._table.get("field_words")
        if not isinstance(stated, Mapping) or stated.keys() != set(FIELDS):
            self._fault("field_words", f"must have a list of texts for each of {', '.join(FIELDS)}")
            return {}
        for name, words in stated.items():
            if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
                self._fault(f"field_words.{name}", "must be a list of texts that are not empty")
        return {name: tuple(words) for name, words in stated.items() if isinstance(words, list)}

    def _categories(self) -> tuple[int, ...]:
        known = {name.removeprefix("CATEGORY_"): value for name, value in Category.items() if value}
        stated = self._texts("required_categories")
        for name in stated:
            if name not in known:
                self._fault("required_categories", f"{name} is no category")
        return tuple(sorted(known[name] for name in stated if name in known))

    def _industries(self) -> tuple[str, ...]:
        stated = self._texts("permit_industries")
        for code in stated:
            if not _INDUSTRY.fullmatch(code):
                self._fault(
                    "permit_industries", f"{code} is no code of GB/T 4754, such as C17: a letter, up to four digits"
                )
        return stated

    def _waived(self) -> dict[tuple[str, int], str]:
        found: dict[tuple[str, int], str] = {}
        stated = self._table.get("waived_years", [])
        if not isinstance(stated, list):
            self._fault("waived_years", "must be tables, each under [[waived_years]]")
            return found
        for number, entry in enumerate(stated):
            table = entry if isinstance(entry, Mapping) else {}
            platform, years, because = (table.get(key) for key in ("platform", "years", "because"))
            if not (
                isinstance(platform, str) and isinstance(years, list) and isinstance(because, str) and because.strip()
            ):
                self._fault(f"waived_years[{number}]", "needs platform, years and because")
            elif not years or not all(type(year) is int and year in _YEARS for year in years):
                self._fault(
                    f"waived_years[{number}]", "years must be whole numbers of four digits, such as [2017, 2018]"
                )
            else:
                found.update({(platform, year): because for year in years})
        return found

    def _by_rule(self, key: str, kind: Any, forbidden: Collection[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        stated = self._table.get(key, {})
        if not isinstance(stated, Mapping):
            self._fault(key, f"must be a table of rules, under [{key}]")
            return found
        for rule, value in stated.items():
            if rule not in self._rules:
                known = ", ".join(sorted({*self._rules} - {_FIXED}))
                self._fault(f"{key}.{rule}", f"is no rule that proposes a measure or an admission; use one of {known}")
            elif rule == _FIXED:
                self._fault(f"{key}.{rule}", "incomplete data never pass by themselves: this rule cannot be changed")
            elif value not in tuple(kind) or value in forbidden:
                allowed = ", ".join(each for each in kind if each not in forbidden)
                self._fault(f"{key}.{rule}", f"must be one of {allowed}")
            else:
                found[rule] = kind(value)
        return found
