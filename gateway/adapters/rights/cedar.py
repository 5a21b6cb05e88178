"""Decisions by Cedar: denied unless a policy permits and none forbids; each is kept until the policies change.

A decision of the engine takes hundreds of microseconds, most of them for the entities; the same few questions come again and
again, so one that was decided under these policies is a look-up, and so are those of one query together. What no policy can
see of a caller (its certificate, and its operator where no policy asks) is no part of the question.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import cedarpy

from gateway.adapters.rights.policies import Policies
from gateway.domain.caller import Caller
from gateway.domain.rights import DENY_BY_DEFAULT, NOT_DECIDABLE, Decision, Resource

MOST_KEPT: Final = 50_000
"""Decisions kept at most: about 20 MB. Beyond that all are forgotten, which costs less than to know the oldest."""
MOST_KEPT_TOGETHER: Final = 5_000
"""What queries ask for in one: each has a decision for each of its categories, which are kept anyway."""
_UNDECIDABLE: Final = Decision(False, NOT_DECIDABLE)
_CALLER: Final = {"type": "Caller", "id": "caller"}
_METHOD: Final = {"type": "Method", "id": "method"}
_CREDIT: Final = {"type": "Credit", "id": "credit"}
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

Asker: TypeAlias = tuple[str, frozenset[Any], str, str, str, bool]


class CedarRights:
    """Fulfils `Rights`; the policies may be changed under it, from the thread that asks."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._decided: dict[tuple[Asker, str, Resource], Decision] = {}
        self._together: dict[tuple[Asker, str, tuple[Resource, ...]], tuple[Decision, ...]] = {}

    @property
    def policies(self) -> Policies:
        """The policies in force."""
        return self._policies

    def use(self, policies: Policies) -> None:
        """Puts other policies in force, and forgets what was decided by the former."""
        self._policies = policies
        self._decided = {}
        self._together = {}

    def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
        """Gives the decision of the policies in force; what cannot be decided is denied."""
        question = (self._asker(caller), action, resource)
        decision = self._decided.get(question)
        if decision is None:
            decision = decide(self._policies, caller, action, resource)
            if len(self._decided) >= MOST_KEPT:
                self._decided.clear()
            self._decided[question] = decision
        return decision

    def decide_each(self, caller: Caller, action: str, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
        """Gives the decisions on what one query asks for, in order."""
        question = (self._asker(caller), action, resources)
        decisions = self._together.get(question)
        if decisions is None:
            decisions = tuple(self.decide(caller, action, resource) for resource in resources)
            if len(self._together) >= MOST_KEPT_TOGETHER:
                self._together.clear()
            self._together[question] = decisions
        return decisions

    def _asker(self, caller: Caller) -> Asker:
        """Gives what policies can see of a caller."""
        return (
            caller.bank,
            caller.roles,
            caller.branch,
            caller.province,
            caller.operator if self._policies.looks_at_operator else "",
            caller.is_development,
        )


def decide(policies: Policies, caller: Caller, action: str, resource: Resource) -> Decision:
    """Decides anew. A policy that cannot be evaluated denies: Cedar would pass over it, were it a `forbid`."""
    if _SURROGATE.search("".join((caller.bank, caller.operator, caller.branch, action, *resource))):
        return _UNDECIDABLE  # no text of Cedar's; the engine would raise
    request, entities = question_of(caller, action, resource)
    try:
        result = cedarpy.is_authorized(request, policies.policy_set, entities, policies.schema)
    except ValueError:
        return _UNDECIDABLE
    if result.diagnostics.errors:
        return _UNDECIDABLE
    return Decision(result.allowed, ",".join(sorted(result.diagnostics.reasons)) or DENY_BY_DEFAULT)


def question_of(caller: Caller, action: str, resource: Resource) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Gives Cedar's request and its entities: a caller in its roles and bank, and what is asked for."""
    who = {
        "uid": _CALLER,
        "attrs": {
            "bank": _reference("Bank", caller.bank),
            "operator": caller.operator,
            "branch": caller.branch,
            "province": caller.province,
            "is_development": caller.is_development,
        },
        "parents": [
            {"type": "Bank", "id": caller.bank},
            *({"type": "Role", "id": role.value} for role in sorted(caller.roles)),
        ],
    }
    if not resource.purpose and not resource.category:
        what: dict[str, Any] = {"uid": _METHOD, "attrs": {}, "parents": []}
    else:
        asked = {
            "purpose": _reference("Purpose", resource.purpose),
            "category": _reference("Category", resource.category),
            "province": resource.province,
            "branch": resource.branch,
        }
        what = {"uid": _CREDIT, "attrs": asked, "parents": []}
    request = {"principal": _CALLER, "action": {"type": "Action", "id": action}, "resource": what["uid"]}
    return request, [who, what]


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": {"type": kind, "id": name}}
