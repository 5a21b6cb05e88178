"""The seal on a consent's row: HMAC-SM3 over all that the row says; what was altered behind the gateway is not honoured.

With a key of the deployment nobody who can only write to the database can seal what they wrote; without one the seal finds
what a disk or a careless hand altered. A field at its default is left out of what is sealed: so a column that a later
revision adds leaves the seals of older rows as they are.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from gateway.domain.consent import Consent

_ABSENT: Final = object()


class Seal:
    """Makes and checks seals under a key; an empty one is no secret."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def of(self, row: Mapping[str, Any]) -> bytes:
        """Gives the seal of a row, by its columns' names; the seal itself, if it is among them, is no part of it."""
        return hmac.new(self._key, content_of(row), "sm3").digest()

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the row is what was sealed."""
        return hmac.compare_digest(self.of(row), bytes(row["seal"] or b""))


def content_of(row: Mapping[str, Any]) -> bytes:
    """Gives what is sealed of a row, the same for both databases: JSON of its columns by name, but for defaults."""
    stated = {name: _plain(value) for name, value in row.items() if name != "seal"}
    said = {name: value for name, value in stated.items() if value != _DEFAULTS.get(name, _ABSENT)}
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case bytes():
            return value.hex()
        case datetime():
            # SQLite gives moments back without their zone, which is UTC.
            known = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return known.isoformat(timespec="microseconds")
        case tuple():
            return list(value)
        case _:
            return value


_DEFAULTS: Final[Mapping[str, Any]] = {
    **{field.name: _plain(field.default) for field in fields(Consent) if field.default is not MISSING},
    "request_id": None,
    "request_digest": "",
}
