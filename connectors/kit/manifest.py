"""The facts about a platform that hold everywhere: `manifest.toml`, read once into a `Platform`, every fault listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category, UpdateCycle
from gateway.domain.platform import CategoryCoverage, Platform, PlatformLimits, Tier

_PLATFORM_KEYS: Final = frozenset(
    {
        "id", "title_zh", "title_en", "tier", "province", "dialect", "is_simulated", "is_idempotent",
        "is_direct", "documentation", "owner", "lists_kept", "quality",
    }
)  # fmt: skip
_LIMIT_KEYS: Final = frozenset(PlatformLimits.__dataclass_fields__)
_COVERAGE_KEYS: Final = frozenset({"update_cycle", "years", "missing_years", "note"})


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
    table = document.get("platform", {})
    limits = document.get("limits", {})
    faults += [f"platform.{key}: unknown key" for key in table.keys() - _PLATFORM_KEYS]
    faults += [f"limits.{key}: unknown key" for key in limits.keys() - _LIMIT_KEYS]
    faults += [f"{key}: unknown table" for key in document.keys() - {"platform", "limits", "coverage", "wire"}]
    for key in ("id", "title_zh", "title_en", "tier"):
        if not table.get(key):
            faults.append(f"platform.{key}: is missing")
    tier = table.get("tier", "PROVINCE")
    if tier not in Tier.__members__:
        faults.append(f"platform.tier: {tier!r}; use one of {', '.join(Tier.__members__)}")
        tier = "PROVINCE"
    coverage = _coverage(document.get("coverage", {}), faults)
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
        is_simulated=table.get("is_simulated", True),
        is_idempotent=table.get("is_idempotent", True),
        is_direct=table.get("is_direct", True),
        coverage=coverage,
        lists_kept=frozenset(table.get("lists_kept", ())),
        limits=PlatformLimits(**{**limits, "maintenance_windows": windows}),
        documentation=table.get("documentation", ""),
        owner=table.get("owner", ""),
    )
    return Manifest(platform, document.get("wire", {}))


def _coverage(table: Mapping[str, Any], faults: list[str]) -> dict[int, CategoryCoverage]:
    coverage: dict[int, CategoryCoverage] = {}
    for name, entry in table.items():
        if f"CATEGORY_{name}" not in Category.keys() or name == "UNSPECIFIED":  # noqa: SIM118  # an enum, not a dict
            faults.append(f"coverage.{name}: no such category")
            continue
        faults += [f"coverage.{name}.{key}: unknown key" for key in entry.keys() - _COVERAGE_KEYS]
        cycle = f"UPDATE_CYCLE_{entry.get('update_cycle', 'UNSPECIFIED')}"
        if cycle not in UpdateCycle.keys():  # noqa: SIM118  # an enum, not a dict
            faults.append(f"coverage.{name}.update_cycle: {entry['update_cycle']!r} is unknown")
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
