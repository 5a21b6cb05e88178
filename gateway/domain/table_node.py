"""A table of a configuration file while it is read: each value by its kind, each fault with file and key.

A faulty value reads as a stand-in, so that the reading goes on to the next fault. No stand-in may leave whoever reads: one
fault suffices to refuse the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

_Chosen = TypeVar("_Chosen", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class TableNode:
    """A table of a document and where it stands."""

    file: str
    path: tuple[str, ...]
    table: Mapping[str, object]
    faults: list[str]

    def fault(self, key: str, what: str) -> None:
        """Notes what is wrong at a key."""
        self.faults.append(f"{self.file}: {'.'.join((*self.path, key))}: {what}")

    def child(self, key: str, value: object = None) -> TableNode:
        """Gives the table under a key, or the given one as if it stood there."""
        found = self.table.get(key) if value is None else value
        if not isinstance(found, Mapping):
            if key in self.table or value is not None:
                self.fault(key, "must be a table")
            found = {}
        return TableNode(self.file, (*self.path, key), found, self.faults)

    def allow(self, *keys: str) -> None:
        """Faults every other key."""
        for key in self.table:
            if key not in keys:
                self.fault(key, f"unknown key; known are {', '.join(keys)}")

    def text(self, key: str) -> str:
        """Gives a text that is not empty."""
        found = self.table.get(key)
        if not isinstance(found, str) or not found.strip():
            self.fault(key, "must be a text that is not empty")
            return ""
        return found

    def flag(self, key: str) -> bool | None:
        """Gives true, false, or None where it is not said."""
        found = self.table.get(key)
        if found is not None and not isinstance(found, bool):
            self.fault(key, "must be true or false")
            return None
        return found

    def day(self, key: str, absent: date) -> date:
        """Gives a date without a time."""
        found = self.table.get(key, absent)
        # A TOML date-time is a `date` too, but cannot be compared with one.
        if not isinstance(found, date) or isinstance(found, datetime):
            self.fault(key, "must be a date without a time, such as 2026-04-01")
            return absent
        return found

    def choice(self, key: str, kind: type[_Chosen], absent: _Chosen | None = None) -> _Chosen:
        """Gives one of a few words."""
        found = self.table.get(key, absent)
        for member in kind:
            if member == found:
                return member
        self.fault(key, f"must be one of {', '.join(kind)}")
        return next(iter(kind))

    def texts(self, key: str) -> Sequence[str]:
        """Gives a list of texts that are not empty."""
        found = self.table.get(key)
        if not isinstance(found, list) or not all(isinstance(t, str) and t.strip() for t in found):
            self.fault(key, "must be a list of texts that are not empty")
            return ()
        return found
