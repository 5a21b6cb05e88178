"""What is true: the simulated world, what is asked about it, and what each question showed while no platform failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from connectors.kit.enterprise import PLATFORMS, World
from connectors.kit.enterprise_codes import code_of
from connectors.kit.enterprises import DEFAULT_SEED, make_world
from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import (
    CATEGORY_HOUSING_FUND,
    CATEGORY_JUDICIAL_CASE,
    CATEGORY_LICENCE,
    CATEGORY_PENALTY,
    CATEGORY_REGISTRATION,
    CATEGORY_SUBJECT,
    CATEGORY_TAX_PAYMENT,
    Category,
)
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.domain.catalogue import CATALOGUE

PLATFORM_NAMES: Final = PLATFORMS
ENTERPRISES: Final = 40
WORLD_SEED: Final = DEFAULT_SEED
UNKNOWN: Final = code_of("91", "310115", "MA9NEWER")
"""A sound code that no platform knows."""
WRONG: Final = ("91310115MA0TERT160", "not a code", "91310115MA0TERT16I", "")

UNCONSENTED: Final = CATEGORY_HOUSING_FUND
"""What no consent of the soak covers, so that it is withheld wherever consents are enforced."""
RESTLESS: Final = CATEGORY_TAX_PAYMENT
"""What is asked under the consent that is revoked and registered anew; of the demonstration's enterprise."""

_ALL: Final = tuple(sorted(CATALOGUE.by_category))
CONSENTED: Final = tuple(
    number for number, plan in sorted(CATALOGUE.by_category.items()) if not plan.is_public and number != UNCONSENTED
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question without its enterprise: what is asked, and of whom; none of either means the gateway's default."""

    name: str
    categories: tuple[int, ...] = ()
    platforms: tuple[str, ...] = ()


ASKS: Final = (
    Ask("public"),
    Ask("whole", _ALL),
    Ask("partly", (CATEGORY_SUBJECT, CATEGORY_TAX_PAYMENT, CATEGORY_HOUSING_FUND, CATEGORY_JUDICIAL_CASE)),
    Ask("two", (CATEGORY_SUBJECT, CATEGORY_REGISTRATION, CATEGORY_LICENCE, CATEGORY_PENALTY), ("anhui", "shanghai")),
)
WHOLE: Final = ASKS[1]
RESTLESS_ASK: Final = Ask("restless", (RESTLESS,))


@cache
def world() -> World:
    """Gives the world as the platforms hold it."""
    return make_world(ENTERPRISES, WORLD_SEED)


def cast() -> tuple[str, ...]:
    """Gives the codes of the enterprises asked about: all examples, and some of the crowd."""
    examples = tuple(world().examples.values())
    return examples + tuple(uscc for uscc in world().enterprises if uscc not in examples)[:4]


def knowing(uscc: str, ask: Ask) -> frozenset[str]:
    """Gives the asked platforms that know an enterprise."""
    return frozenset(one for one in ask.platforms or PLATFORMS if world().find(one, uscc) is not None)


@cache
def persons_of(uscc: str) -> frozenset[str]:
    """Gives the names of persons in what the platforms hold about an enterprise, in clear."""
    enterprise = world().enterprises.get(uscc)
    if enterprise is None:
        return frozenset()
    held = [{**fact.values, **seen} for fact in enterprise.facts for seen in fact.seen.values()]
    return frozenset(name for values in held for name in _persons_in(values))


def _persons_in(values: Mapping[str, Any]) -> Iterator[str]:
    if "legal_rep" in values:
        yield values["legal_rep"]
    if values.get("kind") == "自然人股东":
        yield values["name"]
    yield from values.get("persons", ())


def message(uscc: str, ask: Ask, consents: tuple[str, ...] = (), **more: Any) -> pb.CreditQuery:
    """Gives the question as it is sent."""
    return pb.CreditQuery(
        uscc=uscc,
        purpose=PURPOSE_PRE_LOAN,
        categories=ask.categories,  # type: ignore[arg-type]  # enums are ints at run time
        platforms=ask.platforms,
        consent_ids=consents,
        **more,
    )


@dataclass(slots=True)
class Calm:
    """What a question showed while no platform failed.

    `told` is each platform's outcome and record count of each category; `sources` are what each platform states in the
    view, as pairs of a record type and the platform's statement. `view` is None where nobody knows the enterprise.
    """

    view: view_pb2.CreditView | None = None
    told: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    sources: Mapping[str, frozenset[tuple[str, bytes]]] = field(default_factory=dict)

    @staticmethod
    def of(view: view_pb2.CreditView) -> Calm:
        """Gives what a view shows."""
        told = {
            (a.platform, int(c.category)): (int(c.outcome), c.record_count) for a in view.answers for c in a.categories
        }
        return Calm(view, told, {a.platform: sources_of(view, a.platform) for a in view.answers})


def sources_of(view: view_pb2.CreditView, platform: str) -> frozenset[tuple[str, bytes]]:
    """Gives what a platform states in a view: record types, and digests of its statements."""
    return frozenset(
        (descriptor.name, provenance.digest)
        for descriptor, records in view.records.ListFields()
        for record in records
        for provenance in record.envelope.provenances
        if provenance.platform == platform
    )


def named(category: int) -> str:
    """Gives a category's name."""
    return Category.Name(category).removeprefix("CATEGORY_")  # type: ignore[arg-type]
