"""Repairs of records (信用修复) that are remembered beyond the answer that told of them: what one is, and its life.

    PROPOSED ──confirm──► IN_FORCE ──lift, then confirm──► LIFTED      each step by a second person; one person declines
        └──decline──► DISCARDED      ▲
                                     └── heard of the recogniser's own platform (认定单位), which needs no second person

A repair is that of one record, named as views name it (`record_key`), by its recogniser (谁认定、谁修复). One that an
operator stated holds against whatever platforms still say, but for a later event of the recogniser's. One that was heard
stands for the platform it was heard of while that is silent: what it says itself goes before what is remembered of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_REPAIRED
from gateway.domain.dates import Day, day_of
from gateway.domain.errors import RepairStateError, SelfConfirmationError
from gateway.domain.joint_list_life import is_one_person

PLATFORM: Final = "platform:"


class RepairState(StrEnum):
    """Where a repair stands (状态)."""

    PROPOSED = "PROPOSED"
    IN_FORCE = "IN_FORCE"
    DISCARDED = "DISCARDED"
    LIFTED = "LIFTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRepair:
    """One repair of one record.

    `authority` is the canonical id of who recognised the record, `province` its two digits, "" where neither tells; `status`
    a number of `RecordStatus`, REPAIRED or REVOKED, since `repaired_on`. `origin` is "operator:<id>" or "platform:<id>".
    `lift_proposed_by` is who asks for it to be lifted, "" where nobody does. `mark` is that of its last change, unique and
    ascending over all repairs.
    """

    repair_id: str
    uscc: str
    category: int
    record_key: bytes
    authority: str = ""
    province: str = ""
    document_number: str = ""
    status: int = RECORD_STATUS_REPAIRED
    repaired_on: date
    because: str = ""
    state: RepairState = RepairState.PROPOSED
    version: int = 1
    changed_at: datetime
    changed_by: str = ""
    proposed_by: str = ""
    confirmed_by: str = ""
    lift_proposed_by: str = ""
    lift_because: str = ""
    origin: str = ""
    mark: int = 0

    @property
    def platform(self) -> str:
        """The platform it was heard of; "" where an operator stated it."""
        return self.origin.removeprefix(PLATFORM) if self.origin.startswith(PLATFORM) else ""

    @property
    def is_in_force(self) -> bool:
        """Whether the record is hidden by it."""
        return self.state is RepairState.IN_FORCE

    @property
    def remembered(self) -> Remembered:
        """What of it the merge needs."""
        return Remembered(self.repair_id, self.status, day_of(self.repaired_on), self.authority, self.platform)


class Remembered(NamedTuple):
    """A repair in force, as the merge takes it: like a last word of the recogniser's on that day."""

    repair_id: str
    status: int
    day: Day
    authority: str
    platform: str


class Heard(NamedTuple):
    """A withdrawal that the recogniser's own platform told in an answer: `record` is its record."""

    category: int
    record_key: bytes
    status: int
    day: Day
    platform: str
    authority: str
    province: str
    record: Any


class SeenStale(NamedTuple):
    """A platform that still shows a record which its recogniser withdrew (过期副本), and when that was seen."""

    platform: str
    record_key: bytes
    uscc: str
    category: int
    first_seen: datetime
    last_seen: datetime
    mark: int = 0


def heard_repair(heard: Heard, uscc: str, at: datetime) -> RecordRepair | None:
    """Gives the repair that was heard, in force at once; None where its day is none: no later event could undo it then.

    The same event has the same id in every process.
    """
    try:
        on = date(*heard.day)
    except ValueError:
        return None
    return RecordRepair(
        repair_id=f"{heard.platform}-{heard.record_key.hex()}-{on:%Y%m%d}",
        uscc=uscc,
        category=heard.category,
        record_key=heard.record_key,
        authority=heard.authority,
        province=heard.province,
        document_number=getattr(heard.record, "document_number", ""),
        status=heard.status,
        repaired_on=on,
        state=RepairState.IN_FORCE,
        changed_at=at,
        changed_by=f"{PLATFORM}{heard.platform}",
        origin=f"{PLATFORM}{heard.platform}",
    )


def confirm(repair: RecordRepair, by: str, at: datetime) -> RecordRepair:
    """Gives the repair in force, or lifted where that was asked; raises SelfConfirmationError, RepairStateError."""
    _require_waiting(repair)
    is_lifting = repair.state is RepairState.IN_FORCE
    if is_one_person(by, repair.lift_proposed_by if is_lifting else repair.proposed_by):
        raise SelfConfirmationError
    state = RepairState.LIFTED if is_lifting else RepairState.IN_FORCE
    return _next(repair, by, at, state=state, confirmed_by=by)


def decline(repair: RecordRepair, by: str, at: datetime) -> RecordRepair:
    """Gives the repair discarded, or in force as it was where it was to be lifted; nothing that is shown changes."""
    _require_waiting(repair)
    if repair.state is RepairState.IN_FORCE:
        return _next(repair, by, at, lift_proposed_by="", lift_because="")
    return _next(repair, by, at, state=RepairState.DISCARDED)


def lift(repair: RecordRepair, because: str, by: str, at: datetime) -> RecordRepair:
    """Gives the repair with its lifting waiting: it was stated in error. It holds until a second person confirms."""
    if not repair.is_in_force:
        raise RepairStateError(f"it is {repair.state}, not in force")
    if repair.lift_proposed_by:
        raise RepairStateError("its lifting waits to be confirmed already")
    return _next(repair, by, at, lift_proposed_by=by, lift_because=because)


def _require_waiting(repair: RecordRepair) -> None:
    if repair.state is not RepairState.PROPOSED and not (repair.is_in_force and repair.lift_proposed_by):
        raise RepairStateError(f"it is {repair.state}: nothing of it waits to be confirmed")


def _next(repair: RecordRepair, by: str, at: datetime, **change: Any) -> RecordRepair:
    return replace(repair, version=repair.version + 1, changed_at=at, changed_by=by, **change)
