"""The facts about a platform that hold everywhere: `manifest.toml`, read once into a `Platform`, every fault listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category, UpdateCycle
from gateway.domain.platform import CategoryCoverage, Platform, PlatformLimits, Tier

_TABLES: Final = ("platform", "limits", "coverage", "wire")
_TEXT, _CLAIM, _COUNT = "a text", "true or false", "a whole number that is not negative"
_TEXTS, _YEARS = "a list of texts", "a list of years"
_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    _TEXT: lambda value: isinstance(value, str),
    _CLAIM: lambda value: isinstance(value, bool),
    _COUNT: lambda value: type(value) is int and value >= 0,
    _TEXTS: lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    _YEARS: lambda value: isinstance(value, list) and all(type(item) is int for item in value),
}
_PLATFORM_KEYS: Final = {
    "id": _TEXT, "title_zh": _TEXT, "title_en": _TEXT, "tier": _TEXT, "province": _TEXT, "dialect": _TEXT,
    "is_simulated": _CLAIM, "is_idempotent": _CLAIM, "is_direct": _CLAIM, "documentation": _TEXT, "owner": _TEXT,
    "lists_kept": _TEXTS,
}  # fmt: skip
_LIMIT_KEYS: Final = {
    "calls_per_second": _COUNT, "calls_per_day": _COUNT, "is_metered": _CLAIM, "is_billed_per_bank": _CLAIM,
    "max_body_bytes": _COUNT, "max_records": _COUNT, "maintenance_windows": _TEXTS,
}  # fmt: skip
_COVERAGE_KEYS: Final = {"update_cycle": _TEXT, "years": _YEARS, "missing_years": _YEARS, "note": _TEXT}
_PROVINCE: Final = re.compile("[1-9][0-9]", re.ASCII)


class ManifestFault(ValueError):  # noqa: N818  # a list of faults, for the operator
    """What is wrong in a manifest; `faults` are texts that name the key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A platform's facts, and the settings of its dialect for the kit's wire code."""

    platform: Platform
    dialect: Mapping[str, Any]


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """Reads a parsed manifest.toml; raises ManifestFault with every fault."""
    faults: list[str] = []
    faults += [f"{key}: unknown table; known are {', '.join(_TABLES)}" for key in document.keys() - set(_TABLES)]
    table = _table(document.get("platform", {}), "platform", _PLATFORM_KEYS, faults)
    limits = _table(document.get("limits", {}), "limits", _LIMIT_KEYS, faults)
    wire = _table(document.get("wire", {}), "wire", None, faults)
    for key in ("id", "title_zh", "title_en", "tier"):
        if not table.get(key):
            faults.append(f"platform.{key}: is missing")
    if "is_simulated" not in table:  # no default: banks are told, and neither guess is harmless
        faults.append("platform.is_simulated: is missing; write false for a real platform, true for a sandbox")
    tier = table.get("tier", "PROVINCE")
    if tier not in Tier.__members__:
        faults.append(f"platform.tier: {tier!r}; use one of {', '.join(Tier.__members__)}")
        tier = "PROVINCE"
    if not _PROVINCE.fullmatch(str(table.get("province", "31"))):
        faults.append(f'platform.province: {table["province"]!r}; use the two digits of GB/T 2260, such as "31"')
    coverage = _coverage(_table(document.get("coverage", {}), "coverage", None, faults), faults)
    if not coverage:
        faults.append("coverage: covers no category; a platform without coverage is never asked")
    if faults:
        raise ManifestFault(sorted(faults))
    windows = tuple(limits.get("maintenance_windows", ()))
    platform = Platform(
        id=table["id"],
        title_zh=table["title_zh"],
        title_en=table["title_en"],
        tier=Tier[tier],
        province=table.get("province"),
        dialect=table.get("dialect", ""),
        is_simulated=table["is_simulated"],
        is_idempotent=table.get("is_idempotent", True),
        is_direct=table.get("is_direct", True),
        coverage=coverage,
        lists_kept=frozenset(table.get("lists_kept", ())),
        limits=PlatformLimits(**{**limits, "maintenance_windows": windows}),
        documentation=table.get("documentation", ""),
        owner=table.get("owner", ""),
    )
    return Manifest(platform, wire)


def _table(table: Any, where: str, keys: Mapping[str, str] | None, faults: list[str]) -> Mapping[str, Any]:
    """Gives a table, or of one with faults what is sound; `keys` are the known ones and what stands in each."""
    if not isinstance(table, Mapping):
        faults.append(f"{where}: must be a table")
        return {}
    if keys is None:
        return table
    sound: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            faults.append(f"{where}.{key}: unknown key; known are {', '.join(keys)}")
        elif not _FITS[keys[key]](value):
            faults.append(f"{where}.{key}: must be {keys[key]}")
        else:
            sound[key] = value
    return sound


def _coverage(table: Mapping[str, Any], faults: list[str]) -> dict[int, CategoryCoverage]:
    coverage: dict[int, CategoryCoverage] = {}
    for name, entry in table.items():
        if f"CATEGORY_{name}" not in Category.keys() or name == "UNSPECIFIED":  # noqa: SIM118  # an enum, not a dict
            faults.append(f"coverage.{name}: no such category; use one of {_choices(Category)}")
            continue
        entry = _table(entry, f"coverage.{name}", _COVERAGE_KEYS, faults)
        cycle = f"UPDATE_CYCLE_{entry.get('update_cycle', 'UNSPECIFIED')}"
        if cycle not in UpdateCycle.keys():  # noqa: SIM118  # an enum, not a dict
            stated = entry["update_cycle"]
            faults.append(f"coverage.{name}.update_cycle: {stated!r} is unknown; use one of {_choices(UpdateCycle)}")
            continue
        category = Category.Value(f"CATEGORY_{name}")
        coverage[category] = CategoryCoverage(
            category=category,
            update_cycle=UpdateCycle.Value(cycle),
            years=tuple(entry.get("years", ())),
            missing_years=tuple(entry.get("missing_years", ())),
            note=entry.get("note", ""),
        )
    return dict(sorted(coverage.items()))


def _choices(enum: Any) -> str:
    prefix = enum.Name(0).removesuffix("UNSPECIFIED")
    return ", ".join(name.removeprefix(prefix) for name in enum.keys()[1:])
