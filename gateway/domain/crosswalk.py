"""The crosswalk (信用等级对照): raw grades of many schemes on one scale, by dated tables.

The scale is the gateway's own, not an official one. A label becomes a grade only where a table in force on the day of the
rating declares it surely enough; anything else is UNMAPPED with a reason, never a guess. One letter or colour means
different things in different schemes (红 is the worst of four levels, the second-worst of five), so nothing is shared
between schemes. Tables are the files of `config/crosswalk/`; what may stand in them is what `_scheme` and `_version` read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import evaluation_pb2
from gateway.domain.errors import ConfigError
from gateway.domain.table_node import TableNode


class Grade(IntEnum):
    """The canonical scale; NOT_RATED is not good, and neither it nor UNMAPPED is a place on the scale."""

    UNMAPPED = -1
    NOT_RATED = 0
    SEVERE = 1
    POOR = 2
    ATTENTION = 3
    GOOD = 4
    EXCELLENT = 5


class Domain(StrEnum):
    """The field a scheme judges; grades of two domains are never compared."""

    TAX = "TAX"
    ENV = "ENV"
    PUBLIC = "PUBLIC"
    MARKET_RISK = "MARKET_RISK"
    QUALITY = "QUALITY"
    PHARMA = "PHARMA"
    FOOD = "FOOD"
    CUSTOMS = "CUSTOMS"
    TOURISM = "TOURISM"


class Nature(StrEnum):
    """What a scheme says: of honesty (credit), of being on a list, or of risk, which is never compared."""

    CREDIT = "credit"
    LIST = "list"
    RISK = "risk"


class Period(StrEnum):
    """How often a scheme rates; "dynamic" may change any day, "event" follows a single decision."""

    YEARLY = "yearly"
    MONTHLY = "monthly"
    DYNAMIC = "dynamic"
    EVENT = "event"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How sure a version's labels are; an unsure version is written down but maps nothing."""

    SURE = "sure"
    LIKELY = "likely"
    UNSURE = "unsure"


class Unmapped(StrEnum):
    """Why a raw grade is UNMAPPED."""

    UNKNOWN_SCHEME = "unknown_scheme"
    NO_VERSION = "no_version_on_that_day"
    UNDATED = "undated_and_versions_differ"
    UNKNOWN_LABEL = "unknown_label"
    UNSURE_LABEL = "unsure_label"


class CrosswalkFaults(ConfigError, ValueError):  # noqa: N818  # a list of faults
    """The tables are broken; `faults` lists every fault as "file: key: what is wrong"."""


@dataclass(frozen=True, slots=True)
class CanonicalGrade:
    """A raw grade on the canonical scale; `reason` is None unless it is UNMAPPED.

    `scheme_version` is empty when no version could be picked, `domain` None when the scheme is unknown. The raw label and
    the scheme id stay in the record, beside this.
    """

    grade: Grade
    scheme_version: str = ""
    domain: Domain | None = None
    nature: Nature = Nature.CREDIT
    internal_use: bool = False
    reason: Unmapped | None = None

    @property
    def is_neutral(self) -> bool:
        """Whether the label says neither good nor bad (M, 常规 from 2026-04-01)."""
        return self.grade is Grade.NOT_RATED

    @property
    def is_comparable(self) -> bool:
        """Whether the grade may be compared within its domain; a risk class never."""
        return self.nature is not Nature.RISK


@dataclass(frozen=True, slots=True)
class SchemeVersion:
    """One version of a scheme, in force from `valid_from` to `valid_to`, both days included (`date.min`, `max`: open)."""

    version: str
    basis: str
    valid_from: date
    valid_to: date
    certainty: Certainty
    grades: Mapping[str, CanonicalGrade]
    unknown_label: CanonicalGrade


@dataclass(frozen=True, slots=True)
class Scheme:
    """One scheme of grades; `published` says whether anyone may see every grade, None when that is not known."""

    id: str
    title_zh: str
    authority: str
    domain: Domain
    nature: Nature
    period: Period
    published: bool | None
    internal_use: bool
    versions: Sequence[SchemeVersion]


