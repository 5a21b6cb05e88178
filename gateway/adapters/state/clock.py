"""The system's clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """The time of day in UTC, and the running event loop's own time."""

    def now(self) -> datetime:
        """Gives the moment."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Gives seconds on the loop's scale."""
        return asyncio.get_running_loop().time()
