"""The hub's lists as a platform (信用长三角): entries kept here join the merged view as records like any other.

It is a connector that asks the store in place of the wire. For joint lists it speaks as the lister: what was repaired,
withdrawn or removed here hides other platforms' copies, and they are told to the operator as stale.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_COVERED,
    OUTCOME_OK,
    OUTCOME_UNREACHABLE,
)
from gateway.domain.answer import Answer, answer_of_error, failed_answer, summary_outcome
from gateway.domain.consent import Permit
from gateway.domain.dates import china_date, proto_date
from gateway.domain.errors import PlatformError, StoreError
from gateway.domain.joint_lists import Basis, EntryState, JointEntry, JointList, Provision
from gateway.domain.list_file import PROVINCES
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.domain.statement import sm3
from gateway.ports import Clock
from gateway.store_ports import JointListStore

HUB: Final = "hub"
_STATUS: Final = {
    EntryState.DISPUTED: envelope_pb2.RECORD_STATUS_DISPUTED,
    EntryState.REPAIRED: envelope_pb2.RECORD_STATUS_REPAIRED,
    EntryState.WITHDRAWN: envelope_pb2.RECORD_STATUS_REVOKED,
    EntryState.REMOVED: envelope_pb2.RECORD_STATUS_REVOKED,
}
_BASIS: Final = {basis: conduct_pb2.ListBasis.Value(f"LIST_BASIS_{basis}") for basis in Basis}
_PROVISIONS_S: Final = 60.0


def hub_platform(lists: Mapping[str, JointList], provisions: Sequence[Provision]) -> Platform:
    """Gives the facts about the hub: it keeps the joint lists; years that some province did not provide are missing.

    Which they are changes with every file: `HubLists` keeps the coverage as it is now.
    """
    return Platform(
        HUB,
        "信用长三角",
        "Credit Yangtze Delta",
        Tier.HUB,
        dialect="store",
        is_simulated=False,
        coverage={CATEGORY_LIST_ENTRY: _covered(provisions)},
        lists_kept=frozenset(code for code, one in lists.items() if one.basis is Basis.REGIONAL_MEMO),
    )


def _covered(provisions: Collection[Provision]) -> CategoryCoverage:
    return CategoryCoverage(CATEGORY_LIST_ENTRY, missing_years=missing_years(provisions))


def missing_years(provisions: Collection[Provision]) -> tuple[int, ...]:
    """Gives the list years that not every province of the delta provided, of lists that any did."""
    provided = {(one.list_code, one.list_year, one.province) for one in provisions}
    years = {(one.list_code, one.list_year) for one in provisions}
    return tuple(
        sorted({year for code, year in years if any((code, year, province) not in provided for province in PROVINCES)})
    )


class HubLists:
    """Answers queries from the store of joint lists; fulfils `Connector`."""

    def __init__(
        self,
        platform: Platform,
        lists: Mapping[str, JointList],
        store: Callable[[], Awaitable[JointListStore]],
        clock: Clock,
    ) -> None:
        self._coverage = dict(platform.coverage)
        self.platform = replace(platform, coverage=MappingProxyType(self._coverage))
        self._lists = lists
        self._store = store
        self._clock = clock
        self._provisions: Sequence[Provision] = ()
        self._provisions_at = float("-inf")

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Gives what is kept about the enterprise; the store's failure is an outcome."""
        began = self._clock.monotonic()
        if CATEGORY_LIST_ENTRY not in permit.categories:
            return failed_answer(HUB, OUTCOME_NOT_COVERED, "", permit.categories)
        try:
            store = await self._store()
            entries = await store.of_enterprise(query.uscc.value)
            if began - self._provisions_at > _PROVISIONS_S:
                self._provisions, self._provisions_at = await store.provisions(), began
                self._coverage[CATEGORY_LIST_ENTRY] = _covered(self._provisions)
        except StoreError:
            error = PlatformError(OUTCOME_UNREACHABLE, "store")
            return answer_of_error(HUB, error, permit.categories)
        now = self._clock.now()
        said = self._said(entries, permit.categories, china_date(now))
        return Answer(said, self._clock.monotonic() - began, 1, now)

    def _said(self, entries: Sequence[JointEntry], categories: Sequence[int], today: date) -> view_pb2.Answer:
        records = [self._record(entry) for entry in entries if _is_said(entry, today)]
        raw = sm3(b"".join(record.SerializeToString(deterministic=True) for record in records))
        said = view_pb2.Answer(platform=HUB, raw_digest=raw)
        said.records.list_entries.extend(records)
        for category in categories:
            if category != CATEGORY_LIST_ENTRY:
                said.categories.add(category=category, outcome=OUTCOME_NOT_COVERED)
                continue
            # Where nobody has provided anything, having nothing says nothing.
            is_known = bool(records or self._provisions)
            said.categories.add(
                category=CATEGORY_LIST_ENTRY,
                outcome=OUTCOME_OK if records else OUTCOME_NO_RECORDS if is_known else OUTCOME_NOT_COVERED,
                reason="" if is_known else "not_provided",
                record_count=len(records),
            )
        moment = _as_of(entries, self._provisions)
        if moment is not None:
            said.as_of.FromDatetime(moment)
        said.outcome, said.reason = summary_outcome(said.categories)
        return said

    def _record(self, entry: JointEntry) -> conduct_pb2.ListEntry:
        about = self._lists.get(entry.list_code)
        record = conduct_pb2.ListEntry(
            list_code=entry.list_code,
            list_name_raw=about.title_zh if about is not None else "",
            list_year=entry.list_year,
            list_version=entry.list_version,
            document_number=entry.document_number,
            reason=entry.reason,
            listed_on=proto_date(entry.listed_on),
        )
        if about is not None:
            record.basis = _BASIS[about.basis]
            record.joint_field = about.field  # type: ignore[assignment]  # a number of the enum
        if entry.authority:
            record.authority.name = entry.authority
        if entry.due_off is not None:
            record.due_off.CopyFrom(proto_date(entry.due_off))
        envelope = record.envelope
        envelope.provenances.add(
            platform=HUB,
            platform_record_key=entry.entry_id,
            match_method=envelope_pb2.MATCH_METHOD_CODE,
        )
        envelope.status = _STATUS.get(entry.state, envelope_pb2.RECORD_STATUS_VALID)
        if entry.ended_on is not None:
            envelope.status_on.CopyFrom(proto_date(entry.ended_on))
        envelope.publish_start.CopyFrom(proto_date(entry.published_from or entry.listed_on))
        if entry.published_to is not None:
            envelope.publish_end.CopyFrom(proto_date(entry.published_to - timedelta(days=1)))
        return record


def _is_said(entry: JointEntry, today: date) -> bool:
    """An entry that ended is said too, as ended: the merge needs it to hide others' copies; one that expired is not."""
    if entry.person_ref or entry.state is EntryState.PROPOSED:
        return False
    if entry.state is EntryState.WITHDRAWN and entry.confirmed_by == "":
        return False  # a proposal that was discarded: never published, so nobody's copy is stale
    return entry.is_shown(today) or entry.state in (EntryState.WITHDRAWN, EntryState.REPAIRED, EntryState.REMOVED)


def _as_of(entries: Sequence[JointEntry], provisions: Sequence[Provision]) -> datetime | None:
    """Gives when what is said was last changed: it does not move while nothing does."""
    moments = [entry.changed_at for entry in entries] or [provision.provided_at for provision in provisions]
    return max(moments, default=None)
