"""A decision explained: which policies decided, and of one that was denied, what the nearest permit would have needed.

Each permit is taken apart into what it demands (of caller, method and resource, and every part of its conditions), and each
demand is put to Cedar as a policy of its own, all in one question. The nearest permits are those with the fewest unmet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cedarpy

from gateway.adapters.rights.cedar import decide, question_of
from gateway.adapters.rights.policies import Policies, Policy, set_of
from gateway.domain.caller import Caller
from gateway.domain.rights import Decision, Resource

_ANY: Final = {
    "effect": "permit",
    "principal": {"op": "All"},
    "action": {"op": "All"},
    "resource": {"op": "All"},
    "conditions": [],
}
_SCOPES: Final = ("principal", "action", "resource")


@dataclass(frozen=True, slots=True)
class NearPermit:
    """A permit that did not hold, with what it demands and did not get, in Cedar's words."""

    policy: Policy
    unmet: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with the policies that made it, none where it was denied by default, and the nearest permits if denied."""

    decision: Decision
    deciding: tuple[Policy, ...]
    nearest: tuple[NearPermit, ...]


def explain(policies: Policies, caller: Caller, action: str, resource: Resource) -> Explanation:
    """Gives the decision and why."""
    decision = decide(policies, caller, action, resource)
    deciding = tuple(policies.by_id[name] for name in decision.policy.split(",") if name in policies.by_id)
    nearest = () if decision.is_allowed or deciding else tuple(_nearest(policies, caller, action, resource))
    return Explanation(decision, deciding, nearest)


def _nearest(policies: Policies, caller: Caller, action: str, resource: Resource) -> Iterator[NearPermit]:
    demands = {policy.id: _demands(policy.parsed) for policy in policies.by_id.values() if policy.is_permit}
    single = {f"{name}/{place}": one for name, all_of in demands.items() for place, one in enumerate(all_of)}
    request, entities = question_of(caller, action, resource)
    asked = cedarpy.PolicySet.from_json_str(set_of(single))
    # Demands that cannot be evaluated, such as of a category where there is none, are unmet like any other.
    met = frozenset(cedarpy.is_authorized(request, asked, entities, policies.schema).diagnostics.reasons)
    unmet = {
        name: [one for place, one in enumerate(all_of) if f"{name}/{place}" not in met]
        for name, all_of in demands.items()
    }
    ranks = {name: (sum(map(_is_about_the_question, missing)), len(missing)) for name, missing in unmet.items()}
    for name, rank in ranks.items():
        if rank == min(ranks.values()):
            yield NearPermit(policies.by_id[name], tuple(map(_text, unmet[name])))


def _is_about_the_question(demand: Mapping[str, Any]) -> bool:
    """Whether it demands another method or another kind of resource: what is near then permits something else."""
    return bool(demand["action"]["op"] != "All" or demand["resource"]["op"] != "All")


def _demands(parsed: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Gives what a permit demands, each as a policy that demands nothing else."""
    scopes = [{**_ANY, part: parsed[part]} for part in _SCOPES if parsed[part]["op"] != "All"]
    conditions = [
        {**_ANY, "conditions": [{"kind": condition["kind"], "body": part}]}
        for condition in parsed["conditions"]
        for part in (_parts(condition["body"]) if condition["kind"] == "when" else [condition["body"]])
    ]
    return [*scopes, *conditions]


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    both = body.get("&&")
    if both is None:
        yield body
    else:
        yield from _parts(both["left"])
        yield from _parts(both["right"])


def _text(demand: Mapping[str, Any]) -> str:
    """Gives a single demand in Cedar's words, taken out of the policy that consists of it."""
    whole = " ".join(cedarpy.policies_from_json_str(set_of({"demand": demand})).split())
    if demand["conditions"]:
        return whole.partition("resource) ")[2].removesuffix(";").strip()
    scope = whole.partition("(")[2].rpartition(")")[0]
    scope = scope.removeprefix("principal, action, ").removeprefix("principal, ")
    return scope.removesuffix(", action, resource").removesuffix(", resource").strip()
