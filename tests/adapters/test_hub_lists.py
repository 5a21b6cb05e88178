"""Entries of joint lists as records of the merged view: conflicts, tombstones, silence."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from google.type.date_pb2 import Date

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY, CATEGORY_PENALTY
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.adapters.hub_lists import HUB, HubLists, hub_platform, missing_years
from gateway.domain.answer import Answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import development_permit
from gateway.domain.errors import StoreUnavailableError
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import EntryEvent, EntryState, JointEntry, Provision
from gateway.domain.merge import Merged, Merger
from gateway.domain.platform import CategoryCoverage, Platform, Tier
from gateway.domain.query import CreditQuery
from gateway.domain.statement import AuthorityIds, Reader
from tests.adapters.memory_joint_lists import MemoryJointLists
from tests.adapters.simulated import MovedClock
from tests.domain.joint_entries import DEMO, NOON, TODAY, joint_entry
from tests.shipped import shipped_settings

SETTINGS = shipped_settings()
PROVIDED = [Provision("YRD_ENV", province, 2018, NOON, b"") for province in ("31", "32", "33", "34")]
ZHEJIANG = Platform(
    "zhejiang", "浙江", "Zhejiang", Tier.PROVINCE, province="33",
    coverage={CATEGORY_LIST_ENTRY: CategoryCoverage(CATEGORY_LIST_ENTRY)},
)  # fmt: skip


def asking(*platforms: str, categories: tuple[int, ...] = (CATEGORY_LIST_ENTRY,)) -> CreditQuery:
    return CreditQuery(Uscc.parse(DEMO), PURPOSE_PRE_LOAN, categories, platforms)


class Hub:
    """The hub's lists over a store in memory, and the merge of what it says with what Zhejiang says."""

    def __init__(self, provided: list[Provision] = PROVIDED) -> None:
        self.store = MemoryJointLists()
        self.provided = provided
        self.query: CreditQuery = asking(HUB, "zhejiang")
        self.platforms = {HUB: hub_platform(SETTINGS.joint_lists, provided), "zhejiang": ZHEJIANG}

    async def said(self, *entries: JointEntry, categories: tuple[int, ...] = (CATEGORY_LIST_ENTRY,)) -> Answer:
        await self.store.put(entries, provisions=self.provided)

        async def store() -> MemoryJointLists:
            return self.store

        hub = HubLists(self.platforms[HUB], SETTINGS.joint_lists, store, MovedClock(NOON))
        query = asking(HUB, categories=categories)
        return await hub.fetch(query, development_permit(query), 1e9)

    def merged(self, *answers: Answer) -> Merged:
        ids = AuthorityIds({})
        reader = Reader(CATALOGUE, ids, self.platforms)
        merger = Merger(CATALOGUE, self.platforms, ids, SETTINGS.crosswalk, SETTINGS.publication, SETTINGS.divisions)
        readings = [reader.read(answer, DEMO) for answer in answers]
        return merger.merge(readings, self.query, development_permit(self.query), TODAY)


def zhejiang_says(due_off: date = date(2027, 6, 1)) -> Answer:
    entry = joint_entry()
    record = conduct_pb2.ListEntry(
        list_code=entry.list_code,
        list_year=entry.list_year,
        document_number=entry.document_number,
        listed_on=Date(year=2018, month=5, day=2),
        due_off=Date(year=due_off.year, month=due_off.month, day=due_off.day),
    )
    record.envelope.provenances.add(platform="zhejiang", platform_record_key="z-1")
    said = view_pb2.Answer(platform="zhejiang", outcome=view_pb2.OUTCOME_OK)
    said.records.list_entries.append(record)
    said.categories.add(category=CATEGORY_LIST_ENTRY, outcome=view_pb2.OUTCOME_OK, record_count=1)
    return Answer(said)


def view_of(merged: Merged) -> view_pb2.CreditView:
    return view_pb2.CreditView.FromString(merged.view.SerializeToString())


