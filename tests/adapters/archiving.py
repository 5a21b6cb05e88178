"""What tests of the trail's writer share: a copy to keep, an archive in memory, and the check of a whole trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gateway.adapters.stores.trail_files import lines_of, segments_of
from gateway.domain.errors import StoreUnavailableError
from gateway.domain.evidence import ArchivedView, ViewCopy
from gateway.domain.statement import sm3
from gateway.domain.trail import TrailCheck

COPY = ViewCopy(b"the view", "91310115MA0TERT167", sm3(b"request"), "query")


def check_of(path: Path) -> TrailCheck:
    """Checks a whole trail, segment by segment."""
    check = TrailCheck()
    for segment in segments_of(path):
        for line in lines_of(segment):
            assert check.finding is None
            check.take(line.content)
    return check


class Archive:
    """An archive in memory, or one that cannot keep anything now."""

    def __init__(self) -> None:
        self.copies: list[ArchivedView] = []
        self.is_down = False

    def keep(self, copies: Sequence[ArchivedView]) -> None:
        if self.is_down:
            raise StoreUnavailableError("the archive is down")
        self.copies += copies

    def withdraw(self, copies: Sequence[ArchivedView]) -> None:
        if self.is_down:
            raise StoreUnavailableError("the archive is down")
        gone = {(copy.answer_id, copy.receipt.root.sequence) for copy in copies}
        self.copies = [copy for copy in self.copies if (copy.answer_id, copy.receipt.root.sequence) not in gone]

    async def since(self, trail: str, sequence: int, *, limit: int) -> Sequence[ArchivedView]:
        raise NotImplementedError

    async def find(self, bank: str, answer_id: str) -> ArchivedView | None:
        raise NotImplementedError

    async def seal(self, uscc: str, because: str, at: datetime) -> int:
        raise NotImplementedError

    async def count_expired(self, now: datetime, *, limit: int) -> int:
        raise NotImplementedError

    async def delete_expired(self, now: datetime, *, limit: int) -> int:
        raise NotImplementedError
