"""Policies compiled: parsed once, checked against the schema, every fault named by file and policy id.

    policies/*.cedar ─► parsed one by one (a fault names its file) ─► validated (a fault names its policy)
                     ─► one policy set whose ids are the policies' own @id ─► decisions name them

Cedar numbers policies by their place; an id that moves when a line is added is of no use in a trail. So every policy must
state its own, and the set is put together from the parsed form under those.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import cedarpy

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Purpose
from gateway.adapters.rights.alike import Comparisons, comparisons
from gateway.adapters.rights.sources import FOLDER, SCHEMA, PolicySources
from gateway.domain.caller import ANONYMOUS, Role
from gateway.domain.errors import ConfigError
from gateway.domain.rights import DENY_BY_DEFAULT, NOT_DECIDABLE

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RESERVED: Final = frozenset({DENY_BY_DEFAULT, NOT_DECIDABLE})
_METHOD: Final = re.compile(r'"(\w+Service/\w+)"')
_POSITIONAL: Final = re.compile(r"for policy `policy\d+`[,:] ")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: its id, the file it stands in, its effect, its description, and its parsed form (Cedar's JSON)."""

    id: str
    file: str
    is_permit: bool
    en: str
    zh: str
    parsed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything decisions rest on; `version` changes with any text, `looks_at_operator` says whether any policy does.

    `compared` is what policies compare a question's texts with; `methods` are those that policies may speak of, in the
    schema's order.
    """

    version: str
    schema: cedarpy.Schema
    policy_set: cedarpy.PolicySet
    by_id: Mapping[str, Policy]
    looks_at_operator: bool
    compared: Comparisons
    methods: tuple[str, ...]


def compile_policies(sources: PolicySources) -> Policies:
    """Gives the compiled policies; raises ConfigError with every fault as "policies/file: policy id: what is wrong"."""
    faults = list(sources.faults)
    text = sources.schema + _enumerations()
    try:
        schema = _schema(text)
    except ValueError as error:
        raise ConfigError([*faults, f"{FOLDER}/{SCHEMA}: {_one_line(error)}"]) from error
    by_id: dict[str, Policy] = {}
    for name, policies in sources.files.items():
        found, broken = _of_file(f"{FOLDER}/{name}", policies, text)
        faults += broken
        for policy in found:
            if policy.id in by_id:
                faults.append(f"{policy.file}: {policy.id}: {by_id[policy.id].file} has a policy of that id already")
            by_id[policy.id] = policy
    if not by_id and not faults:
        faults.append(f"{FOLDER}: no policy is stated, so that nothing would be permitted")
    if faults:
        raise ConfigError(faults)
    told = json.dumps([text, sorted(sources.files.items())], ensure_ascii=False)
    return Policies(
        version=hashlib.sha256(told.encode()).hexdigest()[:12],
        schema=schema,
        policy_set=cedarpy.PolicySet.from_json_str(set_of({key: policy.parsed for key, policy in by_id.items()})),
        by_id=by_id,
        looks_at_operator=any('"attr": "operator"' in json.dumps(policy.parsed) for policy in by_id.values()),
        compared=comparisons([policy.parsed for policy in by_id.values()]),
        methods=tuple(_METHOD.findall(sources.schema)),
    )


def unknown_banks(policies: Policies, known: Collection[str]) -> tuple[str, ...]:
    """Gives a fault for every bank that a policy names and nobody has: such a policy is sound, and never means anybody.

    The empty name (an operator's) and that of an anonymous caller in development are known.
    """
    faults = []
    for policy in policies.by_id.values():
        for bank in sorted({*_banks(policy.parsed)} - {*known, "", ANONYMOUS}):
            near = difflib.get_close_matches(bank, sorted(known), 1)
            hint = f"; is {near[0]!r} meant?" if near else "; add it there, or take it out of the policy"
            faults.append(f"{policy.file}: {policy.id}: Bank::{json.dumps(bank)} is no bank of banks.toml{hint}")
    return tuple(faults)


def _banks(parsed: Any) -> Iterator[str]:
    """Gives the names of banks anywhere in a parsed policy; Cedar states an entity as its type and id wherever it stands."""
    if isinstance(parsed, Mapping):
        if parsed.get("type") == "Bank" and isinstance(parsed.get("id"), str):
            yield parsed["id"]
        for part in parsed.values():
            yield from _banks(part)
    elif isinstance(parsed, list):
        for part in parsed:
            yield from _banks(part)


def set_of(parsed: Mapping[str, Mapping[str, Any]]) -> str:
    """Gives Cedar's JSON of a set of these policies by their ids."""
    return json.dumps({"staticPolicies": parsed, "templates": {}, "templateLinks": []}, ensure_ascii=False)


@cache
def _enumerations() -> str:
    lists = {
        "Role": [role.value for role in Role],
        "Purpose": [name.removeprefix("PURPOSE_") for name, value in Purpose.items() if value],
        "Category": [name.removeprefix("CATEGORY_") for name, value in Category.items() if value],
    }
    return "".join(f"\nentity {name} enum {json.dumps(values)};\n" for name, values in lists.items())


@lru_cache(maxsize=2)
def _schema(text: str) -> cedarpy.Schema:
    return cedarpy.Schema.from_str(text)


@lru_cache(maxsize=64)
def _of_file(file: str, text: str, schema: str) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
    """Gives a file's policies and faults; a file is compiled again only when it, or the schema, has changed."""
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        return (), (f"{file}: {_one_line(error)}",)
    faults: list[str] = []
    if parsed["templates"]:
        faults.append(f"{file}: has a template (?principal or ?resource); write out whom and what it is about")
    found: dict[str, Policy] = {}
    for place, policy in parsed["staticPolicies"].items():
        notes = policy.get("annotations", {})
        stated = notes.get("id") or ""
        if not _ID.fullmatch(stated) or stated in _RESERVED:
            number = int(place.removeprefix("policy")) + 1
            faults.append(
                f"{file}: policy {number}: give it an @id of small letters, digits and hyphens"
                f" ({stated!r} is none, or is reserved)"
            )
            stated = f"policy {number}"
        found[place] = Policy(
            stated, file, policy["effect"] == "permit", notes.get("en") or "", notes.get("zh") or "", policy
        )
    if found:
        for fault in cedarpy.validate_policies(text, _schema(schema)).errors:
            named = found.get(fault.policy_id)
            where = f"{file}: {named.id}" if named is not None else file
            faults.append(f"{where}: {_POSITIONAL.sub('', _one_line(fault.error))}")
    return tuple(found.values()), tuple(faults)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
