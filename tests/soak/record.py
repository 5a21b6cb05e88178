"""What was seen in a soak: how calls ended, every breach of what must hold, and all answers that somebody got."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_SORTS: Final = 25
_OF_A_SORT: Final = 3
_DIFFERS: Final = re.compile(r"on [A-Z_]+|[0-9a-f]*[0-9][0-9a-f.-]*")
"""Categories, numbers and ids, by which two breaches of one sort differ."""


@dataclass(slots=True, eq=False)
class Call:
    """One call: its kind, what it asked, how long it was given, and the trace by which the gateway's log names it."""

    number: int
    kind: str
    text: str
    deadline_s: float
    trace: str
    began: float = field(default_factory=time.monotonic)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What tells the gateway the trace; it is not recorded."""
        return (("traceparent", f"00-{self.trace}-{self.number:016x}-00"),)

    def __str__(self) -> str:
        return f"call {self.number} {self.kind} ({self.text}, {self.deadline_s:.2f} s, trace {self.trace})"


@dataclass
class Record:
    """Collects; a run goes on after a breach, so that one run shows all it can."""

    seed: int
    on: Mapping[str, Sequence[str]] = field(default_factory=dict)
    breaches: list[tuple[str, str]] = field(default_factory=list)
    """What did not hold, without what differs from case to case, and all there is to tell of the case."""
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    repeated: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Calls whose caller went, so that an answer may have been made that nobody got."""
    _begun: float = field(default_factory=time.monotonic)
    _under_way: dict[int, str] = field(default_factory=dict)

    def begin(self, call: Call) -> None:
        """Notes what is on as a call begins."""
        self._under_way[call.number] = self._faults()

    def end(self, call: Call, status: str) -> None:
        """Counts how a call ended."""
        self.ended[call.kind, status] += 1
        self._under_way.pop(call.number, None)

    def breach(self, what: str, call: Call | None = None) -> None:
        """Notes that something did not hold, with the seed, the faults and the call."""
        began = "" if call is None else f"; on as it began: {self._under_way.get(call.number, '-')}"
        about = "" if call is None else f" {call}:"
        at = time.monotonic() - self._begun
        self.breaches.append(
            (_DIFFERS.sub("#", what), f"[seed {self.seed}, {at:.1f} s]{about} {what}; on now: {self._faults()}{began}")
        )

    def summary(self) -> str:
        """Gives the first breaches of each sort, and how many more there are, for a failure's text."""
        sorts = Counter(sort for sort, _ in self.breaches)
        told: list[str] = []
        for sort, count in list(sorts.items())[:_SORTS]:
            told += [text for one, text in self.breaches if one == sort][:_OF_A_SORT]
            if count > _OF_A_SORT:
                told.append(f"    and {count - _OF_A_SORT} more such")
        if len(sorts) > _SORTS:
            told.append(f"and {len(sorts) - _SORTS} sorts more")
        return "\n".join(told)

    def counts(self) -> str:
        """Gives how calls ended, by kind."""
        kinds: dict[str, list[str]] = {}
        for (kind, status), count in sorted(self.ended.items()):
            kinds.setdefault(kind, []).append(f"{status} {count}")
        return "\n".join(f"  {kind}: {', '.join(told)}" for kind, told in kinds.items())

    def _faults(self) -> str:
        return ", ".join(f"{platform}: {'+'.join(kinds)}" for platform, kinds in self.on.items() if kinds) or "nothing"
