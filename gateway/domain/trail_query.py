"""What a bank asks of its trail, and which entries that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec


class TrailPosition(NamedTuple):
    """Where an entry stands: the name of its trail, and its number in it."""

    trail: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.trail}:{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> TrailPosition:
        """Gives the position a text states; raises ValueError."""
        trail, colon, number = text.rpartition(":")
        if not (colon and trail and number.isascii() and number.isdecimal()) or len(number) > 18:
            raise ValueError("is no position of an entry")
        return cls(trail, int(number))


class TrailRecord(msgspec.Struct, frozen=True):
    """What is told of one entry by name; the whole of it is its line."""

    sequence: int
    time: str
    event: str
    bank: str = ""
    answer_id: str = ""
    uscc: str = ""
    operator: str = ""
    branch: str = ""
    purpose: str = ""
    reason: str = ""
    method: str = ""
    usccs: tuple[str, ...] = ()

    def is_about(self, uscc: str) -> bool:
        """Whether it is about that enterprise, alone or among others."""
        return uscc == self.uscc or uscc in self.usccs


@dataclass(frozen=True, slots=True)
class TrailQuery:
    """Which entries of a bank are asked for: of a time (`since` inclusive, `until` exclusive), an enterprise, an employee."""

    bank: str
    since: datetime | None = None
    until: datetime | None = None
    uscc: str = ""
    operator: str = ""

    def takes(self, record: TrailRecord) -> bool:
        """Whether an entry is asked for; never one of another bank, nor one of no bank such as a root."""
        if not self.bank or record.bank != self.bank:
            return False
        if (self.uscc and not record.is_about(self.uscc)) or (self.operator and record.operator != self.operator):
            return False
        if self.since is None and self.until is None:
            return True
        at = datetime.fromisoformat(record.time)
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


class FoundRecord(NamedTuple):
    """One entry that is asked for, with its line as it stands in the trail."""

    position: TrailPosition
    record: TrailRecord
    line: bytes