@dataclass(frozen=True, slots=True)
class Rating:
    """A graded statement as `worst_current` sees it; a newer one by the same `rater` and scheme takes its place."""

    scheme_id: str
    rater: str
    grade: CanonicalGrade
    rated_on: date | None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst grade known; not certain when a rating left aside (unmapped or undated) might be worse."""

    grade: Grade | None
    is_certain: bool


class Crosswalk:
    """All schemes by id; made by `from_tables`."""

    __slots__ = ("schemes",)

    def __init__(self, schemes: Mapping[str, Scheme]) -> None:
        self.schemes = schemes

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, object]]) -> Crosswalk:
        """Gives the crosswalk of parsed TOML documents by file name; raises `CrosswalkFaults` with every fault."""
        faults: list[str] = []
        schemes: dict[str, Scheme] = {}
        seen_in: dict[str, str] = {}
        for file, document in tables.items():
            for scheme_id in document:
                scheme = _scheme(TableNode(file, (), document, faults).child(scheme_id), scheme_id)
                if scheme_id in seen_in:
                    faults.append(f"{file}: {scheme_id}: stands in {seen_in[scheme_id]} already")
                seen_in.setdefault(scheme_id, file)
                schemes[scheme_id] = scheme
        if faults:
            raise CrosswalkFaults(tuple(faults))
        return cls(schemes)

    def canonical(self, scheme_id: str, raw: str, on: date | None) -> CanonicalGrade:
        """Gives the grade of a raw label by the version in force on the day of the rating.

        Without a day (None) a label is mapped only where every version of the scheme gives it the same grade; the version
        then stays empty unless there is but one.
        """
        scheme = self.schemes.get(scheme_id)
        if scheme is None:
            return _UNKNOWN_SCHEME
        if on is None:
            return _undated(scheme, raw)
        for version in scheme.versions:
            if version.valid_from <= on <= version.valid_to:
                return version.grades.get(normalise_label(raw), version.unknown_label)
        return _unmapped(scheme, "", Unmapped.NO_VERSION)


_UNKNOWN_SCHEME: Final = CanonicalGrade(Grade.UNMAPPED, reason=Unmapped.UNKNOWN_SCHEME)


@lru_cache(maxsize=16_384)
def normalise_label(raw: str) -> str:
    """Gives a label for comparison: NFKC, stripped, upper case; always the whole label, never a part of it."""
    return unicodedata.normalize("NFKC", raw).strip().upper()


def proto_grade(grade: Grade) -> evaluation_pb2.CanonicalGrade.ValueType:
    """Gives the grade as the catalogue's enum, whose numbers differ: 0 is UNSPECIFIED there and EXCELLENT is 6."""
    return evaluation_pb2.CanonicalGrade.Value(f"CANONICAL_GRADE_{grade.name}")


def worst_current(ratings: Iterable[Rating], domain: Domain, as_of: date) -> Worst:
    """Gives the worst current grade of one domain on that day; its `grade` is None when nothing current is known.

    Risk classes are left out. Of each scheme and rater only the newest rating counts, all of one day alike. NOT_RATED is
    the answer only where nothing else is, and UNMAPPED only where nothing was mapped.
    """
    is_certain = True
    newest: dict[tuple[str, str], tuple[date, list[Rating]]] = {}
    for rating in ratings:
        # An unknown scheme may be of any domain, so it cannot be taken as harmless in this one.
        if rating.grade.domain not in (domain, None) or not rating.grade.is_comparable:
            continue
        if rating.rated_on is None:
            is_certain = False
        elif rating.rated_on <= as_of:
            key = (rating.scheme_id, rating.rater)
            day, group = newest.get(key, (date.min, []))
            if rating.rated_on > day:
                day, group = rating.rated_on, []
            if rating.rated_on == day:
                newest[key] = (day, [*group, rating])
    current = [
        rating.grade.grade
        for _, group in newest.values()
        for rating in group
        if rating.valid_to is None or as_of <= rating.valid_to
    ]
    is_certain = is_certain and Grade.UNMAPPED not in current
    rated = [grade for grade in current if grade > Grade.NOT_RATED]
    # Nothing can be worse than SEVERE, so what was left aside no longer matters.
    worst = min(rated) if rated else max(current, default=None)
    return Worst(worst, is_certain or worst is Grade.SEVERE)


