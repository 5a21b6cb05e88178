"""The life of a consent (授权生命周期): what may be decided about it, and the log of what happened to it.

ACTIVE ◄──────► PAUSED          both may be revoked; REVOKED is final
   │               │
   └──► REVOKED ◄──┘            EXHAUSTED and EXPIRED follow by themselves, and only a revocation may follow them
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.domain.consent import Consent, ConsentState
from gateway.domain.errors import ConsentStateError


class ConsentEvent(StrEnum):
    """What happened to a consent."""

    REGISTERED = "REGISTERED"
    USED = "USED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    REVOKED = "REVOKED"


_EVENTS: Final = {
    ConsentState.ACTIVE: ConsentEvent.RESUMED,
    ConsentState.PAUSED: ConsentEvent.PAUSED,
    ConsentState.REVOKED: ConsentEvent.REVOKED,
}
_WORDS: Final = {
    ConsentState.REVOKED: "it is revoked, which is final; register a new consent",
    ConsentState.EXPIRED: "it has expired; register a new consent",
    ConsentState.EXHAUSTED: "its uses are spent; register a new consent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentChange:
    """One entry of the log of changes; `mark` grows with every change of any consent, and none appears behind a later one.

    `version` and `state` are the consent's after it.
    """

    mark: int
    bank: str
    consent_id: str
    version: int
    event: ConsentEvent
    state: ConsentState
    at: datetime


def event_of(state: ConsentState) -> ConsentEvent:
    """Gives what a decision to this state is called; raises ValueError for a state that nobody decides."""
    if state not in _EVENTS:
        raise ValueError(f"{state} follows by itself and is never decided")
    return _EVENTS[state]


def is_decided(consent: Consent, state: ConsentState, now: datetime) -> bool:
    """Whether the consent is in that state already, so that deciding it again changes nothing.

    Raises ConsentStateError when it may not come to be in that state.
    """
    event_of(state)
    stands = consent.state_at(now)
    if stands is state:
        return True
    if stands in _WORDS and (state is not ConsentState.REVOKED or stands is ConsentState.REVOKED):
        raise ConsentStateError(_WORDS[stands])
    return False
