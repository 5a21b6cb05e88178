"""The life of a list entry (名单条目生命周期): what may be decided about it, by whom, and what comes of it.

    PROPOSED ──confirm──► PUBLISHED ◄──settle── DISPUTED        a change of what is published (amend, withdraw, repair) waits
        │                     │ └────dispute──────► │           as `pending` until a second person confirms it; until then
        └──discard──►         ▼                     ▼           banks see the entry as it was
                 WITHDRAWN  REPAIRED  REMOVED (by a file)       all three final; a new listing is a new entry

A dispute is marked at once: it hides nothing. A proposal is discarded, and a pending change declined, by one person: nothing
that was shown changes. A file of the hub may bring back what a file removed. An entry that its recogniser's own platform says
to be repaired or revoked ends by that: who recognised, repairs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from gateway.domain.errors import EntryStateError, InvalidRequestError, SelfConfirmationError
from gateway.domain.joint_lists import SHOWN, EntryContent, EntryEvent, EntryState, JointEntry, PendingChange

_WORDS: Final = {
    EntryState.PROPOSED: "it is proposed and not published yet; confirm it first, or discard it",
    EntryState.WITHDRAWN: "it is withdrawn, which is final; a new listing is a new entry",
    EntryState.REPAIRED: "it is repaired, which is final; a new listing is a new entry",
    EntryState.REMOVED: "it was removed by a list file; a new listing is a new entry",
    EntryState.EXPIRED: "it has expired; a new listing is a new entry",
    EntryState.PUBLISHED: "it is not disputed",
    EntryState.DISPUTED: "it is disputed already",
}
_DECIDED: Final = {
    EntryEvent.AMENDED: None,
    EntryEvent.WITHDRAWN: EntryState.WITHDRAWN,
    EntryEvent.REPAIRED: EntryState.REPAIRED,
}


def propose(entry: JointEntry, by: str, at: datetime) -> JointEntry:
    """Gives a new entry as it is proposed; raises InvalidRequestError where its days contradict each other."""
    check_days(entry)
    return replace(
        entry,
        state=EntryState.PROPOSED,
        event=EntryEvent.PROPOSED,
        version=1,
        changed_at=at,
        changed_by=by,
        proposed_by=by,
        confirmed_by="",
        pending=None,
        ended_on=None,
        origin=f"operator:{by}",
        mark=0,
    )


def confirm(entry: JointEntry, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry with what was proposed in force; raises SelfConfirmationError, EntryStateError."""
    pending = entry.pending
    proposed_by = entry.proposed_by if entry.state is EntryState.PROPOSED else pending.proposed_by if pending else ""
    if not proposed_by:
        raise EntryStateError("nothing of it waits to be confirmed")
    if is_one_person(by, proposed_by):
        raise SelfConfirmationError
    if entry.state is EntryState.PROPOSED:
        if today < entry.listed_on or (entry.published_from is not None and today < entry.published_from):
            raise EntryStateError("its publication has not begun; confirm it on that day")
        return _next(entry, EntryEvent.PUBLISHED, by, at, state=EntryState.PUBLISHED, confirmed_by=by)
    assert pending is not None  # who proposed was found there
    change: dict[str, Any] = {"confirmed_by": by, "proposed_by": proposed_by, "pending": None}
    if pending.content is not None:
        change |= pending.content._asdict()
    state = _DECIDED[pending.event]
    if state is not None:
        change |= {"state": state, "ended_on": pending.on or today}
    return _next(entry, pending.event, by, at, **change)


