"""Graded supervision (分级分类监管): classes by a scheme's table, and samples drawn by lot, reproducible by anybody.

An enterprise's lot is a digest of seed and code, and the smallest lots of a class are drawn: neither the order of the
population nor the version of a random number generator can change a sample, and a larger share only adds to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway.domain.errors import ConfigError, InvalidRequestError

_WHOLE: Final = 10_000


class SupervisionClass(StrEnum):
    """How an enterprise is classed, the most trustworthy first."""

    TRUSTWORTHY = "TRUSTWORTHY"
    WARNED = "WARNED"
    DISHONEST = "DISHONEST"
    SEVERELY_DISHONEST = "SEVERELY_DISHONEST"


@dataclass(frozen=True, slots=True)
class SupervisionScheme:
    """One scheme: the class of each raw grade, and the share of each class in basis points."""

    id: str
    title_zh: str
    classes: Mapping[str, SupervisionClass]
    basis_points: Mapping[SupervisionClass, int]


class ClassSample(NamedTuple):
    """What was drawn of one class, ascending."""

    class_: SupervisionClass
    population_count: int
    usccs: tuple[str, ...]


def supervision_schemes_of(table: Mapping[str, Any]) -> Mapping[str, SupervisionScheme]:
    """Gives the schemes of `supervision.toml` by id; raises ConfigError with every fault."""
    faults = [f"{key}: is not known here" for key in table if key != "scheme"]
    schemes: dict[str, SupervisionScheme] = {}
    for name, stated in table.get("scheme", {}).items():
        at = f"scheme.{name}"
        known = {"title_zh", "source", "certainty", "classes", "basis_points"}
        wrong = [f"{at}.{key}: is not known here" for key in stated if key not in known]
        classes, shares = stated.get("classes", {}), stated.get("basis_points", {})
        wrong += [f"{at}.title_zh: is needed"] if not stated.get("title_zh") else []
        wrong += [f"{at}.classes: are needed"] if not classes else []
        wrong += [f"{at}.classes.{g}: {c!r} is none of {', '.join(SupervisionClass)}" for g, c in classes.items()
                  if c not in tuple(SupervisionClass)]  # fmt: skip
        wrong += [f"{at}.basis_points.{c}: is no class" for c in shares if c not in tuple(SupervisionClass)]
        wrong += [f"{at}.basis_points.{c}: is needed" for c in SupervisionClass if c not in shares]
        wrong += [f"{at}.basis_points.{c}: must be a whole number from 0 to {_WHOLE}" for c, share in shares.items()
                  if not isinstance(share, int) or isinstance(share, bool) or not 0 <= share <= _WHOLE]  # fmt: skip
        faults += wrong
        if not wrong:
            schemes[name] = SupervisionScheme(
                name,
                stated["title_zh"],
                {grade: SupervisionClass(one) for grade, one in classes.items()},
                {SupervisionClass(one): share for one, share in shares.items()},
            )
    if faults:
        raise ConfigError([f"supervision.toml: {fault}" for fault in faults])
    return schemes


def classed(
    scheme: SupervisionScheme, population: Sequence[tuple[str, str]]
) -> Mapping[SupervisionClass, Sequence[str]]:
    """Gives codes by class from (code, raw grade); raises InvalidRequestError for an unknown grade or a code given twice."""
    found: dict[SupervisionClass, list[str]] = {each: [] for each in SupervisionClass}
    seen: set[str] = set()
    for index, (uscc, grade) in enumerate(population):
        known = scheme.classes.get(grade)
        if known is None:
            grades = ", ".join(scheme.classes)
            raise InvalidRequestError(f"population[{index}].grade_raw", f"{grade!r} is none of {scheme.id}: {grades}")
        if uscc in seen:
            raise InvalidRequestError(f"population[{index}].uscc", "stands in the population before")
        seen.add(uscc)
        found[known].append(uscc)
    return found


def draw(
    population: Mapping[SupervisionClass, Sequence[str]],
    basis_points: Mapping[SupervisionClass, int],
    seed: str,
    total: int = 0,
) -> tuple[ClassSample, ...]:
    """Gives the sample, every class in order; `total` is how many altogether, 0 for what the shares give.

    Raises InvalidRequestError where so many cannot be drawn.
    """
    counts = allotted({each: len(population[each]) for each in SupervisionClass}, basis_points, total)
    return tuple(
        ClassSample(each, len(population[each]), _drawn(population[each], counts[each], seed))
        for each in SupervisionClass
    )


def allotted(
    sizes: Mapping[SupervisionClass, int], basis_points: Mapping[SupervisionClass, int], total: int
) -> Mapping[SupervisionClass, int]:
    """Gives how many to draw of each class, exactly `total` altogether, by the largest remainder; ties to the worse class."""
    weights = {each: basis_points[each] * sizes[each] for each in SupervisionClass}
    whole = total or (sum(weights.values()) + _WHOLE // 2) // _WHOLE
    counts = dict.fromkeys(SupervisionClass, 0)
    if whole > sum(size for each, size in sizes.items() if weights[each]):
        raise InvalidRequestError("total", "is more than the classes with a share have")
    open_ = [each for each in SupervisionClass if weights[each]]
    left = whole
    while left and open_:
        weight = sum(weights[each] for each in open_)
        full = [each for each in open_ if weights[each] * left >= sizes[each] * weight]
        if full:  # a class that its share would overfill is taken whole, and what it cannot take falls to the others
            for each in full:
                counts[each] = sizes[each]
            left = whole - sum(counts.values())
            open_ = [each for each in open_ if each not in full]
            continue
        for each in open_:
            counts[each] = weights[each] * left // weight
        rest = left - sum(counts[each] for each in open_)
        order = list(SupervisionClass)
        by_remainder = sorted(open_, key=lambda each: (-(weights[each] * left % weight), -order.index(each)))
        for each in by_remainder[:rest]:
            counts[each] += 1
        break
    return counts


def _drawn(usccs: Sequence[str], count: int, seed: str) -> tuple[str, ...]:
    prefix = hashlib.sha256(seed.encode()).digest()
    by_lot = sorted(usccs, key=lambda uscc: (hashlib.sha256(prefix + uscc.encode()).digest(), uscc))
    return tuple(sorted(by_lot[:count]))
