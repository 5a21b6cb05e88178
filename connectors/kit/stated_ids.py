"""The ids of the deployment's own tables (schemes of `crosswalk/`, lists of `lists/`) that a mapping states.

Which tables a deployment has is known to the gateway only; it tells the operator of an id that none of them has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from gateway.domain.catalogue import CATALOGUE
from gateway.domain.platform import StatedId

_TABLES: Final[Mapping[str, Literal["crosswalk", "lists"]]] = {"config/crosswalk": "crosswalk", "config/lists": "lists"}
"""By the `code_list` of a field of the catalogue."""


def stated_ids(document: Mapping[str, Any]) -> tuple[StatedId, ...]:
    """Gives each id that a sound mapping.toml states for such a field, once a line."""
    return tuple(
        StatedId(_TABLES[code_list], f"mapping.toml: {name}.fields.{target}", stated)
        for name, plan in CATALOGUE.by_records_field.items()
        for target, line in document.get(name, {}).get("fields", {}).items()
        if (code_list := plan.field(target).options.code_list) in _TABLES
        for stated in dict.fromkeys(_of_line(line))
    )


def _of_line(line: Any) -> Iterator[str]:
    if isinstance(line, Mapping):
        if "constant" in line:
            yield line["constant"]
        elif line.get("as") == "table":
            yield from line["codes"].values()
