"""Joint lists (联合奖惩名单) and their entries (名单条目): what a list is, and how an entry stands at a moment.

A list is data (`config/lists/`). An entry is a value; every change makes a new one with the next version, and each change
has a mark by which watchers follow. EXPIRED is derived from the dates, never stored: no clock has to tick for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple


class Basis(StrEnum):
    """On what a list rests; a bank may treat a REGIONAL_MEMO as a credit reference rather than a sanction."""

    LAW = "LAW"
    STATE_POLICY = "STATE_POLICY"
    REGIONAL_MEMO = "REGIONAL_MEMO"


class EntryState(StrEnum):
    """Where an entry stands (状态); EXPIRED is derived, never stored."""

    PROPOSED = "PROPOSED"
    PUBLISHED = "PUBLISHED"
    DISPUTED = "DISPUTED"
    WITHDRAWN = "WITHDRAWN"
    REPAIRED = "REPAIRED"
    REMOVED = "REMOVED"
    EXPIRED = "EXPIRED"


class EntryEvent(StrEnum):
    """What a change was. Of PROPOSED, PENDING, DECLINED and DISCARDED banks see nothing: nothing shown has changed."""

    PROPOSED = "PROPOSED"
    DISCARDED = "DISCARDED"
    PUBLISHED = "PUBLISHED"
    PENDING = "PENDING"
    DECLINED = "DECLINED"
    AMENDED = "AMENDED"
    DISPUTED = "DISPUTED"
    SETTLED = "SETTLED"
    WITHDRAWN = "WITHDRAWN"
    REPAIRED = "REPAIRED"
    REMOVED = "REMOVED"


VISIBLE = frozenset(
    {
        EntryEvent.PUBLISHED,
        EntryEvent.AMENDED,
        EntryEvent.DISPUTED,
        EntryEvent.SETTLED,
        EntryEvent.WITHDRAWN,
        EntryEvent.REPAIRED,
        EntryEvent.REMOVED,
    }
)
"""Changes of what banks see."""

SHOWN = frozenset({EntryState.PUBLISHED, EntryState.DISPUTED})
"""States in which an entry is seen by banks; a dispute is marked, not hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointList:
    """One list; `field` is a number of the proto enum `JointField`, 0 for lists of no joint field.

    `criteria` names, by province code ("31", "32", "33", "34", or a city's six digits), the decision table of that place's
    recognition criteria (认定标准). `is_reward` tells a list of honours (守信激励) from one of severe dishonesty.
    """

    code: str
    title_zh: str
    lister: str
    basis: Basis
    field: int = 0
    is_reward: bool = False
    stay_months: int | None = None
    early_exit_months: int | None = None
    measures: tuple[str, ...] = ()
    criteria: tuple[tuple[str, str], ...] = ()
    is_mutually_recognised: bool = False
    version: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    source: str = ""
    certainty: str = ""
    title_en: str = ""


class EntryContent(NamedTuple):
    """What of an entry may be amended; who is listed, where, since when and for which year is what the entry is."""

    subject_name: str = ""
    list_version: str = ""
    authority: str = ""
    document_number: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    due_off: date | None = None
    published_to: date | None = None


class PendingChange(NamedTuple):
    """A change that waits for a second person: an amendment with its content, a withdrawal, or a repair on its day."""

    event: EntryEvent
    proposed_by: str
    because: str = ""
    content: EntryContent | None = None
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JointEntry:
    """One enterprise, or one related person, on a list.

    `person_ref` is "" for the enterprise itself, else an opaque reference of the person. `province` is the lister's, two
    digits. `evidence` are references (文号, file digests), never documents. `due_off` is when it ends by itself; it is
    published from `published_from` until before `published_to`. `event` is what made this version; `pending` waits for a
    second person; `ended_on` is the day of a withdrawal, repair or removal. `origin` is "operator:<id>" or "file:<SM3>".
    `mark` is that of its last change, unique and ascending over all lists; `seen_mark` that of the last one banks can see.
    """

    entry_id: str
    list_code: str
    uscc: str
    listed_on: date
    province: str
    subject_name: str = ""
    person_ref: str = ""
    list_year: int | None = None
    list_version: str = ""
    authority: str = ""
    document_number: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    due_off: date | None = None
    published_from: date | None = None
    published_to: date | None = None
    state: EntryState = EntryState.PUBLISHED
    version: int = 1
    changed_at: datetime
    changed_by: str = ""
    confirmed_by: str = ""
    origin: str = ""
    mark: int = 0
    seen_mark: int = 0
    event: EntryEvent = EntryEvent.PUBLISHED
    proposed_by: str = ""
    pending: PendingChange | None = None
    ended_on: date | None = None

    @property
    def content(self) -> EntryContent:
        """What of it may be amended."""
        return EntryContent(*[getattr(self, name) for name in EntryContent._fields])

    def state_at(self, today: date) -> EntryState:
        """Gives where it stands on a day in Asia/Shanghai."""
        ends = min((each for each in (self.due_off, self.published_to) if each is not None), default=None)
        if self.state in SHOWN and ends is not None and today >= ends:
            return EntryState.EXPIRED
        return self.state

    def is_shown(self, today: date) -> bool:
        """Whether a bank sees it on that day."""
        begins = self.published_from or self.listed_on
        return self.state_at(today) in SHOWN and today >= begins


class Provision(NamedTuple):
    """That a province provided a list's year: what coverage rests on. A province that has not is not covered, never zero."""

    list_code: str
    province: str
    list_year: int
    provided_at: datetime
    digest: bytes
