"""Manifests: whatever nobody reads, or cannot be meant so, is a fault that names the key and says what may stand there."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kit.manifest import ManifestFault, read_manifest

PLATFORM: dict[str, Any] = {
    "id": "p",
    "title_zh": "平台",
    "title_en": "platform",
    "tier": "PROVINCE",
    "province": "36",
    "is_simulated": False,
}
MANIFEST: dict[str, Any] = {"platform": PLATFORM, "coverage": {"PENALTY": {"update_cycle": "DAILY"}}}


def test_a_manifest_is_read_into_the_facts_about_its_platform() -> None:
    read = read_manifest({**MANIFEST, "limits": {"calls_per_day": 5}, "wire": {"path": "/"}})

    assert (read.platform.id, read.platform.province, read.platform.limits.calls_per_day) == ("p", "36", 5)
    assert read.dialect == {"path": "/"}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"wires": {}}, "wires: unknown table; known are platform, limits, coverage, wire"),
        ({"wire": 1}, "wire: must be a table"),
        ({"platform": {**PLATFORM, "name": "x"}}, "platform.name: unknown key; known are id, title_zh"),
        (
            {"platform": {key: PLATFORM[key] for key in PLATFORM if key != "is_simulated"}},
            "platform.is_simulated: is missing; write false for a real platform, true for a sandbox",
        ),
        ({"platform": {**PLATFORM, "is_direct": "no"}}, "platform.is_direct: must be true or false"),
        ({"platform": {**PLATFORM, "province": 36}}, "platform.province: must be a text"),
        ({"platform": {**PLATFORM, "province": "Jiangxi"}}, "platform.province: 'Jiangxi'; use the two digits"),
        ({"limits": {"calls_per_month": 1}}, "limits.calls_per_month: unknown key; known are calls_per_second"),
        ({"limits": {"calls_per_day": "5000"}}, "limits.calls_per_day: must be a whole number that is not negative"),
        ({"limits": {"calls_per_day": -1}}, "limits.calls_per_day: must be a whole number that is not negative"),
        ({"limits": {"maintenance_windows": "22:00-06:00"}}, "limits.maintenance_windows: must be a list of texts"),
        ({"coverage": {"PENALTY": True}}, "coverage.PENALTY: must be a table"),
        ({"coverage": {**MANIFEST["coverage"], "PENALTIES": {}}}, "coverage.PENALTIES: no such category; use one of"),
        ({"coverage": {"PENALTY": {"update_cycle": "HOURLY"}}}, "coverage.PENALTY.update_cycle: 'HOURLY' is unknown;"),
    ],
)
def test_a_fault_of_a_manifest_names_the_key_and_what_may_stand_there(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(ManifestFault) as raised:
        read_manifest({**MANIFEST, **changed})

    assert any(found.startswith(fault) for found in raised.value.faults), raised.value.faults
