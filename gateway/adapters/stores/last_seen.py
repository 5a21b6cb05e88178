"""What was read last of a log, and whether it still stands there.

Whoever follows a log asks for what is after a mark. A server that fails over to a replica without the last commits, or is
given an older backup, gives the marks of the lost changes to others, and a follower that is past them would never hear of
those: a revocation among them would count for nothing. So what stood at the mark is looked at again with each look at what
follows it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

import structlog

from gateway.domain.errors import StoreRewoundError

_MOST: Final = 64


class _Marked(Protocol):
    @property
    def mark(self) -> int: ...


T = TypeVar("T", bound=_Marked)


class LastSeen(Generic[T]):
    """The last that each of a few followers was given of one log."""

    def __init__(self, log: str) -> None:
        """Takes what the log is called."""
        self._log = log
        self._by_mark: OrderedDict[int, T] = OrderedDict()

    def of(self, mark: int) -> T | None:
        """Gives what was last seen at a mark, nothing where nobody was there."""
        return self._by_mark.get(mark)

    def note(self, seen: T) -> None:
        """Takes what a follower is given last."""
        self._by_mark[seen.mark] = seen
        self._by_mark.move_to_end(seen.mark)
        if len(self._by_mark) > _MOST:
            self._by_mark.popitem(last=False)

    def after(self, mark: int, found: Sequence[T], limit: int) -> Sequence[T]:
        """Gives so many at most of what was found from a mark on and is after it; raises StoreRewoundError."""
        there = found[0] if found and found[0].mark == mark else None
        known = self._by_mark.get(mark)
        if mark > 0 and (there is None or known not in (None, there)):
            self.rewound()
        given = found[there is not None :][:limit]
        for last in (there, *given[-1:]):
            if last is not None:
                self.note(last)
        return given

    def rewound(self) -> None:
        """Forgets everything, tells it, and raises StoreRewoundError."""
        self._by_mark.clear()
        note = (
            "a failover without them, or a backup: what they changed is as before, consents revoked and uses taken too"
        )
        structlog.get_logger("gateway.store").error("store.rewound", log=self._log, lacks="its last changes", note=note)
        raise StoreRewoundError("the store lacks changes that it had; what is known of it is read anew")
