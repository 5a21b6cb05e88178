"""Decisions by Cedar: denied unless a policy permits and none forbids; each is kept until the policies change.

A decision of the engine takes hundreds of microseconds, most of them for the entities; the same few questions come again and
again. So what was decided under these policies is kept, twice: by the question's own words, which is a look-up, and behind
that by what policies can tell of them (`alike.py`), so that no caller makes the engine decide anew by inventing names. What
no policy can see of a caller (its certificate, and its operator where no policy asks) is no part of the question.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import cedarpy

from gateway.adapters.rights.policies import Policies
from gateway.domain.caller import Caller
from gateway.domain.rights import DENY_BY_DEFAULT, NOT_DECIDABLE, Decision, Resource

MOST_KEPT: Final = 50_000
"""Decisions kept at most: about 20 MB. Beyond that those of the bank that has most are forgotten, no other's."""
MOST_IN_WORDS: Final = 5_000
"""Questions known by their own words, and as many that queries ask in one. Beyond that all are forgotten: to find what was
decided on a like question costs some microseconds."""
_UNDECIDABLE: Final = Decision(False, NOT_DECIDABLE)
_CALLER: Final = {"type": "Caller", "id": "caller"}
_METHOD: Final = {"type": "Method", "id": "method"}
_CREDIT: Final = {"type": "Credit", "id": "credit"}
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

Asker: TypeAlias = tuple[str, frozenset[Any], str, str, str, bool]


class CedarRights:
    """Fulfils `Rights`; the policies may be changed under it, from the thread that asks."""

    def __init__(self, policies: Policies, *, most_kept: int = MOST_KEPT) -> None:
        self._most_kept = most_kept
        self.use(policies)

    @property
    def policies(self) -> Policies:
        """The policies in force."""
        return self._policies

    def use(self, policies: Policies) -> None:
        """Puts other policies in force, and forgets what was decided by the former."""
        self._policies = policies
        self._in_words: dict[tuple[Asker, str, Resource], Decision] = {}
        self._together: dict[tuple[Asker, str, tuple[Resource, ...]], tuple[Decision, ...]] = {}
        self._decided: dict[str, dict[tuple[object, ...], Decision]] = {}
        self._count = 0

    def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
        """Gives the decision of the policies in force; what cannot be decided is denied."""
        question = (self._asker(caller), action, resource)
        decision = self._in_words.get(question)
        if decision is None:
            decision = self._decide_alike(caller, action, resource)
            if len(self._in_words) >= MOST_IN_WORDS:
                self._in_words.clear()
            self._in_words[question] = decision
        return decision

    def decide_each(self, caller: Caller, action: str, resources: tuple[Resource, ...]) -> tuple[Decision, ...]:
        """Gives the decisions on what one query asks for, in order."""
        question = (self._asker(caller), action, resources)
        decisions = self._together.get(question)
        if decisions is None:
            decisions = tuple(self._decide_alike(caller, action, resource) for resource in resources)
            if len(self._together) >= MOST_IN_WORDS:
                self._together.clear()
            self._together[question] = decisions
        return decisions

    def _decide_alike(self, caller: Caller, action: str, resource: Resource) -> Decision:
        """Gives what was decided on a question that policies cannot tell from this one, else decides this one."""
        purpose, category, province, branch = resource
        operator = caller.operator if self._policies.looks_at_operator else ""
        texts = (operator, caller.branch, caller.province, province, branch)
        if _SURROGATE.search("".join(texts)):
            return _UNDECIDABLE
        alike = (caller.roles, caller.is_development, action, purpose, category, self._policies.compared.kinds(texts))
        decision = self._decided.get(caller.bank, {}).get(alike)
        if decision is None:
            decision = decide(self._policies, caller, action, resource)
            if self._count >= self._most_kept:
                most = max(self._decided, key=lambda bank: len(self._decided[bank]))
                self._count -= len(self._decided.pop(most))
            self._decided.setdefault(caller.bank, {})[alike] = decision
            self._count += 1
        return decision

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
