"""Joint lists: kept by operators of listers, looked up by banks; what is changed is in the trail before it is answered.

The store goes first and the trail second, and both are done although the caller leaves in between (as for consents). The
store has every version in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1.envelope_pb2 import RECORD_STATUS_REPAIRED
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway.application.deciding import By
from gateway.application.to_the_end import Changes
from gateway.domain import joint_list_life as life
from gateway.domain.audit import ListsEntry
from gateway.domain.audit_entries import lists_audit_entry, lists_read_entry
from gateway.domain.caller import Caller
from gateway.domain.consent import ConsentState
from gateway.domain.dates import china_date, day_of
from gateway.domain.errors import (
    ConsentError,
    EntryChangedError,
    EntryNotFoundError,
    EntryStateError,
    InvalidRequestError,
    PermissionRefusedError,
    Reason,
    RequestError,
)
from gateway.domain.joint_lists import SHOWN, VISIBLE, JointEntry, JointList
from gateway.domain.list_file import read_list_file
from gateway.domain.list_load import LoadPlan, plan_load
from gateway.domain.list_reading import ListReading, readings_of
from gateway.domain.record_repair import PLATFORM, Heard
from gateway.domain.statement import sm3
from gateway.domain.supervision import ClassSample, SupervisionClass, SupervisionScheme, classed, draw
from gateway.ports import Clock
from gateway.store_ports import AuditLog, ConsentStore, JointListStore

MOST_AT_ONCE: Final = 1_000
Decide = Callable[[JointEntry, datetime, date], JointEntry]
Told = Callable[[Sequence[JointEntry]], Awaitable[None]]


class Stores(NamedTuple):
    """Gives the stores, opened."""

    lists: Callable[[], Awaitable[JointListStore]]
    consents: Callable[[], Awaitable[ConsentStore]]


class Loaded(NamedTuple):
    """What a file did."""

    list_code: str
    list_year: int
    provinces: tuple[str, ...]
    plan: LoadPlan


async def _nobody(_: Sequence[JointEntry]) -> None:
    """Tells nobody."""


class JointLists:
    """The use cases about joint lists; `changed` is told of entries whose change banks can see."""

    def __init__(
        self,
        stores: Stores,
        lists: Mapping[str, JointList],
        audit: AuditLog,
        clock: Clock,
        new_entry_id: Callable[[datetime], str],
        changed: Told = _nobody,
        supervision: Mapping[str, SupervisionScheme] | None = None,
    ) -> None:
        self.lists = lists
        self._supervision = supervision or {}
        self._stores = stores
        self._audit = audit
        self._clock = clock
        self._new_entry_id = new_entry_id
        self._changed = changed
        self._changes = Changes()
        self._loading = asyncio.Lock()

    async def propose(self, entry: JointEntry, by: By) -> JointEntry:
        """Gives the proposed entry under an id of its own; raises InvalidRequestError, PermissionRefusedError."""

        async def work() -> JointEntry:
            now = self._clock.now()
            try:
                self.require_known((entry.list_code,), "list_code")
                _require_place(entry, by)
                made = life.propose(entry, by.operator, now)
            except RequestError as error:
                await self._refused(error, by, "JointListService/PublishEntry", uscc=entry.uscc)
                raise
            kept = replace(made, entry_id=self._new_entry_id(now))
            return await self._kept(kept, by, "JointListService/PublishEntry")

        return await self._changes.to_the_end(work())

    async def decide(self, method: str, entry_id: str, expected_version: int, decide: Decide, by: By) -> JointEntry:
        """Gives the entry as the decision left it.

        Raises EntryNotFoundError, EntryStateError, SelfConfirmationError, EntryChangedError where it is no longer of the
        expected version (0: any), each after its entry in the trail.
        """

        async def work() -> JointEntry:
            store = await self._stores.lists()
            try:
                entry = await store.get(entry_id)
                if entry is None:
                    raise EntryNotFoundError
                if expected_version not in (0, entry.version):
                    raise EntryChangedError
                _require_place(entry, by)
                now = self._clock.now()
                return await self._kept(decide(entry, now, china_date(now)), by, method)
            except RequestError as error:
                await self._refused(error, by, method, ListsEntry(entry_id=entry_id))
                raise

        return await self._changes.to_the_end(work())

    async def load(self, raw: bytes, digest: bytes, by: By) -> Loaded:
        """Gives what a file did, all of it or nothing; raises ListFileError with every fault."""

        async def work() -> Loaded:
            method = "JointListService/LoadListFile"
            try:
                now = self._clock.now()
                today = china_date(now)
                # In threads: a file of a hundred thousand lines would hold the loop for seconds.
                file = await asyncio.to_thread(read_list_file, raw, digest, self.lists, today)
                for province in file.provinces:
                    _require_province(province, by)
                async with self._loading:
                    store = await self._stores.lists()
                    kept = [
                        entry
                        for province in file.provinces
                        for entry in await _all(store, file.list_code, province, file.list_year)
                    ]
                    plan = await asyncio.to_thread(
                        plan_load,
                        file, self.lists[file.list_code], kept, await store.provisions(), by.operator, now, today,
                    )  # fmt: skip
                    if not plan.is_repeated:
                        await store.put(plan.put, provisions=plan.provisions)
            except RequestError as error:
                await self._refused(error, by, method, ListsEntry(digest=digest.hex()), event="list_file_refused")
                raise
            told = ListsEntry(
                list_code=file.list_code, list_year=file.list_year, province=",".join(file.provinces),
                digest=digest.hex(), added=plan.added, amended=plan.amended, removed=plan.removed,
                unchanged=plan.unchanged, stale=len(plan.stale_lines),
            )  # fmt: skip
            await self._audit.append(
                lists_audit_entry(
                    "list_file_loaded", by.caller, method, at=self._clock.now(), operator=by.operator, lists=told
                )
            )
            # Loaded before: a process that was killed then may not have told of all that it had put.
            told_of = plan.put if not plan.is_repeated else [e for e in kept if e.state in SHOWN or e.event in VISIBLE]
            await self._changed(told_of)
            return Loaded(file.list_code, file.list_year, file.provinces, plan)

        return await self._changes.to_the_end(work())

    async def heard(self, uscc: str, heard: Heard) -> None:
        """Ends entries kept here that their recogniser's own platform says to be repaired or revoked; raises StoreError."""

        async def work() -> None:
            by = By(Caller("", frozenset()), f"{PLATFORM}{heard.platform}")
            for entry in await (await self._stores.lists()).of_enterprise(uscc):
                if entry.person_ref or not _is_told(entry, heard):
                    continue
                is_repaired = heard.status == RECORD_STATUS_REPAIRED
                now = self._clock.now()
                try:
                    ended = life.heard_ended(entry, date(*heard.day), by.operator, now, is_repaired=is_repaired)
                    await self._kept(ended, by, "")
                except (EntryStateError, EntryChangedError):
                    continue  # it has ended already, or just now by another process that heard the same

        await self._changes.to_the_end(work())

    async def sample(
        self,
        scheme_id: str,
        population: Sequence[tuple[str, str]],
        basis_points: Mapping[SupervisionClass, int],
        seed: str,
        total: int,
        by: By,
    ) -> tuple[Sequence[ClassSample], bytes]:
        """Gives the enterprises drawn for inspection, after their record in the trail, and the SM3 of their codes.

        Of classes that `basis_points` does not name the scheme's share. Raises InvalidRequestError.
        """
        scheme = self._supervision.get(scheme_id)
        if scheme is None:
            known = ", ".join(sorted(self._supervision))
            raise InvalidRequestError("scheme", f"no scheme {scheme_id!r} among {known}")
        if not seed:
            raise InvalidRequestError("seed", "state what the lot is drawn with")
        shares = {**scheme.basis_points, **basis_points}
        samples = await asyncio.to_thread(lambda: draw(classed(scheme, population), shares, seed, total))
        codes = sorted(uscc for one in samples for uscc in one.usccs)
        digest = sm3("".join(f"{uscc}\n" for uscc in codes).encode())
        told = ListsEntry(
            list_code=scheme_id, digest=digest.hex(), code_count=len(population), entry_count=len(codes), seed=seed
        )
        method = "JointListService/DrawInspectionSample"
        await self._audit.append(
            lists_audit_entry(
                "inspection_drawn", by.caller, method, at=self._clock.now(), operator=by.operator, lists=told
            )
        )
        return samples, digest

    async def of_enterprise(self, uscc: str, person_ref: str, consent_id: str, caller: Caller) -> Sequence[JointEntry]:
        """Gives the entries of an enterprise, or of a person who consented: to a bank those shown, to an operator all."""
        method, now = "JointListService/GetEntries", self._clock.now()
        try:
            if person_ref and caller.bank:
                await self._require_consent(uscc, person_ref, consent_id, caller.bank, now)
        except RequestError as error:
            await self._audit.append(
                lists_audit_entry("lists_denied", caller, method, at=now, uscc=uscc, reason=error.reason)
            )
            raise
        found = await (await self._stores.lists()).of_enterprise(uscc)
        told = [entry for entry in found if entry.person_ref == person_ref and self._sees(caller, entry, now)]
        read = ListReading(entry_count=len(told))
        await self.read(caller, method, (read,), uscc=uscc, consent_ids=(consent_id,) if person_ref else ())
        return told

    async def search(
        self,
        list_codes: Collection[str],
        province: str,
        list_year: int | None,
        caller: Caller,
        *,
        after: int,
        limit: int,
    ) -> tuple[Sequence[JointEntry], int]:
        """Gives entries of enterprises after a mark, and the mark that the next page begins after, 0 on the last.

        A page that the caller may not see all of is shorter; without any list nothing is found.
        """
        found: Sequence[JointEntry] = ()
        if list_codes:
            store = await self._stores.lists()
            found = await store.search(
                list_codes=list_codes, province=province, list_year=list_year, after=after, limit=limit
            )
        now = self._clock.now()
        told = [entry for entry in found if not entry.person_ref and self._sees(caller, entry, now)]
        await self.read(caller, "JointListService/SearchEntries", readings_of([entry.uscc for entry in told]))
        return told, found[-1].mark if len(found) == limit else 0

    async def read(
        self,
        caller: Caller,
        method: str,
        pieces: Sequence[ListReading] = (ListReading(),),
        *,
        uscc: str = "",
        consent_ids: tuple[str, ...] = (),
    ) -> None:
        """Writes to the trail whose entries of lists are read, before what was read leaves; all pieces at once."""
        at = self._clock.now()
        entries = [lists_read_entry(caller, method, read, at=at, uscc=uscc, consent_ids=consent_ids) for read in pieces]
        await asyncio.gather(*[self._audit.append(entry) for entry in entries])

    def chosen(self, joint_field: int, list_codes: Sequence[str]) -> frozenset[str]:
        """Gives the codes of the lists of a field (0: any) and of these codes (none: any); all of them where that is any."""
        self.require_known(list_codes, "list_codes")
        return frozenset(
            code
            for code, one in self.lists.items()
            if (not joint_field or one.field == joint_field) and (not list_codes or code in list_codes)
        )

    def require_known(self, list_codes: Sequence[str], field: str) -> None:
        """Raises InvalidRequestError where there is no such list."""
        for index, code in enumerate(list_codes):
            if code not in self.lists:
                path = field if field == "list_code" else f"{field}[{index}]"
                raise InvalidRequestError(
                    path, f"no list {code!r}; see JointListService.ListJointLists", Reason.LIST_UNKNOWN
                )

    async def aclose(self) -> None:
        """Waits until what was begun is in the store and in the trail."""
        await self._changes.aclose()

    def _sees(self, caller: Caller, entry: JointEntry, now: datetime) -> bool:
        return not caller.bank or entry.is_shown(china_date(now))

    async def _require_consent(self, uscc: str, person_ref: str, consent_id: str, bank: str, now: datetime) -> None:
        consent = await (await self._stores.consents()).get(bank, consent_id) if consent_id else None
        if (
            consent is None
            or (consent.uscc, consent.person_ref) != (uscc, person_ref)
            or CATEGORY_LIST_ENTRY not in consent.categories
            or consent.state_at(now) is not ConsentState.ACTIVE
            or now < consent.valid_from
        ):
            raise ConsentError(
                "no stated consent of this person covers list entries; register it and state its id",
                Reason.CONSENT_MISSING,
            )

    async def _kept(self, entry: JointEntry, by: By, method: str) -> JointEntry:
        mark = await (await self._stores.lists()).put([entry])
        kept = replace(entry, mark=mark)
        told = ListsEntry(
            list_code=kept.list_code, list_year=kept.list_year, province=kept.province, entry_id=kept.entry_id,
            version=kept.version, state=kept.state, proposed_by=kept.proposed_by,
        )  # fmt: skip
        await self._audit.append(
            lists_audit_entry(
                f"list_entry_{kept.event.lower()}", by.caller, method, at=self._clock.now(), operator=by.operator,
                uscc=kept.uscc, lists=told,
            )
        )  # fmt: skip
        if kept.event in VISIBLE:
            await self._changed((kept,))
        return kept

    async def _refused(
        self, error: RequestError, by: By, method: str, lists: ListsEntry | None = None, *, uscc: str = "",
        event: str = "list_entry_refused",
    ) -> None:  # fmt: skip
        await self._audit.append(
            lists_audit_entry(
                event, by.caller, method, at=self._clock.now(), operator=by.operator, uscc=uscc, reason=error.reason,
                lists=lists,
            )
        )  # fmt: skip


