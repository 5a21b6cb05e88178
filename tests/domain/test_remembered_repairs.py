"""Repairs that are remembered beyond the answer that told of them: what they hide, what undoes them, what is heard."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.type import date_pb2

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY, CATEGORY_PENALTY
from gateway.domain.answer import Answer, failed_answer
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.consent import Permit
from gateway.domain.dates import china_date
from gateway.domain.errors import InvalidRequestError, RepairStateError, SelfConfirmationError
from gateway.domain.merge import Merged
from gateway.domain.query import CreditQuery
from gateway.domain.record_repair import (
    RecordRepair,
    Remembered,
    RepairState,
    confirm,
    decline,
    heard_repair,
    lift,
)
from gateway.domain.repair import require_record_repairable
from tests.domain.test_merge import HEFEI, MERGER, READER, SETTINGS, TODAY, day, penalty, repaired, said
from tests.domain.worlds import USCC

AT = datetime(2026, 11, 26, 4, tzinfo=UTC)
SILENT = failed_answer("anhui", view_pb2.OUTCOME_TIMEOUT, "deadline", (CATEGORY_PENALTY,))
REPAIRED, REVOKED = envelope_pb2.RECORD_STATUS_REPAIRED, envelope_pb2.RECORD_STATUS_REVOKED
PENALTIES = CATALOGUE.by_category[CATEGORY_PENALTY]


def merged(*answers: Answer, repairs: tuple[Remembered, ...] = ()) -> Merged:
    query = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, (CATEGORY_PENALTY,), ("anhui", "jiangsu"))
    readings = [READER.read(answer, USCC.value) for answer in answers]
    known = {KEY: repairs} if repairs else {}
    return MERGER.merge(readings, query, Permit("test", (CATEGORY_PENALTY,)), TODAY, None, known)


def stale_copy() -> Answer:
    return said("jiangsu", CATEGORY_PENALTY, penalty("合环罚[2026]12号"))


KEY = merged(stale_copy()).view.records.penalties[0].envelope.record_key


def remembered(**more: Any) -> Remembered:
    stated: dict[str, Any] = {
        "repair_id": "r-1", "status": REPAIRED, "day": (2026, 8, 20), "authority": HEFEI["code"], "platform": "anhui",
    }  # fmt: skip
    return Remembered(**{**stated, **more})


def shown(found: Merged) -> int:
    return len(found.view.records.penalties)


@pytest.mark.parametrize("silent", [SILENT, said("anhui", CATEGORY_PENALTY)], ids=["not heard", "no more there"])
@pytest.mark.parametrize("platform", ["anhui", ""], ids=["heard", "stated"])
def test_a_remembered_repair_hides_stale_copies_without_a_hint_though_the_recogniser_is_silent(
    silent: Answer, platform: str
) -> None:
    before = merged(silent, stale_copy())
    after = merged(silent, stale_copy(), repairs=(remembered(platform=platform),))

    assert (shown(before), shown(after)) == (1, 0)
    never = merged(silent, said("jiangsu", CATEGORY_PENALTY))
    assert after.view == never.view
    assert [(one.platform, one.record_key) for one in after.stale_copies] == [("jiangsu", KEY)]


@pytest.mark.parametrize(
    ("repair", "is_shown"),
    [
        (remembered(), True),  # what it says itself goes before what is remembered of it
        (remembered(platform=""), False),  # its platform is behind its operator
        (remembered(platform="", authority="11330100007978773C"), True),  # somebody else's record
        (remembered(platform="", status=REVOKED), False),
    ],
)
def test_the_recognisers_own_platform_that_still_shows_it(repair: Remembered, is_shown: bool) -> None:
    found = merged(said("anhui", CATEGORY_PENALTY, penalty()), stale_copy(), repairs=(repair,))

    assert shown(found) == is_shown
    assert [one.platform for one in found.stale_copies] == ([] if is_shown else ["anhui", "jiangsu"])


def test_a_later_event_of_the_recognisers_shows_again_and_a_later_one_of_others_does_not() -> None:
    def valid_since(name: str) -> Answer:
        record = penalty()
        record.envelope.status = envelope_pb2.RECORD_STATUS_VALID
        record.envelope.status_on.year, record.envelope.status_on.month, record.envelope.status_on.day = 2026, 9, 1
        return said(name, CATEGORY_PENALTY, record)

    assert shown(merged(valid_since("anhui"), repairs=(remembered(platform=""),))) == 1
    assert shown(merged(SILENT, valid_since("jiangsu"), repairs=(remembered(platform=""),))) == 0


def test_a_withdrawal_is_heard_of_the_recogniser_and_of_nobody_else() -> None:
    told = merged(said("anhui", CATEGORY_PENALTY, repaired(penalty(), 2026, 8, 20)), stale_copy())
    alone = merged(said("anhui", CATEGORY_PENALTY, repaired(penalty(), 2026, 8, 20)))
    another = merged(SILENT, said("jiangsu", CATEGORY_PENALTY, repaired(penalty(), 2026, 8, 20)))

    (heard,) = told.heard
    assert heard[:7] == (CATEGORY_PENALTY, KEY, REPAIRED, (2026, 8, 20), "anhui", HEFEI["code"], "34")
    assert [one.record_key for one in alone.heard] == [KEY]
    assert another.heard == ()
    repair = heard_repair(heard, USCC.value, AT)
    assert repair is not None
    assert (repair.remembered.day, repair.platform, repair.is_in_force) == ((2026, 8, 20), "anhui", True)
    assert shown(merged(SILENT, stale_copy(), repairs=(repair.remembered,))) == 0


def test_a_withdrawal_on_a_day_that_is_none_is_not_remembered() -> None:
    (heard,) = merged(said("anhui", CATEGORY_PENALTY, repaired(penalty(), 2026, 2, 31))).heard

    assert heard_repair(heard, USCC.value, AT) is None


def proposed(**more: Any) -> RecordRepair:
    stated: dict[str, Any] = {
        "repair_id": "r-1", "uscc": USCC.value, "category": CATEGORY_PENALTY, "record_key": KEY,
        "repaired_on": date(2026, 10, 26), "changed_at": AT, "proposed_by": "first", "origin": "operator:first",
    }  # fmt: skip
    return RecordRepair(**{**stated, **more})


def test_a_second_person_confirms_and_a_second_person_lifts() -> None:
    with pytest.raises(SelfConfirmationError):
        confirm(proposed(), " First", AT)
    in_force = confirm(proposed(), "second", AT)
    asked = lift(in_force, "of another record", "second", AT)
    with pytest.raises(SelfConfirmationError):
        confirm(asked, "second", AT)
    lifted = confirm(asked, "first", AT)

    assert [one.is_in_force for one in (proposed(), in_force, asked, lifted)] == [False, True, True, False]
    assert [one.version for one in (in_force, asked, lifted)] == [2, 3, 4]
    assert decline(asked, "third", AT).lift_proposed_by == ""
    assert decline(proposed(), "third", AT).state is RepairState.DISCARDED


@pytest.mark.parametrize("state", [RepairState.DISCARDED, RepairState.LIFTED])
def test_what_is_over_is_not_decided_again(state: RepairState) -> None:
    over = proposed(state=state)

    for act in (confirm, decline):
        with pytest.raises(RepairStateError, match=state):
            act(over, "second", AT)
    with pytest.raises(RepairStateError, match="not in force"):
        lift(over, "x", "second", AT)


SERIOUS, GENERAL, MINOR = 3, 2, 1
FOOD = 3


@pytest.mark.parametrize(
    ("severity", "domain", "decided", "on", "told"),
    [
        (SERIOUS, 0, day(2025, 12, 15), date(2026, 3, 31), ""),  # three months, by order 58
        (SERIOUS, 0, day(2025, 12, 15), date(2026, 4, 1), "2026-12-15"),  # a year, by order 36
        (GENERAL, 0, day(2026, 5, 8), date(2026, 8, 7), "2026-08-08"),
        (GENERAL, 0, day(2026, 5, 8), date(2026, 8, 8), ""),
        (MINOR, 0, day(2026, 5, 8), date(2026, 5, 8), ""),
        (GENERAL, FOOD, day(2025, 6, 1), date(2026, 3, 1), "2026-06-01"),
        (GENERAL, FOOD, day(2026, 5, 8), date(2026, 8, 8), ""),  # order 36 knows no longer one for food
        (0, 0, {"year": 2026, "month": 5}, date(2026, 8, 30), "2026-08-31"),  # at the latest it can mean
    ],
)
def test_a_penalty_is_repaired_no_sooner_than_the_order_of_the_day_says(
    severity: int, domain: int, decided: Any, on: date, told: str
) -> None:
    record = penalty(severity=severity, domain=domain, decided_on=decided)

    def check() -> None:
        require_record_repairable(PENALTIES, record, on, date(2026, 11, 26), SETTINGS.publication.rules, {})

    if told:
        with pytest.raises(RepairStateError, match=told):
            check()
    else:
        check()


def test_the_day_is_chinas_and_a_day_to_come_or_none_is_refused() -> None:
    midnight = datetime(2026, 5, 8, 16, tzinfo=UTC)
    record = penalty(severity=MINOR)
    rules = SETTINGS.publication.rules

    require_record_repairable(PENALTIES, record, date(2026, 5, 9), china_date(midnight), rules, {})
    with pytest.raises(InvalidRequestError, match="after today"):
        require_record_repairable(PENALTIES, record, date(2026, 5, 9), china_date(midnight.replace(hour=15)), rules, {})
    with pytest.raises(InvalidRequestError, match="decided_on"):
        require_record_repairable(PENALTIES, penalty(decided_on={}), TODAY, TODAY, rules, {})
    with pytest.raises(InvalidRequestError, match="a day that is none"):
        require_record_repairable(PENALTIES, penalty(decided_on=day(2026, 2, 31)), TODAY, TODAY, rules, {})


def test_a_removal_from_a_list_is_heard_as_a_repair_and_the_others_copies_are_stale() -> None:
    def entry(removed: Any = None, reason: str = "") -> conduct_pb2.ListEntry:
        found = conduct_pb2.ListEntry(list_code="YRD_ENV", list_year=2018, listed_on=day(2018, 12, 1), authority=HEFEI)
        if removed is not None:
            found.removed_on.CopyFrom(date_pb2.Date(**removed))
            found.removal_reason = reason
        return found

    def over(removed: Any, reason: str = "信用修复") -> Merged:
        return merged_of(
            CATEGORY_LIST_ENTRY,
            said("anhui", CATEGORY_LIST_ENTRY, entry(removed, reason)),
            said("jiangsu", CATEGORY_LIST_ENTRY, entry()),
        )

    removed, today = over(day(2026, 11, 2)), over(day(TODAY.year, TODAY.month, TODAY.day))

    (heard,) = removed.heard
    assert (heard.status, heard.day, heard.platform) == (REPAIRED, (2026, 11, 2), "anhui")
    assert [one.platform for one in removed.stale_copies] == ["jiangsu"]
    assert [one.status for one in over(day(2026, 11, 2), "到期移出").heard] == [REVOKED]
    assert (len(today.view.records.list_entries), today.heard) == (1, ())  # at midnight after it, and not before
    alone = merged_of(
        CATEGORY_LIST_ENTRY,
        said("jiangsu", CATEGORY_LIST_ENTRY, entry()),
        known={heard.record_key: (remembered(day=heard.day),)},
    )
    assert list(alone.view.records.list_entries) == []


def test_a_removal_that_only_a_copy_tells_of_ends_no_entry_that_its_recogniser_still_lists() -> None:
    def entry(removed: Any = None) -> conduct_pb2.ListEntry:
        found = conduct_pb2.ListEntry(list_code="SDL_COURT", listed_on=day(2026, 5, 4), authority=HEFEI)
        if removed is not None:
            found.removed_on.CopyFrom(date_pb2.Date(**removed))
            found.removal_reason = "已履行"
        return found

    copy = said("jiangsu", CATEGORY_LIST_ENTRY, entry(day(2026, 9, 1)))

    still = merged_of(CATEGORY_LIST_ENTRY, said("anhui", CATEGORY_LIST_ENTRY, entry()), copy)
    silent = merged_of(CATEGORY_LIST_ENTRY, copy)

    (shown,) = still.view.records.list_entries
    (conflict,) = shown.envelope.conflicts
    assert (shown.HasField("removed_on"), shown.removal_reason) == (False, "")
    assert (conflict.field, conflict.chosen_platform, [v.platform for v in conflict.values]) == (
        "removed_on",
        "anhui",
        ["jiangsu"],
    )
    assert still.view.conflict_count == 1
    assert list(silent.view.records.list_entries) == []


def merged_of(category: int, *answers: Answer, known: Any = None) -> Merged:
    query = CreditQuery(USCC, view_pb2.PURPOSE_PRE_LOAN, (category,), tuple(sorted(a.platform for a in answers)))
    readings = [READER.read(answer, USCC.value) for answer in answers]
    return MERGER.merge(readings, query, Permit("test", (category,)), TODAY, None, known or {})
