"""What may be decided about a list entry: the table of states, and what holds whatever is decided in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import joint_list_life as life
from gateway.domain.errors import EntryStateError, InvalidRequestError, RequestError, SelfConfirmationError
from gateway.domain.joint_lists import SHOWN, VISIBLE, EntryEvent, EntryState, JointEntry
from tests.domain.joint_entries import NOON, TODAY, joint_entry

Decide = Callable[[JointEntry, str], JointEntry]
DECISIONS: dict[str, Decide] = {
    "confirm": lambda e, by: life.confirm(e, by, NOON, TODAY),
    "decline": lambda e, by: life.decline(e, by, NOON, TODAY),
    "amend": lambda e, by: life.amend(e, e.content._replace(reason=e.reason + "。"), "typo", by, NOON, TODAY),
    "withdraw": lambda e, by: life.withdraw(e, "wrong enterprise", by, NOON, TODAY),
    "repair": lambda e, by: life.repair(e, TODAY, "duties done", by, NOON, TODAY),
    "dispute": lambda e, by: life.dispute(e, by, NOON, TODAY),
    "settle": lambda e, by: life.settle(e, by, NOON, TODAY),
}
ALLOWED = {
    "proposed": {"confirm", "decline", "amend"},
    "published": {"amend", "withdraw", "repair", "dispute"},
    "waiting": {"confirm", "decline", "dispute"},
    "disputed": {"amend", "withdraw", "repair", "settle"},
    "expired": {"withdraw", "repair"},
    "withdrawn": set(),
    "repaired": set(),
    "removed": set(),
}
STANDS: dict[str, JointEntry] = {
    "proposed": life.propose(joint_entry(), "first", NOON),
    "published": joint_entry(),
    "waiting": life.withdraw(joint_entry(), "wrong", "first", NOON, TODAY),
    "disputed": joint_entry(state=EntryState.DISPUTED),
    "expired": joint_entry(due_off=TODAY),
    "withdrawn": joint_entry(state=EntryState.WITHDRAWN),
    "repaired": joint_entry(state=EntryState.REPAIRED),
    "removed": joint_entry(state=EntryState.REMOVED),
}


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("decision", DECISIONS)
def test_each_state_allows_what_the_table_says_and_refuses_the_rest_with_the_reason(stands: str, decision: str) -> None:
    entry = STANDS[stands]

    if decision in ALLOWED[stands]:
        assert DECISIONS[decision](entry, "second").version == entry.version + 1
        return
    with pytest.raises(EntryStateError) as raised:
        DECISIONS[decision](entry, "second")
    assert str(raised.value)


@pytest.mark.parametrize("second", ["first", "First", " FIRST "])
@pytest.mark.parametrize("stands", ["proposed", "waiting"])
def test_who_proposed_may_not_confirm_whatever_the_letter_case(stands: str, second: str) -> None:
    with pytest.raises(SelfConfirmationError):
        life.confirm(STANDS[stands], second, NOON, TODAY)


def test_who_amends_a_proposal_has_proposed_it_and_another_may_confirm() -> None:
    amended = DECISIONS["amend"](STANDS["proposed"], "second")

    with pytest.raises(SelfConfirmationError):
        life.confirm(amended, "second", NOON, TODAY)
    assert life.confirm(amended, "first", NOON, TODAY).state is EntryState.PUBLISHED


def test_banks_see_an_entry_unchanged_until_its_amendment_is_confirmed() -> None:
    waiting = life.amend(joint_entry(), joint_entry().content._replace(due_off=date(2027, 1, 1)), "", "a", NOON, TODAY)
    amended = life.confirm(waiting, "b", NOON, TODAY)

    assert waiting.content == joint_entry().content
    assert (amended.due_off, amended.event, amended.pending) == (date(2027, 1, 1), EntryEvent.AMENDED, None)
    assert (amended.proposed_by, amended.confirmed_by) == ("a", "b")


def test_a_repair_ends_the_entry_on_its_own_day() -> None:
    repaired = life.confirm(life.repair(joint_entry(), date(2026, 11, 1), "", "a", NOON, TODAY), "b", NOON, TODAY)

    assert (repaired.state, repaired.ended_on) == (EntryState.REPAIRED, date(2026, 11, 1))
    for day in (date(2018, 5, 1), TODAY + timedelta(days=1)):
        with pytest.raises(InvalidRequestError, match="repaired_on"):
            life.repair(joint_entry(), day, "", "a", NOON, TODAY)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"due_off": date(2018, 5, 2)}, "due_off"),
        ({"published_from": date(2018, 5, 1)}, "published_from"),
        ({"published_from": date(2019, 1, 1), "published_to": date(2019, 1, 1)}, "published_to"),
    ],
)
def test_days_that_contradict_each_other_are_refused_by_name(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        life.propose(joint_entry(**more), "first", NOON)

    assert raised.value.field == field


def test_an_entry_is_not_confirmed_before_its_publication_begins() -> None:
    early = life.propose(joint_entry(published_from=TODAY + timedelta(days=1)), "first", NOON)

    with pytest.raises(EntryStateError, match="has not begun"):
        life.confirm(early, "second", NOON, TODAY)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(DECISIONS)), st.sampled_from(["ann", "bo", "cai"])), max_size=25),
    st.sampled_from([None, TODAY, TODAY + timedelta(days=30)]),
)
def test_whatever_is_decided_nothing_is_published_or_changed_for_banks_by_one_person(
    decisions: list[tuple[str, str]], due_off: date | None
) -> None:
    entry = life.propose(joint_entry(due_off=due_off), "ann", NOON)
    versions = [entry]

    for decision, by in decisions:
        try:
            entry = DECISIONS[decision](entry, by)
        except RequestError:
            continue
        versions.append(entry)

    assert [one.version for one in versions] == list(range(1, len(versions) + 1))
    for before, after in pairwise(versions):
        seen = (before.content, before.state in SHOWN) != (after.content, after.state in SHOWN)
        if before.state is not EntryState.PROPOSED and seen:
            assert after.event in VISIBLE
        if after.event in (EntryEvent.PUBLISHED, EntryEvent.AMENDED, EntryEvent.WITHDRAWN, EntryEvent.REPAIRED):
            assert not life.is_one_person(after.proposed_by, after.confirmed_by)
        assert replace(after, version=0).uscc == before.uscc
    ended = [one for one in versions if one.state in (EntryState.WITHDRAWN, EntryState.REPAIRED)]
    assert len(ended) <= 1
