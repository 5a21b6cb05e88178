"""The page for whoever connects a platform: it names every key that a manifest and a mapping may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kit import manifest, mapping, rest_wire, values
from connectors.kit.conformance import CASES
from connectors.kit.sandbox_faults import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
OF_FIELDS = ("code", "codes", "table", "names", "authority", "constant", "split", "raw", "indefinite", "name")
ACTED_OUT = {case.fault for case in CASES} & {"error_envelope", "maintenance", "other_subject", "charset"}


@pytest.mark.parametrize(
    "keys",
    [
        manifest._PLATFORM_KEYS,
        manifest._LIMIT_KEYS,
        manifest._COVERAGE_KEYS,
        rest_wire._TOP,
        *rest_wire._INNER.values(),
        rest_wire.SIGNED_BY,
        mapping._TYPE_KEYS - {"fields", "envelope", "subject"},
        mapping._ENVELOPE_FIELDS,
        mapping._SUBJECT_METHODS,
        values._FACTORIES,
        values._PATTERNS,
        values._RATIOS,
        OF_FIELDS,
        ACTED_OUT & KINDS.keys(),
    ],
)
def test_every_key_stands_on_the_page(keys: object) -> None:
    missing = [key for key in keys if f"`{key}`" not in PAGE and f"[wire.{key}]" not in PAGE and f"{key} =" not in PAGE]  # type: ignore[attr-defined]

    assert missing == []