async def test_an_entry_joins_the_view_with_its_provenance_and_a_conflict_keeps_both_values() -> None:
    hub = Hub()
    said = await hub.said(joint_entry(due_off=date(2028, 5, 2)))

    view = view_of(hub.merged(said, zhejiang_says()))

    (record,) = view.records.list_entries
    assert {(one.platform, one.platform_record_key) for one in record.envelope.provenances} == {
        (HUB, "entry-1"),
        ("zhejiang", "z-1"),
    }
    (conflict,) = [one for one in record.envelope.conflicts if one.field == "due_off"]
    assert {(one.platform, one.value.date.year) for one in conflict.values} == {(HUB, 2028), ("zhejiang", 2027)}
    assert record.joint_field == conduct_pb2.JOINT_FIELD_ENVIRONMENT


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (EntryState.REPAIRED, EntryEvent.REPAIRED),
        (EntryState.WITHDRAWN, EntryEvent.WITHDRAWN),
        (EntryState.REMOVED, EntryEvent.REMOVED),
    ],
)
async def test_what_ended_here_hides_anothers_copy_without_a_hint_and_flags_it_as_stale(
    state: EntryState, event: EntryEvent
) -> None:
    hub = Hub()
    said = await hub.said(joint_entry(state=state, event=event, ended_on=TODAY))

    merged = hub.merged(said, zhejiang_says())

    view = view_of(merged)
    assert list(view.records.list_entries) == []
    assert state.value.encode() not in view.SerializeToString()
    assert [one.platform for one in merged.stale_copies] == ["zhejiang"]


async def test_expired_proposed_discarded_and_persons_entries_are_not_said() -> None:
    hub = Hub()

    said = await hub.said(
        joint_entry(1, due_off=TODAY),
        joint_entry(2, state=EntryState.PROPOSED),
        joint_entry(3, state=EntryState.WITHDRAWN, confirmed_by=""),
        joint_entry(4, person_ref="p-1"),
    )

    assert (said.outcome, len(said.said.records.list_entries)) == (view_pb2.OUTCOME_NO_RECORDS, 0)


async def test_where_nobody_provided_anything_nothing_is_said_to_be_clean() -> None:
    said = await Hub([]).said(categories=(CATEGORY_LIST_ENTRY, CATEGORY_PENALTY))

    assert {(one.category, one.outcome) for one in said.said.categories} == {
        (CATEGORY_LIST_ENTRY, view_pb2.OUTCOME_NOT_COVERED),
        (CATEGORY_PENALTY, view_pb2.OUTCOME_NOT_COVERED),
    }


async def test_a_store_out_of_reach_is_an_outcome() -> None:
    async def store() -> Any:
        raise StoreUnavailableError("gone")

    hub = HubLists(hub_platform({}, []), {}, store, MovedClock(NOON))
    query = asking(HUB)

    said = await hub.fetch(query, development_permit(query), 1e9)

    assert (said.outcome, said.said.reason) == (view_pb2.OUTCOME_UNREACHABLE, "store")


def test_years_that_a_province_did_not_provide_are_missing_and_named_in_the_views_coverage() -> None:
    partly = [*PROVIDED, replace_year(PROVIDED[0], 2019)]

    assert missing_years(PROVIDED) == ()
    assert missing_years(partly) == (2019,)
    assert hub_platform({}, partly).coverage[CATEGORY_LIST_ENTRY].missing_years == (2019,)


async def test_a_year_that_is_provided_later_is_missing_no_more_within_a_minute() -> None:
    lists = Hub(PROVIDED[:2])
    clock = MovedClock(NOON)

    async def store() -> MemoryJointLists:
        return lists.store

    await lists.store.put([], provisions=PROVIDED[:2])
    hub = HubLists(hub_platform(SETTINGS.joint_lists, PROVIDED[:2]), SETTINGS.joint_lists, store, clock)
    lists.platforms[HUB] = hub.platform
    query = asking(HUB)
    before = await hub.fetch(query, development_permit(query), 1e9)
    view_before = view_of(lists.merged(before, zhejiang_says()))
    await lists.store.put([], provisions=PROVIDED)
    clock.at_s += 61
    after = await hub.fetch(query, development_permit(query), 1e9)
    view_after = view_of(lists.merged(after, zhejiang_says()))

    missing = [
        [(one.platform, one.year) for one in view.coverage[0].missing_years] for view in (view_before, view_after)
    ]
    assert missing == [[(HUB, 2018)], []]


def replace_year(provision: Provision, year: int) -> Provision:
    return provision._replace(list_year=year)