def _unmapped(scheme: Scheme, version: str, reason: Unmapped) -> CanonicalGrade:
    return CanonicalGrade(Grade.UNMAPPED, version, scheme.domain, scheme.nature, scheme.internal_use, reason)


def _undated(scheme: Scheme, raw: str) -> CanonicalGrade:
    label = normalise_label(raw)
    found = [version.grades.get(label, version.unknown_label) for version in scheme.versions]
    if len(found) == 1:
        return found[0]
    if any(grade.grade is not found[0].grade for grade in found):
        return _unmapped(scheme, "", Unmapped.UNDATED)
    if found[0].reason is not None:
        return _unmapped(scheme, "", found[0].reason)
    first = found[0]
    return CanonicalGrade(first.grade, "", first.domain, first.nature, first.internal_use)


def _scheme(node: TableNode, scheme_id: str) -> Scheme:
    node.allow("title_zh", "authority", "domain", "nature", "period", "published", "internal_use",
               "neutral_as", "versions")  # fmt: skip
    draft = Scheme(
        id=scheme_id,
        title_zh=node.text("title_zh"),
        authority=node.text("authority"),
        domain=node.choice("domain", Domain),
        nature=node.choice("nature", Nature, Nature.CREDIT),
        period=node.choice("period", Period),
        published=node.flag("published"),
        internal_use=node.flag("internal_use") or False,
        versions=(),
    )
    neutral_as = node.table.get("neutral_as", "NOT_RATED")
    if neutral_as not in ("NOT_RATED", "ATTENTION"):
        node.fault("neutral_as", "must be NOT_RATED or ATTENTION")
        neutral_as = "NOT_RATED"
    tables = node.table.get("versions")
    if not isinstance(tables, list) or not tables:
        node.fault("versions", "must be a list of at least one table")
        tables = []
    versions = [
        _version(node.child(f"versions[{i}]", table), draft, Grade[str(neutral_as)]) for i, table in enumerate(tables)
    ]
    for i, version in enumerate(versions):
        for earlier in versions[:i]:
            if earlier.version == version.version:
                node.fault(f"versions[{i}].version", f"{version.version} stands here twice")
            if earlier.valid_from <= version.valid_to and version.valid_from <= earlier.valid_to:
                node.fault(f"versions[{i}]", f"its days overlap those of {earlier.version}")
    return replace(draft, versions=tuple(versions))


def _version(node: TableNode, scheme: Scheme, neutral: Grade) -> SchemeVersion:
    node.allow("version", "basis", "valid_from", "valid_to", "certainty", "labels", "unsure_labels")
    name = node.text("version")
    valid_from, valid_to = node.day("valid_from", date.min), node.day("valid_to", date.max)
    if valid_to < valid_from:
        node.fault("valid_to", f"lies before valid_from ({valid_from})")
    certainty = node.choice("certainty", Certainty)
    unsure = _unmapped(scheme, name, Unmapped.UNSURE_LABEL)
    grades: dict[str, CanonicalGrade] = {}
    for key in ("labels", "unsure_labels"):
        labels = node.child(key)
        for grade_name in labels.table:
            if grade_name not in Grade.__members__ or grade_name == Grade.UNMAPPED.name:
                labels.fault(grade_name, "is no grade; use EXCELLENT … SEVERE or NOT_RATED")
                continue
            grade = neutral if grade_name == "NOT_RATED" else Grade[grade_name]
            mapped = CanonicalGrade(grade, name, scheme.domain, scheme.nature, scheme.internal_use)
            for label in labels.texts(grade_name):
                folded = normalise_label(label)
                if folded in grades:
                    labels.fault(grade_name, f"label {label} stands in this version already")
                is_sure = key == "labels" and certainty is not Certainty.UNSURE
                grades[folded] = mapped if is_sure else unsure
    if certainty is not Certainty.UNSURE and not node.table.get("labels"):
        node.fault("labels", 'must not be empty unless certainty is "unsure"')
    return SchemeVersion(
        version=name,
        basis=node.text("basis"),
        valid_from=valid_from,
        valid_to=valid_to,
        certainty=certainty,
        grades=grades,
        unknown_label=_unmapped(scheme, name, Unmapped.UNKNOWN_LABEL),
    )
