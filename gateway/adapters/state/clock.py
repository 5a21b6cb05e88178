"""The system's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic


class SystemClock:
    """The time of day in UTC, and the running event loop's own time."""

    def now(self) -> datetime:
        """Gives the moment."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Gives seconds on the loop's scale: asyncio's and uvloop's loops both run on the system's monotonic clock."""
        return monotonic()
