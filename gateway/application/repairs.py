"""Repairs of records, stated by operators of their recognisers: two persons, in the trail before it is answered.

The store goes first and the trail second, and both are done although the caller leaves in between (as for joint lists).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway.application.deciding import By
from gateway.application.repair_memory import RepairMemory, RepairStores
from gateway.application.to_the_end import Changes
from gateway.domain.audit_entries import repair_audit_entry
from gateway.domain.caller import Caller
from gateway.domain.dates import china_date, day_of
from gateway.domain.errors import (
    InvalidRequestError,
    PermissionRefusedError,
    RepairChangedError,
    RepairNotFoundError,
    RepairStateError,
    RequestError,
)
from gateway.domain.joint_lists import SHOWN, JointList
from gateway.domain.publication import PublicationRule
from gateway.domain.record_key import NamedRecord, RecordKeys
from gateway.domain.record_repair import RecordRepair, SeenStale
from gateway.domain.repair import require_record_repairable
from gateway.ports import Clock
from gateway.store_ports import AuditLog

Decide = Callable[[RecordRepair, datetime], RecordRepair]
_SERVICE: Final = "RepairService"


class RepairRules(NamedTuple):
    """What decides when a record may be repaired, and how it is named."""

    keys: RecordKeys
    publication: Sequence[PublicationRule]
    lists: Mapping[str, JointList]


class Proposal(NamedTuple):
    """What is proposed: one record's repair on a day. `record_key` is as a view gave it, b"" where the record says enough."""

    uscc: str
    record: view_pb2.Records
    record_key: bytes
    repaired_on: date
    because: str