def _is_told(entry: JointEntry, heard: Heard) -> bool:
    """Whether the platform's record is this entry, of its own province."""
    told = heard.record
    year = told.list_year if told.HasField("list_year") else None
    on = (told.listed_on.year, told.listed_on.month, told.listed_on.day)
    about = (entry.list_code, entry.list_year, day_of(entry.listed_on), entry.province)
    return about == (told.list_code, year, on, heard.province)


def is_removal(entry: JointEntry) -> bool:
    """Whether the change left the entry out of banks' sight."""
    return entry.state not in SHOWN


def _require_place(entry: JointEntry, by: By) -> None:
    _require_province(entry.province, by)


def _require_province(province: str, by: By) -> None:
    """An operator of one province keeps that province's entries only: who recognises, changes (谁认定、谁修复)."""
    if by.caller.province not in ("", province):
        raise PermissionRefusedError(f"entries of province {province} are kept by its own operators")


async def _all(store: JointListStore, list_code: str, province: str, list_year: int) -> Sequence[JointEntry]:
    found: list[JointEntry] = []
    after = 0
    while True:
        part = await store.search(
            list_codes=(list_code,), province=province, list_year=list_year, after=after, limit=MOST_AT_ONCE
        )
        found += part
        if len(part) < MOST_AT_ONCE:
            return found
        after = part[-1].mark
