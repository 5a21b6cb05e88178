"""What is true of an enterprise in the sandboxes' world, and which platform holds it with which deviations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

PLATFORMS: Final = ("shanghai", "jiangsu", "zhejiang", "anhui")
PROVINCE: Final = {"shanghai": "31", "jiangsu": "32", "zhejiang": "33", "anhui": "34"}

Overrides = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of one kind, and who holds it with which deviations."""

    kind: str
    values: Mapping[str, Any]
    seen: Mapping[str, Overrides]

    def at(self, platform: str) -> dict[str, Any] | None:
        """Gives the fact as a platform holds it, None when it does not."""
        overrides = self.seen.get(platform)
        return None if overrides is None else {**self.values, **overrides}


@dataclass(slots=True)
class Enterprise:
    """One synthetic enterprise; `known_by` maps a platform to the key it knows the firm by, "uscc" or "reg_no"."""

    uscc: str
    name: str
    reg_no: str
    facts: list[Fact] = field(default_factory=list)
    known_by: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, values: Mapping[str, Any], **seen: Overrides) -> None:
        """Adds a fact; platforms are named by keyword, with their deviations."""
        self.facts.append(Fact(kind, values, seen))
        for platform in seen:
            self.known_by.setdefault(platform, "uscc")

    def repair(self, platform: str, kind: str, on: date) -> int:
        """Repairs what a platform holds of a kind, penalties or list entries; gives how many facts that were."""
        told = {
            "list_entry": {"removed": on, "removal_reason": "信用修复"},
            "penalty": {"status": "已修复", "status_on": on},
        }[kind]
        count = 0
        for place, fact in enumerate(self.facts):
            held = fact.seen.get(platform)
            if fact.kind == kind and held is not None:
                self.facts[place] = Fact(kind, fact.values, {**fact.seen, platform: {**held, **told}})
                count += 1
        return count

    def share(self, platform: str, other: str) -> None:
        """Lets another platform hold what a platform holds, with the same deviations; what is changed later is its own."""
        for place, fact in enumerate(self.facts):
            if platform in fact.seen:
                self.facts[place] = Fact(fact.kind, fact.values, {**fact.seen, other: fact.seen[platform]})
        if platform in self.known_by:
            self.known_by[other] = self.known_by[platform]

    def at(self, platform: str, kind: str) -> list[dict[str, Any]]:
        """Gives the facts of one kind as a platform holds them."""
        held = (fact.at(platform) for fact in self.facts if fact.kind == kind)
        return [values for values in held if values is not None]


@dataclass(frozen=True, slots=True)
class World:
    """All enterprises, by code; `examples` names those that show one thing each."""

    enterprises: Mapping[str, Enterprise]
    examples: Mapping[str, str]

    def find(self, platform: str, uscc: str) -> Enterprise | None:
        """Gives the enterprise if the platform knows it."""
        enterprise = self.enterprises.get(uscc)
        return enterprise if enterprise is not None and platform in enterprise.known_by else None