class Repairs:
    """The use cases about repairs of records."""

    def __init__(
        self,
        stores: RepairStores,
        memory: RepairMemory,
        rules: RepairRules,
        audit: AuditLog,
        clock: Clock,
        new_repair_id: Callable[[datetime], str],
    ) -> None:
        self._stores = stores
        self._memory = memory
        self._rules = rules
        self._audit = audit
        self._clock = clock
        self._new_repair_id = new_repair_id
        self._changes = Changes()

    async def propose(self, proposal: Proposal, by: By) -> RecordRepair:
        """Gives the proposed repair; raises InvalidRequestError, RepairStateError, PermissionRefusedError."""

        async def work() -> RecordRepair:
            now, method = self._clock.now(), f"{_SERVICE}/ProposeRepair"
            try:
                named = self._named(proposal, china_date(now))
                _require_province(named.province, by)
                await self._require_kept_elsewhere(proposal.uscc, named)
            except RequestError as error:
                await self._refused(error, by, method, uscc=proposal.uscc)
                raise
            repair = RecordRepair(
                repair_id=self._new_repair_id(now),
                uscc=proposal.uscc,
                category=named.plan.category,
                record_key=proposal.record_key or named.record_key,
                authority=named.authority,
                province=named.province,
                document_number=getattr(named.record, "document_number", ""),
                repaired_on=proposal.repaired_on,
                because=proposal.because,
                changed_at=now,
                changed_by=by.operator,
                proposed_by=by.operator,
                origin=f"operator:{by.operator}",
            )
            return await self._kept(repair, "proposed", by, method)

        return await self._changes.to_the_end(work())

    async def decide(self, method: str, repair_id: str, expected_version: int, decide: Decide, by: By) -> RecordRepair:
        """Gives the repair as the decision left it, in force in this process already.

        Raises RepairNotFoundError, RepairStateError, SelfConfirmationError, RepairChangedError where it is no longer of the
        expected version (0: any), each after its entry in the trail.
        """

        async def work() -> RecordRepair:
            try:
                repair = await (await self._stores.repairs()).get(repair_id)
                if repair is None:
                    raise RepairNotFoundError
                if expected_version not in (0, repair.version):
                    raise RepairChangedError
                _require_province(repair.province, by)
                decided = decide(repair, self._clock.now())
                return await self._kept(decided, _event(repair, decided), by, f"{_SERVICE}/{method}")
            except RequestError as error:
                await self._refused(error, by, f"{_SERVICE}/{method}", repair_id=repair_id)
                raise

        return await self._changes.to_the_end(work())

    async def search(self, uscc: str, caller: Caller, *, after: int, limit: int) -> tuple[Sequence[RecordRepair], int]:
        """Gives repairs after a mark, and the mark that the next page begins after, 0 on the last."""
        found = await (await self._stores.repairs()).search(uscc, after=after, limit=limit)
        await self._read(caller, "ListRepairs", uscc, [repair.uscc for repair in found])
        return found, found[-1].mark if len(found) == limit else 0

    async def stale_copies(
        self, platform: str, uscc: str, caller: Caller, *, after: int, limit: int
    ) -> tuple[Sequence[SeenStale], int]:
        """Gives stale copies that were seen after a mark, and the mark that the next page begins after, 0 on the last."""
        found = await (await self._stores.repairs()).stale_copies(platform, uscc, after=after, limit=limit)
        await self._read(caller, "ListStaleCopies", uscc, [copy.uscc for copy in found])
        return found, found[-1].mark if len(found) == limit else 0

    async def aclose(self) -> None:
        """Waits until what was begun is in the store and in the trail."""
        await self._changes.aclose()

    def _named(self, proposal: Proposal, today: date) -> NamedRecord:
        named = self._rules.keys.name(proposal.uscc, proposal.record)
        if proposal.record_key and proposal.record_key != named.record_key and not named.is_weak:
            raise InvalidRequestError("record_key", "is not that of the record, by its document number and authority")
        if not named.plan.is_adverse:
            raise InvalidRequestError("record", "speaks for the enterprise: there is nothing to repair")
        require_record_repairable(
            named.plan, named.record, proposal.repaired_on, today, self._rules.publication, self._rules.lists
        )
        return named

    async def _require_kept_elsewhere(self, uscc: str, named: NamedRecord) -> None:
        """Raises RepairStateError for an entry that is kept here: its own repair is announced to whoever watches."""
        if named.plan.category != CATEGORY_LIST_ENTRY:
            return
        stated = named.record
        year = stated.list_year if stated.HasField("list_year") else None
        on = (stated.listed_on.year, stated.listed_on.month, stated.listed_on.day)
        for entry in await (await self._stores.lists()).of_enterprise(uscc):
            about = (entry.list_code, entry.list_year, day_of(entry.listed_on))
            if entry.state in SHOWN and not entry.person_ref and about == (stated.list_code, year, on):
                raise RepairStateError(
                    f"it is kept here as entry {entry.entry_id}; repair that: JointListService.RepairEntry, or "
                    "`xinyidai lists repair`"
                )

    async def _kept(self, repair: RecordRepair, event: str, by: By, method: str) -> RecordRepair:
        kept = await (await self._stores.repairs()).put(repair)
        await self._audit.append(
            repair_audit_entry(
                f"record_repair_{event}", by.caller, method, at=self._clock.now(), operator=by.operator,
                uscc=kept.uscc, repair=kept,
            )
        )  # fmt: skip
        await self._memory.take((kept,))
        return kept

    async def _refused(self, error: RequestError, by: By, method: str, *, uscc: str = "", repair_id: str = "") -> None:
        await self._audit.append(
            repair_audit_entry(
                "record_repair_refused", by.caller, method, at=self._clock.now(), operator=by.operator, uscc=uscc,
                reason=error.reason, repair_id=repair_id,
            )
        )  # fmt: skip

    async def _read(self, caller: Caller, method: str, uscc: str, told: Sequence[str]) -> None:
        at = self._clock.now()
        await self._audit.append(
            repair_audit_entry("repairs_read", caller, f"{_SERVICE}/{method}", at=at, uscc=uscc, usccs=told)
        )


def _event(before: RecordRepair, after: RecordRepair) -> str:
    """Names the step in the trail."""
    if before.state is not after.state:
        return after.state.lower()
    return "lift_proposed" if after.lift_proposed_by else "lift_declined"


def _require_province(province: str, by: By) -> None:
    """Who recognises, repairs (谁认定、谁修复): an operator of one province speaks for that province's authorities only."""
    if by.caller.province not in ("", province):
        where = f"province {province}" if province else "an unknown province (state the authority by its code)"
        raise PermissionRefusedError(f"records of {where} are repaired by its own operators")