def decline(entry: JointEntry, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry without what was proposed: a proposal is discarded, a pending change dropped."""
    if entry.state is EntryState.PROPOSED:
        return _next(entry, EntryEvent.DISCARDED, by, at, state=EntryState.WITHDRAWN, ended_on=today)
    if entry.pending is None:
        raise EntryStateError("nothing of it waits to be confirmed")
    return _next(entry, EntryEvent.DECLINED, by, at, pending=None)


def amend(entry: JointEntry, content: EntryContent, because: str, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry with an amendment that waits; a proposal is amended at once, and then it is whoever amended's."""
    check_days(replace(entry, **content._asdict()))
    if entry.state is EntryState.PROPOSED:
        return _next(entry, EntryEvent.PROPOSED, by, at, proposed_by=by, **content._asdict())
    _require(entry, SHOWN, today)
    if content == entry.content:
        raise EntryStateError("it says that already")
    return _waiting(entry, PendingChange(EntryEvent.AMENDED, by, because, content), by, at)


def withdraw(entry: JointEntry, because: str, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry with a withdrawal that waits: it should not have been listed."""
    _require(entry, SHOWN | {EntryState.EXPIRED}, today)
    return _waiting(entry, PendingChange(EntryEvent.WITHDRAWN, by, because, None, today), by, at)


def repair(entry: JointEntry, on: date, because: str, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry with a repair (信用修复) that waits; whether the law allows it on that day is `repair`'s to say."""
    _require(entry, SHOWN | {EntryState.EXPIRED}, today)
    if not entry.listed_on <= on <= today:
        raise InvalidRequestError("repaired_on", "must not be before the listing, nor after today")
    return _waiting(entry, PendingChange(EntryEvent.REPAIRED, by, because, None, on), by, at)


def heard_ended(entry: JointEntry, on: date, by: str, at: datetime, *, is_repaired: bool) -> JointEntry:
    """Gives the entry ended, since its recogniser's own platform says so: what waited for a second person falls away.

    Raises EntryStateError where it has ended already, or the day is before its listing.
    """
    if entry.state not in SHOWN or on < entry.listed_on:
        raise EntryStateError(_WORDS[entry.state])
    event, state = (
        (EntryEvent.REPAIRED, EntryState.REPAIRED) if is_repaired else (EntryEvent.WITHDRAWN, EntryState.WITHDRAWN)
    )
    return _next(entry, event, by, at, state=state, ended_on=on, pending=None, proposed_by=by, confirmed_by=by)


def dispute(entry: JointEntry, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry marked as disputed (异议中), shown still."""
    _require(entry, {EntryState.PUBLISHED}, today)
    return _next(entry, EntryEvent.DISPUTED, by, at, state=EntryState.DISPUTED)


def settle(entry: JointEntry, by: str, at: datetime, today: date) -> JointEntry:
    """Gives the entry without its mark: the dispute was settled and the entry stands."""
    _require(entry, {EntryState.DISPUTED}, today)
    return _next(entry, EntryEvent.SETTLED, by, at, state=EntryState.PUBLISHED)


def is_one_person(one: str, other: str) -> bool:
    """Whether two ids of operators are one person's: neither letter case nor blanks make a second person."""
    return "".join(one.split()).casefold() == "".join(other.split()).casefold()


def check_days(entry: JointEntry) -> None:
    """Raises InvalidRequestError naming the day that is before the one it must follow."""
    begins = entry.published_from or entry.listed_on
    if begins < entry.listed_on:
        raise InvalidRequestError("published_from", "is before listed_on")
    if entry.due_off is not None and entry.due_off <= entry.listed_on:
        raise InvalidRequestError("due_off", "must be after listed_on")
    if entry.published_to is not None and entry.published_to <= begins:
        raise InvalidRequestError("published_to", "must be after publication begins")


def _require(entry: JointEntry, states: frozenset[EntryState] | set[EntryState], today: date) -> None:
    stands = entry.state_at(today)
    if stands not in states:
        raise EntryStateError(_WORDS[stands])


def _waiting(entry: JointEntry, pending: PendingChange, by: str, at: datetime) -> JointEntry:
    if entry.pending is not None:
        raise EntryStateError("another change of it waits to be confirmed; confirm or decline that first")
    return _next(entry, EntryEvent.PENDING, by, at, pending=pending)


def _next(entry: JointEntry, event: EntryEvent, by: str, at: datetime, **change: Any) -> JointEntry:
    return replace(entry, event=event, version=entry.version + 1, changed_at=at, changed_by=by, **change)
