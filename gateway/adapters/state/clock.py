"""The system's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic


class SystemClock:
    """The time of day in UTC, and the running event loop's own time."""

    def now(self) -> datetime:
        """Gives the moment."""
        return datetime.now(UTC)

    # asyncio's and uvloop's loops both run on the system's monotonic clock. Bound as it is: every query asks it often.
    monotonic = staticmethod(monotonic)
